"""Captured webhooks become exactly the events that lie beside them.

`tests/support/golden.py` says what the files are, and writes the events anew after a wanted change of the mapping.
"""

import json

import msgspec
import pytest
from golden import NOW, WEBHOOKS, golden, mapped, spelled
from paths import DATA

from bridge.clock import DAY, HOUR
from bridge.emulator.validation import read_events
from bridge.event import Event, clear, report
from bridge.notification import parse

by_file = pytest.mark.parametrize("webhook", WEBHOOKS, ids=lambda path: path.stem)


def golden_events(webhook):
    """Give each alert of a webhook with its golden event."""
    alerts = parse(webhook.read_bytes()).alerts
    rows = json.loads(golden(webhook).read_text(encoding="utf-8"))
    return [(alert, msgspec.convert(row["event"], Event)) for alert, row in zip(alerts, rows, strict=True)]


def violations(entries, *, clearing, now):
    """Give what the emulated AOM has against a push of these entries."""
    _, found = read_events(msgspec.json.encode({"events": entries}), clearing=clearing, now=now)
    return found


def test_every_webhook_has_its_events_and_no_events_are_left_over():
    """The two folders hold files of the same names, and not few of them."""
    assert {path.name for path in WEBHOOKS} == {path.name for path in (DATA / "events").glob("*.json")}
    assert len(WEBHOOKS) >= 50


@by_file
def test_a_webhook_becomes_its_golden_events(webhook):
    """Each alert of a captured webhook becomes its golden event, key by key and in the same order."""
    assert spelled(webhook) == golden(webhook).read_text(encoding="utf-8")


@by_file
def test_no_captured_alert_needs_a_fallback_or_loses_a_label(webhook):
    """The default mapping has a value for every mandatory field of every captured alert, and room for all of it."""
    for _, result in mapped(webhook):
        assert result.fallbacks == ()
        assert result.left_out == 0


@by_file
@pytest.mark.parametrize("age", [0, HOUR, 30 * DAY])
def test_the_emulated_aom_takes_every_golden_report(webhook, age):
    """Every golden event is a report without any violation, at once as well as after an outage of weeks."""
    entries = [
        report(event, alarm_id=alert.fingerprint, starts_at=alert.starts_at, now=NOW + age)
        for alert, event in golden_events(webhook)
    ]
    assert violations(entries, clearing=False, now=NOW + age) == []


@by_file
def test_the_emulated_aom_takes_every_golden_clear(webhook):
    """Every golden event is a clear without any violation, even where the resolve has no end of its own."""
    entries = [
        clear(event, aom_id="a1", starts_at=alert.starts_at, ends_at=alert.ends_at or NOW, now=NOW)
        for alert, event in golden_events(webhook)
    ]
    assert violations(entries, clearing=True, now=NOW) == []


@by_file
def test_two_alerts_of_one_webhook_never_share_their_metadata(webhook):
    """AOM takes alarms with equal metadata for one, so no two alerts of a webhook have equal metadata."""
    seen = [tuple(sorted(event.metadata.items())) for _, event in golden_events(webhook)]
    assert len(set(seen)) == len(seen)
