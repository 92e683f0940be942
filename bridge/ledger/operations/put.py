"""Put: one transaction that takes in the alerts of several notifications; the rules decide, this module keeps.

In: the `IncomingNotification` of each notification, in the order in which they came. Out: for each of them the outcome
of every alert, or why it was refused, which leaves its neighbours untouched. All entries of one alert are folded in
memory first, so each row is written once. A transaction that failed as a whole is tried again, one notification by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError

from bridge.clock import Millis
from bridge.errors import BridgeError, LedgerFullError, LedgerUnavailableError, PayloadError
from bridge.ledger import transitions
from bridge.ledger.alarm import (
    Action,
    Alarm,
    Effect,
    IncomingAlert,
    Key,
    MappedAlert,
    StoredContents,
    action_of,
    alarm_id,
)
from bridge.ledger.counts import AlarmCounts
from bridge.ledger.storage import rows
from bridge.ledger.storage.statements import chunks
from bridge.ledger.writer.messages import IncomingNotification

_Lasts = dict[Key, Alarm]
_Rows = dict[int, Alarm]
_Contents = dict[int, StoredContents]
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_CHECKED_EACH = 1_000
"""Alerts after which the time is looked at."""


class PutResult:
    """What a put did.

    Attributes:
        outcomes: for each notification one outcome per alert, or why it was refused.
        notes: for each notification what its sender wants to hear besides.
        added: how many alarms were added.
        changes: how the counts of alarms changed.
        due: the targets and actions for which something came due.
        rare: for each target the longest time between two firings of an open alarm that is over half of its timeout.
    """

    def __init__(self) -> None:
        self.outcomes: list[list[Effect] | BridgeError] = []
        self.notes: list[bytes] = []
        self.added = 0
        self.changes = AlarmCounts()
        self.rare: dict[str, Millis] = {}
        self.due: set[tuple[str, Action]] = set()

    def add(self, other: PutResult) -> None:
        """Add what the put of the next notifications did."""
        self.outcomes += other.outcomes
        self.notes += other.notes
        self.added += other.added
        self.changes.add(other.changes)
        self.due |= other.due
        for target, gap in other.rare.items():
            self.rare[target] = max(gap, self.rare.get(target, 0))


class PutParameters(msgspec.Struct, frozen=True):
    """What a put is judged by.

    ``reassert_after``: for each target, after how long a repeat is reported again; ``room``: how many alarms may still
    be added; ``now``: the time of receipt.
    """

    reassert_after: Mapping[str, Millis]
    room: int
    now: Millis


def put(connection: Connection, parcels: Sequence[IncomingNotification], terms: PutParameters) -> PutResult:
    """Take in these notifications, in a transaction that the caller commits at once.

    Raises:
        ExpiredError: one of them is too old to be committed.
    """
    result = Put(connection, parcels, terms).run()
    for parcel in parcels:
        parcel.check()
    return result


def put_one_by_one(connection: Connection, parcels: Sequence[IncomingNotification], terms: PutParameters) -> PutResult:
    """Take in these notifications, each as if it came alone: one that fails is refused, and its neighbours are kept.

    Raises:
        ExpiredError: one became too old to be committed after it had been taken in.
    """
    total, kept = PutResult(), []
    for parcel in parcels:
        try:
            parcel.check()
            with connection.begin_nested():
                result = put(connection, [parcel], replace(terms, room=terms.room - total.added))
        except OperationalError:
            raise  # the database itself does not serve
        except Exception as error:  # noqa: BLE001 - whatever it was, its sender must get an answer
            result = PutResult()
            result.outcomes, result.notes = [_failed(error)], [b""]
        else:
            kept.append(parcel)
        total.add(result)
    for parcel in kept:
        parcel.check()
    return total


def _failed(error: Exception) -> LedgerUnavailableError:
    if isinstance(error, LedgerUnavailableError):
        return error
    problem = " ".join(str(getattr(error, "orig", "")).split())
    return LedgerUnavailableError(f"the ledger failed: {problem or type(error).__name__}")


class Put:
    """One put transaction.

    Args:
        connection: an open transaction.
        parcels: the notifications, in the order in which they came.
        terms: what it is judged by.
    """

    def __init__(self, connection: Connection, parcels: Sequence[IncomingNotification], terms: PutParameters) -> None:
        self._connection = connection
        self._parcels = parcels
        self._codec = rows.codec()
        self._reassert_after = terms.reassert_after
        self._room = terms.room
        self._now = terms.now
        self._before: _Lasts = {}
        self._last: _Lasts = {}
        self._rows: _Rows = {}
        self._new: _Contents = {}
        self._annotated: _Contents = {}
        self._remapped: _Contents = {}
        self._ids: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._undo: list[tuple[dict[Any, Any], Any, Any]] | None = None
        self._rare: dict[str, Millis] = {}
        self._seq = 0

    def run(self) -> PutResult:
        """Take in the notifications.

        Raises:
            ExpiredError: one of them has become too old to be committed.
        """
        result = PutResult()
        notifications = [_entries_of(parcel) for parcel in self._parcels]
        entries = [entry for some in notifications if not isinstance(some, PayloadError) for entry in some]
        if entries:
            self._look_up(entries)
        for parcel, some in zip(self._parcels, notifications, strict=True):
            result.outcomes.append(some if isinstance(some, PayloadError) else self._notification(parcel, some))
            result.notes.append(parcel.notes())
        result.rare = self._rare
        self._write(result)
        return result

    def _look_up(self, entries: Sequence[IncomingAlert]) -> None:
        """Read what the ledger knows of these alerts."""
        self._seq = rows.next_seq(self._connection, len(entries))
        keys = sorted({entry.key for entry in entries})
        self._before = rows.last_alarms(self._connection, keys)
        self._last = dict(self._before)
        again = [entry for entry in entries if entry.key in self._before]
        self._ids = rows.past_ids(self._connection, [alarm_id(entry.key, entry.starts_at) for entry in again])
        self._ids.update(alarm.id for alarm in self._before.values())

    def _notification(
        self, parcel: IncomingNotification, entries: Sequence[IncomingAlert]
    ) -> list[Effect] | LedgerFullError:
        self._undo = [] if len(self._new) + len(entries) > self._room else None
        added_before = len(self._new)
        outcomes = []
        for number, entry in enumerate(entries):
            if number % _CHECKED_EACH == 0:
                self._check()
            outcomes.append(self._outcome(parcel, number, entry))
        if self._undo is not None and len(self._new) > max(self._room, added_before):
            self._take_back(self._undo)
            return LedgerFullError("the ledger holds as many open alarms as store.max_open allows")
        return outcomes

    def _check(self) -> None:
        """Give up where the answers are due: who waits behind us need not wait for what is not committed."""
        for parcel in self._parcels:
            parcel.check()

    def _set(self, values: dict[_Key, _Value], key: _Key, value: _Value) -> None:
        """Set one of our values, so that the whole notification can be taken back."""
        if self._undo is not None:
            self._undo.append((values, key, values.get(key)))
        values[key] = value

    @staticmethod
    def _take_back(undo: Sequence[tuple[dict[Any, Any], Any, Any]]) -> None:
        for values, key, before in reversed(undo):
            if before is None:
                del values[key]
            else:
                values[key] = before

    def _outcome(self, parcel: IncomingNotification, number: int, entry: IncomingAlert) -> Effect:
        last = self._last.get(entry.key)
        entry = transitions.dated(last, entry, self._now)
        outcome = (
            transitions.fire(last, entry) if entry.status == "firing" else transitions.resolve(last, entry, self._now)
        )
        if outcome == "dropped" and not entry.is_mapped:
            return self._outcome(parcel, number, parcel.map(number))
        if outcome in ("new", "orphan") and entry.outline is not None:
            self._born(entry, entry.outline)
        elif outcome == "repeat" and last is not None:
            self._repeat(last, entry)
        elif outcome == "resolved" and last is not None:
            self._keep(transitions.resolved(last, entry, self._now))
        return outcome

    def _born(self, entry: IncomingAlert, outline: MappedAlert) -> None:
        own_id = self._free_id(entry)
        last = self._last.get(entry.key)
        alarm = transitions.born(entry, outline, seq=self._seq, alarm_id=own_id, now=self._now, last=last)
        self._seq += 1
        self._ids.add(own_id)
        if last is not None:
            if last.state == "expired" and entry.status == "firing":
                self._repeated_rarely(last, self._now - max(last.last_seen, last.received_at))
            self._keep(transitions.superseded(last, self._now))
        self._set(self._new, alarm.seq, outline.kept)
        self._keep(alarm)

    def _repeat(self, last: Alarm, entry: IncomingAlert) -> None:
        gap = self._now - max(last.last_seen, last.received_at)
        if last.is_open and gap * 2 > last.timeout:
            self._repeated_rarely(last, gap)
        reassert_after = self._reassert_after.get(last.target, 0)
        alarm = transitions.repeat(last, entry, reassert_after=reassert_after, now=self._now)
        outline = entry.outline
        if outline is not None and outline.digest != last.digest:
            self._contents_changed(last, alarm, outline.kept)
            alarm = replace(alarm, digest=outline.digest)
        self._keep(alarm)

    def _repeated_rarely(self, last: Alarm, gap: Millis) -> None:
        self._rare[last.target] = max(gap, self._rare.get(last.target, 0))

    def _contents_changed(self, last: Alarm, alarm: Alarm, kept: StoredContents) -> None:
        if last.seq in self._new:
            self._set(self._new, last.seq, replace(kept, event=self._new[last.seq].event))
        elif last.seq in self._remapped:
            self._set(self._remapped, last.seq, replace(kept, event=self._remapped[last.seq].event))
        elif last.state == "rejected" and alarm.state == "report_due":
            self._set(self._remapped, last.seq, kept)
        else:
            self._set(self._annotated, last.seq, kept)

    def _keep(self, alarm: Alarm) -> None:
        self._set(self._last, alarm.key, alarm)
        self._set(self._rows, alarm.seq, alarm)

    def _free_id(self, entry: IncomingAlert) -> str:
        first = alarm_id(entry.key, entry.starts_at)
        if first not in self._ids:
            return first
        number = self._numbers[first] = next_free(self._numbers.get(first, 1), partial(self._is_held, first))
        return f"{first}-{number}"

    def _is_held(self, first: str, number: int) -> bool:
        own_id = f"{first}-{number}"
        return own_id in self._ids or bool(rows.past_ids(self._connection, [own_id]))

    def _write(self, result: PutResult) -> None:
        before = {alarm.seq: alarm for alarm in self._before.values()}
        # Updates first: a re-fire may only be inserted once the alarm before it has its end.
        rows.update(self._connection, [(before[seq], alarm) for seq, alarm in self._rows.items() if seq in before])
        pack = self._codec.pack
        for some in chunks(list(self._new)):
            self._check()
            rows.insert(self._connection, [(self._rows[seq], pack(self._new[seq])) for seq in some])
        self._write_contents()
        result.added = len(self._new)
        for seq, alarm in self._rows.items():
            result.changes.added(alarm)
            if alarm.due_at is not None:
                result.due.add((alarm.target, action_of(alarm.state)))
            if seq in before:
                result.changes.removed(before[seq])

    def _write_contents(self) -> None:
        """Write today's annotations beside the frozen event; what AOM has never taken is not frozen yet."""
        changed = dict(self._remapped)
        before = rows.contents_of(self._connection, list(self._annotated))
        for seq, blob in before.items():
            changed[seq] = replace(self._annotated[seq], event=self._codec.unpack(blob).event)
        rows.update_contents(self._connection, [(seq, self._codec.pack(kept)) for seq, kept in changed.items()])


def _entries_of(parcel: IncomingNotification) -> list[IncomingAlert] | PayloadError:
    try:
        return parcel.open()
    except PayloadError as error:
        return error


def next_free(held: int, is_held: Callable[[int], bool]) -> int:
    """Return a number that is free and follows one that is held, in as few questions as there are bits in it.

    Args:
        held: a number that is held.
        is_held: says whether another one is.
    """
    free, step = held + 1, 1
    while is_held(free):
        held, free, step = free, free + step, step * 2
    while free - held > 1:
        between = (held + free) // 2
        held, free = (between, free) if is_held(between) else (held, between)
    return free
