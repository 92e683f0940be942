"""The ledger's rules: what an arrival or an answer does to a row; pure, each function one row of the table.

In: the last alarm of an alert, what came in, and the time. Out: the alarm as it is afterwards. Nothing here reads
or writes; claims are respected: a row in a worker's hands is scheduled by its settle, never under it.

    report_due ──accepted──▶ reported ──has ends_at──▶ clear_due ──accepted──▶ cleared
         └────────── refused for good ──▶ rejected ◀──────┘       reported ─▶ expired
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from bridge.clock import HOUR, ZERO_TIME, Millis
from bridge.ledger.alarm import (
    Action,
    Alarm,
    Effect,
    IncomingAlert,
    MappedAlert,
    pack_ids,
    pack_starts,
    unpack_ids,
    unpack_starts,
)
from bridge.ledger.doubts import left_ids, left_starts, named_ids, told

REFUSED_ONCE = "refused"
"""The reason of a clear that AOM refused, while its list is asked whether the alarm is still there."""
CONFIRMING = "confirming"
"""The reason of a clear that AOM accepted too early to know that it was this alarm's."""
PAUSED = "paused"
"""The reason of a report that waits while its target refuses everything in the same way."""
UNSEEN = "unseen"
"""The reason of a clear whose alarm AOM has accepted, and shows in no list."""
EXPIRY_GRACE: Millis = HOUR
"""After its timeout an alarm stays open for so long here: AOM's clock and its sweep are not ours."""

INHERITED_FOR: Millis = HOUR
"""So long after its end an alarm leaves to the next one of its alert what is not settled: no list lags for longer."""


def dated(last: Alarm | None, entry: IncomingAlert, now: Millis) -> IncomingAlert:
    """Return the entry with a start: without one, it is that of the alarm that is open, or else the time of receipt."""
    if entry.starts_at > ZERO_TIME:
        return entry
    is_known = last is not None and (last.is_open or _rejected_and_firing(last))
    return replace(entry, starts_at=last.newest_starts_at if last is not None and is_known else now)


def fire(last: Alarm | None, entry: IncomingAlert) -> Effect:
    """Say what a firing alert is to the last alarm of its kind."""
    if last is not None and (last.is_open or _rejected_and_firing(last)):
        return "repeat"
    return "new" if entry.outline is not None else "dropped"


def resolve(last: Alarm | None, entry: IncomingAlert, now: Millis) -> Effect:
    """Say what a resolved alert is to the last alarm of its kind."""
    ends_at = end_of(entry, now)
    if last is not None and last.is_open:
        stale = ends_at <= last.newest_fired_at and entry.starts_at != last.newest_starts_at
        return "stale" if stale else "resolved"
    if last is not None and _rejected_and_firing(last):
        return "resolved"
    if last is not None and last.ends_at is not None and ends_at <= last.ends_at:
        return "duplicate"
    return "orphan" if entry.outline is not None else "dropped"


def born(
    entry: IncomingAlert, outline: MappedAlert, *, seq: int, alarm_id: str, now: Millis, last: Alarm | None = None
) -> Alarm:
    """Return a new alarm: `report_due` for a firing, `clear_due` for an orphan resolve; ``last`` is the one before."""
    fired_at = min(entry.starts_at, now)
    alarm = Alarm(
        seq=seq,
        id=alarm_id,
        source=entry.source,
        fingerprint=entry.fingerprint,
        target=outline.target,
        rule=outline.rule,
        severity=outline.severity,
        event_type=outline.event_type,
        timeout=outline.timeout,
        digest=outline.digest,
        state="report_due",
        is_newest=True,
        refresh_due=False,
        starts_at=entry.starts_at,
        fired_at=fired_at,
        newest_starts_at=entry.starts_at,
        newest_fired_at=fired_at,
        earliest_at=fired_at,
        received_at=now,
        last_seen=now,
        due_since=now,
        due_at=now,
    )
    if last is not None and last.finished_at is not None and now - last.finished_at < INHERITED_FOR:
        starts = left_starts(last)
        alarm = replace(alarm, doubt_at=last.doubt_at, earlier_ids=left_ids(last), earlier_starts=starts)
    if entry.status == "firing":
        return alarm
    orphan = replace(alarm, state="clear_due", ends_at=end_of(entry, now), resolved_at=now)
    return orphan if orphan.event_type == "alarm" else _finish(orphan, "cleared", now)


def repeat(last: Alarm, entry: IncomingAlert, *, reassert_after: Millis, now: Millis) -> Alarm:
    """Return the alarm after one more firing of its alert."""
    fired_at = min(entry.starts_at, now)
    alarm = replace(last, last_seen=now, starts_at=entry.starts_at, fired_at=fired_at)
    alarm = replace(alarm, earliest_at=min(last.earliest_at, fired_at))
    if fired_at >= last.newest_fired_at:
        alarm = replace(alarm, newest_starts_at=entry.starts_at, newest_fired_at=fired_at)
    if not last.is_open:
        return _mapped_anew(alarm, entry.outline, now)
    if last.state == "reported" and not last.refresh_due and _refresh_needed(alarm, reassert_after, now):
        return _due(alarm, now, refresh_due=True)
    return alarm


def resolved(last: Alarm, entry: IncomingAlert, now: Millis) -> Alarm:
    """Return the alarm after its alert has resolved: the clear goes out, if need be behind its report."""
    alarm = replace(last, ends_at=end_of(entry, now), resolved_at=now)
    if last.state == "report_due":
        return alarm
    if last.reported_at is None and last.doubt_at is None:
        return alarm  # rejected, and AOM never took it: nothing to clear
    if last.event_type == "event":
        return _finish(alarm, "cleared", now)
    return _due(alarm, now, state="clear_due", refresh_due=False, finished_at=None)


def reported(
    alarm: Alarm,
    sent_starts_at: Millis,
    now: Millis,
    *,
    sent_start: Millis | None = None,
    in_doubt: bool = False,
) -> Alarm:
    """Return the alarm after AOM accepted its report.

    Args:
        alarm: the alarm.
        sent_starts_at: the ``startsAt`` of the firing that was reported.
        now: the time.
        sent_start: the start that the report carried.
        in_doubt: an attempt of the report has an unknown outcome, too: AOM may apply it later.
    """
    settled = replace(
        told(_freed(alarm), sent_start, in_doubt=in_doubt, now=now),
        first_reported_at=alarm.first_reported_at or now,
        reported_at=now,
        reported_starts_at=sent_starts_at,
        refresh_due=False,
    )
    if alarm.ends_at is not None:
        return _clear_next(settled, now)
    if alarm.starts_at != sent_starts_at and alarm.event_type == "alarm":
        return _due(settled, now, state="reported", refresh_due=True)
    return replace(settled, state="reported")


def cleared(
    alarm: Alarm, reason: str | None, now: Millis, *, named: Sequence[str] = (), doubt_at: Millis | None = None
) -> Alarm:
    """Return the alarm after AOM accepted its clear, or holds it no longer.

    Args:
        alarm: the alarm.
        reason: why it is finished, if not by an accepted clear.
        now: the time.
        named: the ids that the clear named.
        doubt_at: since when it is in doubt whether AOM will hold it all the same; it is left to the next alarm.
    """
    settled = replace(_freed(alarm), reason=reason, doubt_at=doubt_at, named_ids=named_ids(alarm, named))
    if not named and doubt_at is None:  # by id, and settled: the next clear need not name what this one has cleared
        settled = replace(settled, named_ids=None, earlier_ids=None)
    return _finish(settled, "cleared", now)


def succeeding(alarm: Alarm, before: Alarm, now: Millis) -> Alarm:
    """Return an alarm with what the one before it, which has finished, leaves to it: ids, and a doubt with its time."""
    ids = pack_ids(unpack_ids(left_ids(before)), unpack_ids(alarm.earlier_ids))
    starts = pack_starts(unpack_starts(left_starts(before)), unpack_starts(alarm.earlier_starts))
    heir = replace(alarm, earlier_ids=ids, earlier_starts=starts)
    return heir if before.doubt_at is None else doubted(heir, before.doubt_at, now)


def refused(alarm: Alarm, action: Action, reason: str, detail: str, now: Millis) -> Alarm:
    """Return the alarm after AOM refused it for good; an alarm that AOM holds is never given up for a re-report."""
    settled = replace(_freed(alarm), reason=reason, detail=detail)
    may_be_held = alarm.reported_at is not None or alarm.doubt_at is not None
    if action == "report" and alarm.ends_at is not None and may_be_held:
        return _clear_next(settled, now)
    if action == "clear" or alarm.reported_at is None:
        return _finish(settled, "rejected", now)
    return replace(settled, state="reported", refresh_due=False)


def rescheduled(
    alarm: Alarm,
    due_at: Millis,
    reason: str,
    detail: str,
    *,
    in_doubt: bool,
    now: Millis,
    sent_start: Millis | None = None,
    named: Sequence[str] = (),
) -> Alarm:
    """Return the alarm after a try that decided nothing: due again at ``due_at``.

    Args:
        alarm: the alarm.
        due_at: when.
        reason: why it decided nothing.
        detail: the same in AOM's words.
        in_doubt: AOM may have taken what was sent, or take it later.
        now: the time.
        sent_start: the start that its report carried.
        named: the ids that its clear named.
    """
    return replace(
        told(alarm, sent_start, in_doubt=True, now=now) if in_doubt else alarm,
        claimed_by=None,
        due_since=now if alarm.due_since is None else alarm.due_since,
        due_at=due_at,
        # A refusal is counted by itself: what an outage had cost before says nothing about it.
        attempts=1 if reason == REFUSED_ONCE and alarm.reason != reason else alarm.attempts + 1,
        named_ids=named_ids(alarm, named),
        reason=reason,
        detail=detail,
    )


def confirming(
    alarm: Alarm, due_at: Millis, detail: str, *, named: Sequence[str], doubt_at: Millis | None, now: Millis
) -> Alarm:
    """Return the alarm after AOM accepted its clear while it is in doubt whether it will hold the alarm all the same.

    Args:
        alarm: the alarm.
        due_at: when AOM's list is looked at again.
        detail: AOM's words.
        named: the ids that the clear named.
        doubt_at: since when it is in doubt.
        now: the time.
    """
    waiting = rescheduled(alarm, due_at, CONFIRMING, detail, in_doubt=False, now=now, named=named)
    return replace(waiting, doubt_at=doubt_at)


def doubted(last: Alarm, doubt_at: Millis, now: Millis) -> Alarm:
    """Return an alarm, of whose alert AOM may take a report late; a clear that has passed it is sent once more.

    Args:
        last: the newest alarm of the alert, or the one that comes next.
        doubt_at: when that report was sent; a doubt that is handed on keeps its time.
        now: the time.
    """
    if last.state in ("discarded", "expired"):
        return last
    doubted = replace(last, doubt_at=max(doubt_at, last.doubt_at or 0))
    if last.event_type == "event" or last.ends_at is None or last.state == "report_due":
        return doubted
    reason = last.reason if last.state == "clear_due" else CONFIRMING if last.state == "cleared" else None
    # A clear in flight may have gone out before that report: its claim is void, and it goes out anew.
    return _due(replace(doubted, claimed_by=None), now, state="clear_due", finished_at=None, reason=reason)


def expired(alarm: Alarm, now: Millis) -> Alarm:
    """Return the alarm that nobody has fired or reported for so long that AOM has cleared it by age; or the same."""
    is_waiting = alarm.state == "reported" and alarm.is_open and alarm.due_at is None
    heard_at = max(alarm.last_seen, alarm.reported_at or 0)
    if not is_waiting or now - heard_at < alarm.timeout + EXPIRY_GRACE:
        return alarm
    return _finish(alarm, "expired", now)


def retried(alarm: Alarm, outline: MappedAlert | None, now: Millis) -> Alarm:
    """Return a rejected alarm that an operator sends again: a report mapped anew; without ``outline`` a clear."""
    changes: dict[str, Any] = {"finished_at": None, "claimed_by": None, "reason": None, "detail": None}
    freed = replace(alarm, **changes)
    if alarm.reported_at is not None or outline is None:
        return _due(freed, now, state="clear_due")
    return _mapped_anew(replace(freed, digest=""), outline, now)


def requeued(alarm: Alarm, action: Action, due_at: Millis, now: Millis) -> Alarm:
    """Return a rejected alarm whose refusal turned out to be the target's fault, not its own: due again, unchanged."""
    if alarm.state != "rejected":
        return alarm
    state = "report_due" if action == "report" else "clear_due"
    return replace(_due(replace(alarm, finished_at=None), now, state=state), due_at=due_at, reason=PAUSED)


def ended(alarm: Alarm, now: Millis) -> Alarm:
    """Return an alarm that an operator clears: as if its alert had resolved now, whatever was sent for it before."""
    alarm = replace(alarm, ends_at=now if alarm.ends_at is None else alarm.ends_at, resolved_at=now)
    if alarm.state == "report_due":
        return alarm
    if alarm.event_type == "event":
        return _finish(alarm, "cleared", now)
    return _due(alarm, now, state="clear_due", refresh_due=False, finished_at=None, reason=None, detail=None)


def discarded(alarm: Alarm, now: Millis) -> Alarm:
    """Return an alarm that an operator gives up: finished without a push."""
    ends_at = now if alarm.ends_at is None else alarm.ends_at
    return _finish(replace(alarm, ends_at=ends_at), "discarded", now)


def rejected_unreadable(alarm: Alarm, detail: str, now: Millis) -> Alarm:
    """Return an alarm whose stored event cannot be read: rejected, so that it holds up nobody."""
    return _finish(replace(alarm, reason="unreadable", detail=detail), "rejected", now)


def may_be_held(alarm: Alarm) -> bool:
    """Say whether AOM may still hold an alarm, as far as the ledger knows."""
    told = alarm.reported_at is not None or alarm.doubt_at is not None or alarm.claimed_by is not None
    is_orphan = alarm.first_reported_at is None and alarm.state == "clear_due"
    return alarm.event_type == "alarm" and alarm.state not in ("cleared", "expired") and (told or is_orphan)


def superseded(alarm: Alarm, now: Millis) -> Alarm:
    """Return the alarm now that its alert has a newer one: if that waits behind it, no wait for AOM's list goes on."""
    alarm = replace(alarm, is_newest=False)
    is_waiting = alarm.due_at is not None and alarm.claimed_by is None and alarm.state == "clear_due"
    return replace(alarm, due_at=min(now, alarm.due_at or now)) if is_waiting else alarm


def end_of(entry: IncomingAlert, now: Millis) -> Millis:
    """Return when the alert ended; a resolve without a real end has ended on receipt."""
    return now if entry.ends_at is None else entry.ends_at


def _rejected_and_firing(alarm: Alarm) -> bool:
    return alarm.state == "rejected" and alarm.ends_at is None


def _refresh_needed(alarm: Alarm, reassert_after: Millis, now: Millis) -> bool:
    """AOM is told again when the start changed or its last word is old; an event would only show twice."""
    if alarm.event_type == "event" or alarm.reported_at is None:
        return False
    # A last acceptance that lies far ahead is as old as one far behind: the clock has stepped back since.
    return alarm.starts_at != alarm.reported_starts_at or abs(now - alarm.reported_at) >= reassert_after


def _mapped_anew(alarm: Alarm, outline: MappedAlert | None, now: Millis) -> Alarm:
    """A rejected alarm gets another chance only if what would be sent has changed."""
    if outline is None or outline.digest == alarm.digest:
        return alarm
    return _due(
        alarm,
        now,
        state="report_due",
        finished_at=None,
        target=outline.target,
        rule=outline.rule,
        severity=outline.severity,
        event_type=outline.event_type,
        timeout=outline.timeout,
        digest=outline.digest,
        reason=None,
        detail=None,
    )


def _due(alarm: Alarm, now: Millis, **changes: Any) -> Alarm:  # noqa: ANN401 - fields of Alarm
    if alarm.claimed_by is None:
        changes.update(due_since=now, due_at=now, attempts=0)
    return replace(alarm, **changes)


def _freed(alarm: Alarm) -> Alarm:
    return replace(alarm, claimed_by=None, due_since=None, due_at=None, attempts=0, reason=None, detail=None)


def _clear_next(alarm: Alarm, now: Millis) -> Alarm:
    if alarm.event_type == "event":
        return _finish(alarm, "cleared", now)
    return _due(alarm, now, state="clear_due", refresh_due=False)


def _finish(alarm: Alarm, state: str, now: Millis) -> Alarm:
    return replace(alarm, state=state, finished_at=now, refresh_due=False, due_since=None, due_at=None, claimed_by=None)
