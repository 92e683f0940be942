"""What AOM was told of an alarm, and what of it is not settled: doubts, starts and ids; pure.

In: an alarm, and what was sent for it. Out: the alarm with that, or what it leaves to the next alarm of its alert. When
a doubt is over, and what is done then, is decided where AOM's list is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from bridge.clock import Millis
from bridge.ledger.alarm import Alarm, pack_ids, pack_starts, unpack_ids, unpack_starts


def told(alarm: Alarm, sent_start: Millis | None, *, in_doubt: bool, now: Millis) -> Alarm:
    """Return the alarm after a report that AOM has taken, or may have taken."""
    alarm = replace(alarm, doubt_at=now if in_doubt else alarm.doubt_at)
    if sent_start is None:
        return alarm
    first = sent_start if alarm.first_sent_start is None else alarm.first_sent_start
    return replace(alarm, first_sent_start=first, sent_start=sent_start)


def named_ids(alarm: Alarm, ids: Sequence[str]) -> str | None:
    """Return the ids that clears of the alarm have named, with those of one more clear."""
    return pack_ids(unpack_ids(alarm.named_ids), ids) if ids else alarm.named_ids


def left_ids(alarm: Alarm) -> str | None:
    """Return the ids that the next alarm of the alert must not take for its own."""
    if alarm.named_ids is None:
        return alarm.earlier_ids
    return pack_ids(unpack_ids(alarm.earlier_ids), unpack_ids(alarm.named_ids))


def left_starts(alarm: Alarm) -> str | None:
    """Return the starts under which AOM may still show this alarm, or one that it has inherited its doubt from."""
    if alarm.doubt_at is None:
        return None
    told = (alarm.fired_at, alarm.earliest_at) if alarm.sent_start is None else ()
    return pack_starts(unpack_starts(alarm.earlier_starts), (alarm.first_sent_start, alarm.sent_start, *told))


def cleared(last: Alarm, before: Millis) -> Alarm:
    """Return the open alarm of an alert after a look into AOM has ended the doubts about it that are older."""
    is_settled = last.state == "reported" and last.is_open
    if not is_settled or last.doubt_at is None or last.doubt_at > before:
        return last
    return replace(last, doubt_at=None)


def pulled_back(alarm: Alarm, now: Millis) -> Alarm:
    """Return the alarm without times that lie ahead: a clock has stepped back since they were written."""
    names = ("doubt_at", "first_reported_at", "reported_at")
    ahead = {name: now for name in names if (getattr(alarm, name) or 0) > now}
    return replace(alarm, **ahead) if ahead else alarm
