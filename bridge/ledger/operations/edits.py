"""Edits by an operator: retry, clear, discard; one transaction for several alarms.

In: ids, prefixes of ids, fingerprints or the alarms' numbers, the current mapping, and who edits. Out: for each alarm a
sentence that says what was done, which its history keeps. It runs under the put lock, and must not let two alarms of
one alert be delivered at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bridge.clock import Millis
from bridge.errors import UnknownAlarmError
from bridge.event import Mapped
from bridge.ledger import transitions
from bridge.ledger.alarm import Alarm, AlertContext
from bridge.ledger.history import By, Step, of_edit
from bridge.ledger.operations import history, queries
from bridge.ledger.states import Edit, forbids
from bridge.ledger.storage import rows, search_rows
from bridge.ledger.storage.schema import alarms
from bridge.notification import OWN_SOURCES

_AT_ONCE = 200
"""The maximum number of rejected alarms that a retry of all changes in one transaction; webhooks run in between."""

_STILL_FIRES = "; if its alert still fires, Alertmanager's next notification raises it again"

MapAnew = Callable[[str, AlertContext], Mapped]
"""Maps an alert, given its source and the stored part of its webhook."""


class Edited(msgspec.Struct, frozen=True):
    """The result of one edit: whether it was done, a sentence about it, and whether there is such an alarm."""

    id: str
    done: bool
    text: str
    found: bool = True


class _Refusal(Exception):  # noqa: N818 - an expected answer to the operator, not an error of the program
    """Why an edit of an alarm is refused; ``found``: whether there is such an alarm."""

    def __init__(self, text: str, *, found: bool = True) -> None:
        super().__init__(text)
        self.found = found


class Editor:
    """Edits on one open transaction, which the caller commits.

    Args:
        connection: the transaction.
        map_anew: maps an alert by the current rules.
        by: who edits.
        now: the time.
    """

    def __init__(self, connection: Connection, map_anew: MapAnew, by: By, now: Millis) -> None:
        self._connection = connection
        self._map_anew = map_anew
        self._by = by
        self._now = now
        self._codec = rows.codec()
        self._steps: list[tuple[int, Step]] = []

    def run(self, edit: Edit, names: Sequence[str | int]) -> list[Edited]:
        """Apply one kind of edit to several alarms, each named as for `queries.named`, or by its number."""
        rows.lock_puts(self._connection)
        change = {"retry": self._retry, "clear": self._clear, "discard": self._discard}[edit]
        results = [self._edit(name, edit, change) for name in names]
        if any(result.done for result in results):
            rows.bump(self._connection, "edits")
        history.add(self._connection, self._steps)
        return results

    def _edit(self, name: str | int, edit: Edit, change: Callable[[Alarm], tuple[Alarm, str]]) -> Edited:
        own_id = str(name)
        try:
            alarm = self._find(name)
            own_id = alarm.id
            _check_state(alarm, edit)
            after, text = change(alarm)
        except _Refusal as refusal:
            return Edited(own_id, done=False, text=str(refusal), found=refusal.found)
        rows.update(self._connection, [(alarm, after)])
        self._steps.append((alarm.seq, of_edit(edit, self._by, text, self._now)))
        return Edited(alarm.id, done=True, text=text)

    def _find(self, name: str | int) -> Alarm:
        try:
            seq = name if isinstance(name, int) else queries.named(self._connection, name)
        except UnknownAlarmError as error:
            raise _Refusal(str(error), found=False) from None
        by_seq = rows.load(self._connection, [seq])
        if not by_seq:
            raise _Refusal("the alarm is no longer in the ledger", found=False)
        return by_seq[seq]

    def _retry(self, alarm: Alarm) -> tuple[Alarm, str]:
        if alarm.due_at is not None:
            if alarm.claimed_by is not None:
                raise _Refusal("it is being sent right now")
            return replace(alarm, due_at=min(self._now, alarm.due_at)), "it was waiting, and is tried now"
        context = self._context(alarm)
        if alarm.reported_at is not None or context.alert.status == "resolved":
            self._check_alone(alarm)
            return transitions.retried(alarm, None, self._now), "its clear is tried again"
        return self._retry_report(alarm, context)

    def _retry_report(self, alarm: Alarm, context: AlertContext) -> tuple[Alarm, str]:
        self._check_newest(alarm)
        mapped = self._map_anew(alarm.source, context)
        mapped_alert = self._codec.mapped_alert(mapped, context)
        if mapped_alert is None:
            raise _Refusal(f"rule {mapped.rule!r} drops its alert now. Fix: discard it, or change the rule")
        rows.update_contents(self._connection, [(alarm.seq, self._codec.pack(mapped_alert.contents))])
        after = transitions.retried(alarm, mapped_alert, self._now)
        search_rows.update(self._connection, [(after, mapped_alert.event_name, mapped_alert.resource)])
        text = f"mapped anew by rule {mapped.rule!r} for target {mapped.target!r}, and its report is tried again"
        if alarm.ends_at is not None:
            text += "; its clear follows, for its alert has resolved"
        return after, text

    def _clear(self, alarm: Alarm) -> tuple[Alarm, str]:
        if alarm.claimed_by is not None and alarm.state == "clear_due":
            raise _Refusal("its clear is being sent right now")
        if alarm.finished_at is not None:
            self._check_alone(alarm)
        if alarm.state == "rejected" and not transitions.may_be_held(alarm):
            raise _Refusal("AOM has never accepted it, so there is nothing to clear. Fix: discard it")
        after = transitions.cleared_by_operator(alarm, self._now)
        if after.state == "cleared":
            return after, "it is an event, which has no clear; finished"
        text = "its clear follows its report" if after.state == "report_due" else "its clear is due"
        return after, text + (_STILL_FIRES if alarm.ends_at is None and alarm.source not in OWN_SOURCES else "")

    def _discard(self, alarm: Alarm) -> tuple[Alarm, str]:
        text = "discarded; nothing is sent to AOM"
        if transitions.may_be_held(alarm):
            text += "; AOM may still hold it: clear it in AOM's console, or let it end by its timeout"
        return transitions.discarded(alarm, self._now), text

    def _check_newest(self, alarm: Alarm) -> None:
        if not alarm.is_newest:
            last = rows.last_alarms(self._connection, [alarm.key])[alarm.key]
            raise _Refusal(f"its alert has fired again since, as alarm {last.id}. Fix: discard this one")

    def _check_alone(self, alarm: Alarm) -> None:
        """Refuse while a worker holds another alarm of the alert: their requests could arrive in the wrong order."""
        claimed = sa.select(alarms.c.seq).where(
            alarms.c.source == alarm.source,
            alarms.c.fingerprint == alarm.fingerprint,
            alarms.c.claimed_by.is_not(None),
        )
        seqs = list(self._connection.execute(claimed.order_by(alarms.c.seq).with_for_update()).scalars())
        if seqs:
            raise _Refusal("another alarm of its alert is being sent right now. Fix: try again in a moment")

    def _context(self, alarm: Alarm) -> AlertContext:
        packed = rows.contents_of(self._connection, [alarm.seq]).get(alarm.seq)
        try:
            if packed is None:
                raise _Refusal("its alert is missing from the ledger. Fix: discard it")
            return self._codec.context(packed)
        except ValueError as error:
            raise _Refusal(f"its alert cannot be read: {error}. Fix: discard it") from None


def _check_state(alarm: Alarm, edit: Edit) -> None:
    if why := forbids(alarm.state, edit, is_due=alarm.due_at is not None):
        raise _Refusal(why)


def rejected(connection: Connection, *, target: str | None, source: str | None, after: int) -> list[int]:
    """Return the numbers of up to 200 rejected alarms, those above ``after``, the oldest first."""
    query = sa.select(alarms.c.seq).where(alarms.c.state == "rejected", alarms.c.seq > after)
    if target is not None:
        query = query.where(alarms.c.target == target)
    if source is not None:
        query = query.where(alarms.c.source == source)
    return list(connection.execute(query.order_by(alarms.c.seq).limit(_AT_ONCE)).scalars())
