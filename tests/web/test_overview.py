"""What the status page says of the whole: in step, or what is worst."""

import msgspec
import pytest

from bridge.ledger import LedgerStatus
from bridge.ledger.operations.status import SourceStatus, TargetStatus, WaitingAlarm
from bridge.web.overview import PeerSight, Sights, SourceSight, WebhookSight, overview

T0 = 1_795_000_000_000
NOTHING = Sights("r", "1", T0, (), (), (), (), (), {}, 0, 0, "", "")
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


@pytest.mark.parametrize(
    ("reason", "waited", "is_told"),
    [(None, 9_000, False), (None, 11_000, True), ("unavailable", 1_000, True), ("not_listed", 1_000, False)],
)
def test_what_waits_is_told_once_a_try_has_failed(reason, waited, is_told):
    """A short wait is on its way to AOM; one whose try has failed is told at once."""
    oldest = WaitingAlarm("report_due", T0, T0 + waited + 5_000, 1, reason, "503 down")
    status = LedgerStatus(T0 + waited, {"default": TargetStatus({}, 1, oldest, None, None)}, {}, [])
    assert (overview(status, NOTHING).sentence.level == "bad") == is_told


@pytest.mark.parametrize(("problem", "seconds", "is_told"), [("", 90, False), ("", 121, True), ("refused", 41, True)])
def test_a_peer_that_did_not_answer_is_told_after_one_round(problem, seconds, is_told):
    """Where it is known which peer gave no answer, that is told at once; else only after some rounds."""
    peers = [PeerSight("http://am:9093", "0.28.0", problem)]
    source = SourceSight("default", (), None, 30_000, leads=True, round_at=T0, peers=peers, notices=())
    status = LedgerStatus(T0 + seconds * 1_000, {}, {"default": SourceStatus(0, T0, {})}, [])
    sentence = overview(status, msgspec.structs.replace(NOTHING, sources=[source])).sentence
    assert (sentence.level == "warn") == is_told
    assert ("http://am:9093" in sentence.text()) == bool(problem)


def test_a_configuration_that_could_not_be_reloaded_is_told():
    """The bridge runs on with the old one, and would not start with the new one."""
    sights = msgspec.structs.replace(NOTHING, reload_problem="bridge.yaml:3:1: mapping2: unknown key.")
    sentence = overview(LedgerStatus(T0, {}, {}, []), sights).sentence
    assert "could not be reloaded" in sentence.text()
    assert "bridge.yaml:3:1: mapping2: unknown key." in sentence.text()
