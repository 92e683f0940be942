"""The steps of which transitions are made: an alarm becomes due, is freed of its claim, or finishes; pure.

In: an alarm. Out: the alarm afterwards. When a step is taken is decided by `bridge.ledger.transitions` and
`bridge.ledger.audited`.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from bridge.clock import Millis
from bridge.ledger.alarm import Alarm
from bridge.ledger.states import State


def due(alarm: Alarm, now: Millis, **changes: Any) -> Alarm:  # noqa: ANN401 - values of any fields of Alarm
    """Return an alarm that is due from now on, with these changes; while it is claimed, its due time stays."""
    if alarm.claimed_by is None:
        changes.update(due_since=now, due_at=now, attempts=0)
    return replace(alarm, **changes)


def freed(alarm: Alarm) -> Alarm:
    """Return an alarm that is not claimed and waits for nothing."""
    return replace(without_reason(alarm), claimed_by=None, due_since=None, due_at=None, attempts=0)


def without_reason(alarm: Alarm) -> Alarm:
    """Return an alarm without the reason for which it waited."""
    return replace(alarm, phase=None, reason=None, detail=None)


def finish(alarm: Alarm, state: State, now: Millis) -> Alarm:
    """Return an alarm that has finished in this state."""
    return replace(alarm, state=state, finished_at=now, refresh_due=False, due_since=None, due_at=None, claimed_by=None)
