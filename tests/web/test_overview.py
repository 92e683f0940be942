"""What the status page says of the whole: in step, or what is worst."""

import msgspec
import pytest

from bridge.ledger import LedgerStatus
from bridge.web.overview import Sights, WebhookSight, overview

T0 = 1_795_000_000_000
NOTHING = Sights("r", "1", T0, (), (), (), (), (), {}, 0, 0, "")
KEPT = WebhookSight(T0, "default", "127.0.0.1", 200, 5, "kept", "aom", "", 1, {})
FAILED = msgspec.structs.replace(KEPT, status=503, text="nothing was kept: disk full")


def said(*webhooks, now=T0):
    """Give the sentence after these webhooks, the newest first."""
    sights = msgspec.structs.replace(NOTHING, webhooks=webhooks)
    return overview(LedgerStatus(now, {}, {}, []), sights).sentence


@pytest.mark.parametrize("webhooks", [(FAILED,), (FAILED, KEPT)])
def test_a_bridge_that_keeps_nothing_is_not_in_step(webhooks):
    """While the newest webhook of a source could not be kept, the sentence says so: what it brought is missing."""
    sentence = said(*webhooks, now=T0 + 4_000)
    text = "the newest webhook of source default was answered with 503 4 s ago: nothing was kept: disk full"
    assert (sentence.text(), sentence.level) == (text, "bad")


@pytest.mark.parametrize("webhooks", [(KEPT, FAILED), (msgspec.structs.replace(FAILED, status=400),)])
def test_a_webhook_that_is_kept_or_no_webhook_ends_it(webhooks):
    """A kept one ends the sentence; a malformed one is the sender's mistake and tells nothing of the bridge."""
    assert said(*webhooks).level == "good"


def test_an_old_refusal_is_forgotten():
    """After ten minutes without another one it says nothing about now."""
    assert said(FAILED, now=T0 + 601_000).level == "good"
