"""How an incoming alert, a decision or an edit changes an alarm; pure functions, one for each transition.

In: the newest alarm of an alert, the incoming alert or the decision, and the time. Out: the alarm afterwards. Nothing
here reads or writes the database. While a worker holds a claim on an alarm, its due time does not change: the settle
of that worker sets it.

    report_due ──accepted──▶ reported ──has ends_at──▶ clear_due ──accepted──▶ cleared
         └────────── refused for good ──▶ rejected ◀──────┘       reported ─▶ expired
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from bridge.clock import HOUR, ZERO_TIME, Millis
from bridge.ledger import audited, doubts, steps
from bridge.ledger.alarm import (
    API_ENDINGS,
    Alarm,
    Effect,
    IncomingAlert,
    MappedAlert,
    pack_ids,
    pack_starts,
    unpack_ids,
    unpack_starts,
)
from bridge.ledger.decisions import (
    Cleared,
    ClearedElsewhere,
    Confirming,
    Decision,
    DoubtCleared,
    Doubtful,
    DoubtPulledBack,
    Haunted,
    Refused,
    Reported,
    Requeued,
    Rescheduled,
    Unreadable,
)
from bridge.ledger.doubts import left_ids, left_starts, named_ids, told
from bridge.ledger.states import STATES

EXPIRY_GRACE: Millis = HOUR
"""An alarm expires this long after its timeout: AOM's clock may differ, and AOM clears by age with a delay."""

INHERITED_FOR: Millis = HOUR
"""A new alarm inherits doubt, ids and starts from one of its alert that finished less than this time ago: AOM's list
lags behind by less than that."""


def dated(last: Alarm | None, incoming: IncomingAlert, now: Millis) -> IncomingAlert:
    """Return the alert with a ``starts_at``; if it has none, that of its open alarm, or else the time of receipt."""
    if incoming.starts_at > ZERO_TIME:
        return incoming
    is_known = last is not None and (last.is_open or _rejected_and_firing(last))
    return replace(incoming, starts_at=last.newest_starts_at if last is not None and is_known else now)


def fire(last: Alarm | None, incoming: IncomingAlert) -> Effect:
    """Return the effect of a firing alert, given the newest alarm of the same alert."""
    if last is not None and holds(last):
        return "repeat"
    return "new" if incoming.mapped is not None else "dropped"


def holds(last: Alarm) -> bool:
    """Say whether the newest alarm of an alert has no end: it is open, or was rejected while its alert fires."""
    return last.is_open or _rejected_and_firing(last)


def resolve(last: Alarm | None, incoming: IncomingAlert, now: Millis) -> Effect:
    """Return the effect of a resolved alert, given the newest alarm of the same alert."""
    ends_at = end_of(incoming, now)
    if last is not None and last.is_open:
        stale = ends_at <= last.newest_fired_at and incoming.starts_at != last.newest_starts_at
        return "stale" if stale else "resolved"
    if last is not None and _rejected_and_firing(last):
        return "resolved"
    if last is not None and last.ends_at is not None and (ends_at <= last.ends_at or is_own_resolve(last, incoming)):
        return "duplicate"
    return "orphan" if incoming.mapped is not None else "dropped"


def is_own_resolve(last: Alarm, incoming: IncomingAlert) -> bool:
    """Say whether a resolve is the one of an alarm that was ended by what the API shows, before its webhook came."""
    is_stale = (incoming.ends_at or 0) <= last.newest_fired_at and incoming.starts_at != last.newest_starts_at
    return last.ended_by in API_ENDINGS and incoming.cause is None and not is_stale


def born(
    incoming: IncomingAlert, mapped: MappedAlert, *, seq: int, alarm_id: str, now: Millis, last: Alarm | None = None
) -> Alarm:
    """Return a new alarm: `report_due` for a firing, `clear_due` for an orphan resolve; ``last``: the previous one."""
    fired_at = min(incoming.starts_at, now)
    alarm = Alarm(
        seq=seq,
        id=alarm_id,
        source=incoming.source,
        fingerprint=incoming.fingerprint,
        target=mapped.target,
        rule=mapped.rule,
        severity=mapped.severity,
        event_type=mapped.event_type,
        timeout=mapped.timeout,
        digest=mapped.digest,
        state="report_due",
        is_newest=True,
        refresh_due=False,
        starts_at=incoming.starts_at,
        fired_at=fired_at,
        newest_starts_at=incoming.starts_at,
        newest_fired_at=fired_at,
        earliest_at=fired_at,
        received_at=now,
        last_seen=now,
        due_since=now,
        due_at=now,
        opened_by=incoming.cause,
    )
    if last is not None and last.finished_at is not None and now - last.finished_at < INHERITED_FOR:
        starts = left_starts(last)
        alarm = replace(alarm, doubt_at=last.doubt_at, earlier_ids=left_ids(last), earlier_starts=starts)
    if incoming.status == "firing":
        return alarm if incoming.adopted is None else audited.adopted(alarm, incoming.adopted)
    orphan = replace(alarm, state="clear_due", ends_at=end_of(incoming, now), resolved_at=now)
    return orphan if orphan.event_type == "alarm" else steps.finish(orphan, "cleared", now)


def repeat(last: Alarm, incoming: IncomingAlert, *, reassert_after: Millis, now: Millis) -> Alarm:
    """Return the alarm after its alert has fired once more."""
    fired_at = min(incoming.starts_at, now)
    alarm = replace(last, last_seen=now, starts_at=incoming.starts_at, fired_at=fired_at)
    alarm = replace(alarm, earliest_at=min(last.earliest_at, fired_at))
    if fired_at >= last.newest_fired_at:
        alarm = replace(alarm, newest_starts_at=incoming.starts_at, newest_fired_at=fired_at)
    if not last.is_open:
        return _mapped_anew(alarm, incoming.mapped, now)
    if last.state == "reported" and not last.refresh_due and _refresh_needed(alarm, reassert_after, now):
        return steps.due(alarm, now, refresh_due=True)
    return alarm


def resolved(last: Alarm, incoming: IncomingAlert, now: Millis) -> Alarm:
    """Return the alarm after its alert has resolved: its clear is due, or becomes due once its report is accepted."""
    alarm = replace(last, ends_at=end_of(incoming, now), resolved_at=now, ended_by=incoming.cause)
    if last.state == "report_due":
        return alarm
    if last.reported_at is None and last.doubt_at is None:
        return alarm  # rejected, and AOM never took it: nothing to clear
    if last.event_type == "event":
        return steps.finish(alarm, "cleared", now)
    return steps.due(alarm, now, state="clear_due", refresh_due=False, finished_at=None)


def confirmed(last: Alarm, incoming: IncomingAlert, now: Millis) -> Alarm:
    """Return an alarm that the API had ended, after its own resolve has come by webhook, which knows its end."""
    return replace(last, ends_at=end_of(incoming, now), ended_by=None)


def apply(alarm: Alarm, decision: Decision, now: Millis) -> Alarm:
    """Return the alarm after a decision about it."""
    return _BY_DECISION[type(decision)](alarm, decision, now)


def _reported(alarm: Alarm, decision: Reported, now: Millis) -> Alarm:
    settled = replace(
        told(steps.freed(alarm), decision.sent_start, in_doubt=decision.in_doubt, now=now),
        first_reported_at=alarm.first_reported_at or now,
        reported_at=now,
        reported_starts_at=decision.sent_starts_at,
        refresh_due=False,
    )
    if alarm.ends_at is not None:
        return _clear_next(settled, now)
    if alarm.starts_at != decision.sent_starts_at and alarm.event_type == "alarm":
        return steps.due(settled, now, state="reported", refresh_due=True)
    return replace(settled, state="reported")


def _cleared(alarm: Alarm, decision: Cleared, now: Millis) -> Alarm:
    named = named_ids(alarm, decision.named)
    settled = replace(steps.freed(alarm), reason=decision.reason, doubt_at=decision.doubt_at, named_ids=named)
    if not decision.named and decision.doubt_at is None:
        # AOM no longer holds it: later clears need not name these ids.
        settled = replace(settled, named_ids=None, earlier_ids=None)
    return steps.finish(settled, "cleared", now)


def succeeding(alarm: Alarm, before: Alarm, now: Millis) -> Alarm:
    """Return an alarm with the ids, the starts and the doubt that it inherits from the previous one, now finished."""
    ids = pack_ids(unpack_ids(left_ids(before)), unpack_ids(alarm.earlier_ids))
    starts = pack_starts(unpack_starts(left_starts(before)), unpack_starts(alarm.earlier_starts))
    heir = replace(alarm, earlier_ids=ids, earlier_starts=starts)
    return heir if before.doubt_at is None else doubtful(heir, before.doubt_at, now)


def _refused(alarm: Alarm, decision: Refused, now: Millis) -> Alarm:
    """An alarm that AOM holds stays open when AOM refuses a re-report."""
    settled = replace(steps.freed(alarm), reason=decision.reason, detail=decision.detail)
    was_told = alarm.reported_at is not None or alarm.doubt_at is not None
    if decision.action == "report" and alarm.ends_at is not None and was_told:
        return _clear_next(settled, now)
    if decision.action == "clear" or alarm.reported_at is None:
        return steps.finish(settled, "rejected", now)
    return replace(settled, state="reported", refresh_due=False)


def _rescheduled(alarm: Alarm, decision: Rescheduled, now: Millis) -> Alarm:
    # Attempts start again at the first refusal: those of an outage before it do not count.
    is_first_refusal = decision.phase == "refused_once" and alarm.phase != "refused_once"
    return replace(
        told(alarm, decision.sent_start, in_doubt=True, now=now) if decision.in_doubt else alarm,
        claimed_by=None,
        due_since=now if alarm.due_since is None else alarm.due_since,
        due_at=decision.due_at,
        attempts=1 if is_first_refusal else alarm.attempts + 1,
        named_ids=named_ids(alarm, decision.named),
        phase=decision.phase,
        reason=decision.reason,
        detail=decision.detail,
    )


def _confirming(alarm: Alarm, decision: Confirming, now: Millis) -> Alarm:
    again = Rescheduled(decision.due_at, "confirming", "confirming", decision.detail, named=decision.named)
    return replace(_rescheduled(alarm, again, now), doubt_at=decision.doubt_at)


def _requeued(alarm: Alarm, decision: Requeued, now: Millis) -> Alarm:
    if alarm.state != "rejected":
        return alarm
    state = "report_due" if decision.action == "report" else "clear_due"
    again = steps.due(replace(alarm, finished_at=None), now, state=state)
    return replace(again, due_at=decision.due_at, phase="paused", reason="paused")


def doubtful(last: Alarm, doubt_at: Millis, now: Millis) -> Alarm:
    """Mark an alarm as doubtful: AOM may apply a report of its alert late, so a clear that was sent is sent again.

    Args:
        last: the newest alarm of the alert, or the one that comes next.
        doubt_at: when that report was sent; an inherited doubt keeps its time.
        now: the time.
    """
    if last.state in ("discarded", "expired"):
        return last
    doubted = replace(last, doubt_at=max(doubt_at, last.doubt_at or 0))
    if last.event_type == "event" or last.ends_at is None or last.state == "report_due":
        return doubted
    phase, reason = last.phase, last.reason
    if last.state != "clear_due":
        phase = "confirming" if last.state == "cleared" else None
        reason = phase
    # A clear in flight may have been sent before that report: its claim is cancelled, and the clear is due again.
    again = replace(doubted, claimed_by=None, phase=phase, reason=reason)
    return steps.due(again, now, state="clear_due", finished_at=None)


def expired(alarm: Alarm, now: Millis) -> Alarm:
    """Return the alarm as expired if its last firing and last report are so old that AOM has cleared it by age."""
    is_waiting = alarm.state == "reported" and alarm.is_open and alarm.due_at is None
    heard_at = max(alarm.last_seen, alarm.reported_at or 0)
    if not is_waiting or now - heard_at < alarm.timeout + EXPIRY_GRACE:
        return alarm
    return steps.finish(alarm, "expired", now)


def retried(alarm: Alarm, mapped: MappedAlert | None, now: Millis) -> Alarm:
    """Return a rejected alarm after an operator retried it: its report, mapped again; without ``mapped`` its clear."""
    freed = replace(steps.without_reason(alarm), finished_at=None, claimed_by=None)
    if alarm.reported_at is not None or mapped is None:
        return steps.due(freed, now, state="clear_due")
    return _mapped_anew(replace(freed, digest=""), mapped, now)


def cleared_by_operator(alarm: Alarm, now: Millis) -> Alarm:
    """Return the alarm after an operator cleared it; the same as if its alert had resolved now."""
    ends_at = now if alarm.ends_at is None else alarm.ends_at
    alarm = replace(alarm, ends_at=ends_at, resolved_at=now, ended_by="operator")
    if alarm.state == "report_due":
        return alarm
    if alarm.event_type == "event":
        return steps.finish(alarm, "cleared", now)
    return steps.due(steps.without_reason(alarm), now, state="clear_due", refresh_due=False, finished_at=None)


def discarded(alarm: Alarm, now: Millis) -> Alarm:
    """Return an alarm after an operator discarded it: finished, and nothing is sent to AOM."""
    ends_at = now if alarm.ends_at is None else alarm.ends_at
    return steps.finish(replace(alarm, ends_at=ends_at, ended_by="operator"), "discarded", now)


def may_be_held(alarm: Alarm) -> bool:
    """Say whether AOM may still hold an alarm, as far as the ledger knows."""
    was_told = alarm.reported_at is not None or alarm.doubt_at is not None or alarm.claimed_by is not None
    is_orphan = alarm.first_reported_at is None and alarm.state == "clear_due"
    return alarm.event_type == "alarm" and STATES[alarm.state].may_be_held and (was_told or is_orphan)


def superseded(alarm: Alarm, now: Millis, *, fires_again: bool) -> Alarm:
    """Return the alarm after a newer one was added; if that one fires, this clear waits for AOM's list no longer."""
    alarm = replace(alarm, is_newest=False)
    is_waiting = alarm.due_at is not None and alarm.claimed_by is None and alarm.state == "clear_due"
    return replace(alarm, due_at=min(now, alarm.due_at or now)) if fires_again and is_waiting else alarm


def end_of(incoming: IncomingAlert, now: Millis) -> Millis:
    """Return when the alert ended; without an ``ends_at``, the time of receipt."""
    return now if incoming.ends_at is None else incoming.ends_at


def _rejected_and_firing(alarm: Alarm) -> bool:
    return alarm.state == "rejected" and alarm.ends_at is None


def _refresh_needed(alarm: Alarm, reassert_after: Millis, now: Millis) -> bool:
    """Re-report if ``startsAt`` changed or the last acceptance is older than ``reassert_after``; never an event."""
    if alarm.event_type == "event" or alarm.reported_at is None:
        return False
    # An acceptance far in the future counts as old, too: the clock has stepped back since.
    return alarm.starts_at != alarm.reported_starts_at or abs(now - alarm.reported_at) >= reassert_after


def _mapped_anew(alarm: Alarm, mapped: MappedAlert | None, now: Millis) -> Alarm:
    """Make a rejected alarm due again, but only if its event has changed."""
    if mapped is None or mapped.digest == alarm.digest:
        return alarm
    return steps.due(
        steps.without_reason(alarm),
        now,
        state="report_due",
        finished_at=None,
        target=mapped.target,
        rule=mapped.rule,
        severity=mapped.severity,
        event_type=mapped.event_type,
        timeout=mapped.timeout,
        digest=mapped.digest,
    )


def _clear_next(alarm: Alarm, now: Millis) -> Alarm:
    if alarm.event_type == "event":
        return steps.finish(alarm, "cleared", now)
    return steps.due(alarm, now, state="clear_due", refresh_due=False)


def _unreadable(alarm: Alarm, decision: Unreadable, now: Millis) -> Alarm:
    return steps.finish(replace(alarm, reason="unreadable", detail=decision.detail), "rejected", now)


_BY_DECISION: dict[type, Callable[[Alarm, Any, Millis], Alarm]] = {
    Reported: _reported,
    Cleared: _cleared,
    Refused: _refused,
    Rescheduled: _rescheduled,
    Confirming: _confirming,
    Unreadable: _unreadable,
    Requeued: _requeued,
    Doubtful: lambda alarm, decision, now: doubtful(alarm, decision.doubt_at, now),
    DoubtCleared: lambda alarm, decision, _now: doubts.cleared(alarm, decision.before),
    DoubtPulledBack: lambda alarm, _decision, now: doubts.pulled_back(alarm, now),
    Haunted: lambda alarm, _decision, now: audited.haunted(alarm, now),
    ClearedElsewhere: lambda alarm, decision, now: audited.cleared_elsewhere(alarm, decision.then, now),
}
