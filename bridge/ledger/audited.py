"""How an alarm changes by what AOM's own list shows; pure functions.

In: an alarm, and what the list shows of it. Out: the alarm afterwards. Whether the list proves anything is decided by
`bridge.reconcile.audit`.
"""

from __future__ import annotations

from typing import Literal

from msgspec.structs import replace

from bridge.clock import Millis
from bridge.ledger import steps
from bridge.ledger.alarm import Adopted, Alarm

GHOST = "ghost"
"""The reason of an alarm whose clear is due again because AOM's list shows it open."""


def haunted(alarm: Alarm, now: Millis) -> Alarm:
    """Return a finished alarm that AOM shows open: its clear is due again, and the list confirms it."""
    if alarm.finished_at is None or alarm.state == "discarded" or alarm.event_type == "event":
        return alarm
    ends_at = now if alarm.ends_at is None else alarm.ends_at
    again = replace(steps.without_reason(alarm), claimed_by=None, ends_at=ends_at, phase="confirming", reason=GHOST)
    return steps.due(again, now, state="clear_due", finished_at=None)


def cleared_elsewhere(alarm: Alarm, then: Literal["report", "wait", "finish"], now: Millis) -> Alarm:
    """Return an open alarm that AOM no longer shows; ``then``: as in `bridge.ledger.decisions.ClearedElsewhere`."""
    if alarm.state != "reported" or not alarm.is_open or alarm.due_at is not None or alarm.event_type == "event":
        return alarm
    match then:
        case "report":
            return steps.due(alarm, now, refresh_due=True)
        case "wait":
            return alarm if alarm.reported_starts_at is None else replace(alarm, reported_starts_at=None)
    return steps.finish(replace(alarm, ends_at=now, ended_by="elsewhere"), "cleared", now)


def adopted(alarm: Alarm, held: Adopted) -> Alarm:
    """Return a new alarm as reported: AOM holds it already."""
    return replace(
        steps.freed(alarm),
        state="reported",
        first_reported_at=held.arrives_at,
        reported_at=held.arrives_at,
        reported_starts_at=alarm.starts_at,
        first_sent_start=held.starts_at,
        sent_start=held.starts_at,
        earliest_at=min(alarm.earliest_at, held.starts_at),
    )
