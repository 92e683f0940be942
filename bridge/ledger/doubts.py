"""The requests sent to AOM for an alarm whose effect is not certain: doubts, starts and ids; pure functions.

In: an alarm, and what was sent for it. Out: the alarm that records it, or what the next alarm of its alert inherits.
When a doubt ends is not decided here, but where AOM's list is read.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from bridge.clock import Millis
from bridge.ledger.alarm import Alarm, pack_ids, pack_starts, unpack_ids, unpack_starts


def told(alarm: Alarm, sent_start: Millis | None, *, in_doubt: bool, now: Millis) -> Alarm:
    """Return the alarm after a report that AOM has, or may have, accepted."""
    alarm = replace(alarm, doubt_at=now if in_doubt else alarm.doubt_at)
    if sent_start is None:
        return alarm
    first = sent_start if alarm.first_sent_start is None else alarm.first_sent_start
    return replace(alarm, first_sent_start=first, sent_start=sent_start)


def named_ids(alarm: Alarm, ids: Sequence[str]) -> str | None:
    """Return the ids that clears of the alarm have named, and those of one more clear; packed."""
    return pack_ids(unpack_ids(alarm.named_ids), ids) if ids else alarm.named_ids


def left_ids(alarm: Alarm) -> str | None:
    """Return the ids that do not belong to the next alarm of the alert; packed."""
    if alarm.named_ids is None:
        return alarm.earlier_ids
    return pack_ids(unpack_ids(alarm.earlier_ids), unpack_ids(alarm.named_ids))


def left_starts(alarm: Alarm) -> str | None:
    """Return the starts under which AOM may still list this alarm, or one whose doubt it has inherited; packed."""
    if alarm.doubt_at is None:
        return None
    fired = (alarm.fired_at, alarm.earliest_at) if alarm.sent_start is None else ()
    return pack_starts(unpack_starts(alarm.earlier_starts), (alarm.first_sent_start, alarm.sent_start, *fired))


def cleared(last: Alarm, before: Millis) -> Alarm:
    """Return the alarm of an alert after a search in AOM's list has ended doubts older than ``before``."""
    is_settled = last.state == "reported" and last.is_open
    if not is_settled or last.doubt_at is None or last.doubt_at > before:
        return last
    return replace(last, doubt_at=None)


def pulled_back(alarm: Alarm, now: Millis) -> Alarm:
    """Return the alarm with future times set to now: a clock has stepped back since they were written."""
    names = ("doubt_at", "first_reported_at", "reported_at")
    ahead = {name: now for name in names if (getattr(alarm, name) or 0) > now}
    return replace(alarm, **ahead) if ahead else alarm
