"""Put: one transaction that takes in the alerts of several notifications; `bridge.ledger.transitions` holds the rules.

In: `OpenedNotification`s, in the order in which they were received. Out: for each of them the effect of every alert,
or the error that refused it, which does not affect the others. All changes to one alarm are combined in memory first,
so that each row is written once. If the transaction fails, `put_one_by_one` takes in the notifications one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import msgspec
from msgspec.structs import replace
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError

from bridge.clock import Millis
from bridge.errors import BridgeError, LedgerFullError, LedgerUnavailableError, PayloadError
from bridge.event import alarm_id
from bridge.ledger import transitions
from bridge.ledger.alarm import (
    OWN_ID,
    Alarm,
    Effect,
    IncomingAlert,
    Key,
    MappedAlert,
    StoredContents,
    action_of,
)
from bridge.ledger.counts import AlarmCounts
from bridge.ledger.incoming import OpenedNotification
from bridge.ledger.operations import heartbeats
from bridge.ledger.operations.heartbeats import SwitchRow
from bridge.ledger.states import Action
from bridge.ledger.storage import rows, search_rows
from bridge.ledger.storage.statements import chunks
from bridge.notification import Sign

_Lasts = dict[Key, Alarm]
_Rows = dict[int, Alarm]
_Contents = dict[int, StoredContents]
_Names = dict[int, tuple[str, str]]
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_CHECKED_EACH = 1_000
"""The deadline is checked each time after this number of alerts."""


class Refusal(msgspec.Struct, frozen=True):
    """Why one notification was refused: the kind of the error, and its text."""

    kind: Literal["payload", "full", "unavailable"]
    text: str

    @classmethod
    def of(cls, error: PayloadError | LedgerUnavailableError) -> Refusal:
        """Return the refusal with an error."""
        if isinstance(error, PayloadError):
            return cls("payload", str(error))
        return cls("full" if isinstance(error, LedgerFullError) else "unavailable", str(error))

    def error(self) -> BridgeError:
        """Return the error."""
        kinds = {"payload": PayloadError, "full": LedgerFullError, "unavailable": LedgerUnavailableError}
        return kinds[self.kind](self.text)


class PutResult(msgspec.Struct, tag=True):
    """What a put did.

    ``effects``: for each notification the effect of each alert, or why the notification was refused. ``reports``: for
    each notification the packed report of its mapping; empty where nothing was mapped here. ``added``: how many alarms
    were added. ``changes``: how the counts of alarms changed. ``due``: the targets and actions for which an alarm
    became due. ``rare``: for each target the longest gap between two firings of an open alarm, in milliseconds; only
    gaps of more than half of the alarm's timeout.
    """

    effects: list[list[Effect] | Refusal] = []
    reports: list[bytes] = []
    added: int = 0
    changes: AlarmCounts = msgspec.field(default_factory=AlarmCounts)
    due: set[tuple[str, Action]] = set()
    rare: dict[str, Millis] = {}

    def add(self, other: PutResult) -> None:
        """Add the result of the put of the next notifications."""
        self.effects += other.effects
        self.reports += other.reports
        self.added += other.added
        self.changes.add(other.changes)
        self.due |= other.due
        for target, gap in other.rare.items():
            self.rare[target] = max(gap, self.rare.get(target, 0))

    def note(self, written: Mapping[int, Alarm], before: Mapping[int, Alarm], added: int) -> None:
        """Note the alarms that were written, as they are and as they were, and how many of them were added."""
        self.added = added
        for seq, alarm in written.items():
            self.changes.change(alarm, 1)
            if alarm.due_at is not None:
                self.due.add((alarm.target, action_of(alarm.state)))
            if seq in before:
                self.changes.change(before[seq], -1)


class PutParameters(msgspec.Struct, frozen=True):
    """Parameters of a put."""

    reassert_after: Mapping[str, Millis]
    """For each target: a repeat is reported again when the last accepted report is at least this old."""
    remaining: int
    """The maximum number of alarms that this put may add."""
    now: Millis
    """The time of receipt."""


def put(connection: Connection, notifications: Sequence[OpenedNotification], parameters: PutParameters) -> PutResult:
    """Take in these notifications, in a transaction that the caller commits immediately afterwards.

    Raises:
        ExpiredError: the deadline of one of them has passed.
    """
    result = Put(connection, notifications, parameters).run()
    for notification in notifications:
        notification.check()
    return result


def put_one_by_one(
    connection: Connection, notifications: Sequence[OpenedNotification], parameters: PutParameters
) -> PutResult:
    """Take in these notifications, each in a savepoint of its own: one that fails is refused, the others are stored.

    Raises:
        ExpiredError: the deadline of one of them passed after it had been taken in.
    """
    total, taken_in = PutResult(), []
    for notification in notifications:
        try:
            notification.check()
            with connection.begin_nested():
                result = put(
                    connection, [notification], replace(parameters, remaining=parameters.remaining - total.added)
                )
        except OperationalError:
            raise  # the database is unavailable: retrying one by one cannot help
        except Exception as error:  # noqa: BLE001 - its sender gets an answer, whatever the error is
            result = PutResult([Refusal.of(_failed(error))], [b""])
        else:
            taken_in.append(notification)
        total.add(result)
    for notification in taken_in:
        notification.check()
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
        notifications: the notifications, in the order in which they were received.
        parameters: its parameters.
    """

    def __init__(
        self, connection: Connection, notifications: Sequence[OpenedNotification], parameters: PutParameters
    ) -> None:
        self._connection = connection
        self._notifications = notifications
        self._codec = rows.codec()
        self._reassert_after = parameters.reassert_after
        self._remaining = parameters.remaining
        self._now = parameters.now
        self._before: _Lasts = {}
        self._last: _Lasts = {}
        self._rows: _Rows = {}
        self._new: _Contents = {}
        self._annotated: _Contents = {}
        self._remapped: _Contents = {}
        self._names: _Names = {}
        self._ids: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._signs: dict[str, SwitchRow] = {}
        self._undo: list[tuple[dict[Any, Any], Any, Any]] | None = None
        self._rare: dict[str, Millis] = {}
        self._seq = 0

    def run(self) -> PutResult:
        """Take in the notifications.

        Raises:
            ExpiredError: the deadline of one of them has passed.
        """
        result = PutResult()
        parsed = [_alerts_of(notification) for notification in self._notifications]
        every_alert = [incoming for alerts in parsed if not isinstance(alerts, Refusal) for incoming in alerts]
        if every_alert:
            self._look_up(every_alert)
        for notification, alerts in zip(self._notifications, parsed, strict=True):
            effects = alerts if isinstance(alerts, Refusal) else self._notification(notification, alerts)
            result.effects.append(effects)
            result.reports.append(notification.report())
        result.rare = self._rare
        self._write(result)
        return result

    def _look_up(self, alerts: Sequence[IncomingAlert]) -> None:
        """Read the newest alarm of each of these alerts, and the ids that are used already."""
        self._seq = rows.next_seq(self._connection, len(alerts))
        keys = sorted({incoming.key for incoming in alerts})
        self._before = rows.last_alarms(self._connection, keys)
        self._last = dict(self._before)
        again = [alarm_id(one.key, one.starts_at) for one in alerts if one.key in self._before]
        used = rows.used_ids(self._connection, [one.adopted.id for one in alerts if one.adopted])
        self._ids = rows.past_ids(self._connection, again) | used | {alarm.id for alarm in self._before.values()}

    def _notification(
        self, notification: OpenedNotification, alerts: Sequence[IncomingAlert]
    ) -> list[Effect] | Refusal:
        self._undo = [] if len(self._new) + len(alerts) > self._remaining else None
        added_before = len(self._new)
        effects = []
        for number, incoming in enumerate(alerts):
            if number % _CHECKED_EACH == 0:
                self._check()
            effects.append(self._effect(notification, number, incoming))
        if self._undo is not None and len(self._new) > max(self._remaining, added_before):
            _undo_changes(self._undo)
            return Refusal("full", "the ledger holds as many open alarms as store.max_open allows")
        return effects

    def _check(self) -> None:
        """Raise when a deadline has passed: puts that wait should not wait for a transaction that is rolled back."""
        for notification in self._notifications:
            notification.check()

    def _set(self, values: dict[_Key, _Value], key: _Key, value: _Value) -> None:
        """Set a value, and record the previous one, so that the whole notification can be undone."""
        if self._undo is not None:
            self._undo.append((values, key, values.get(key)))
        values[key] = value

    def _effect(self, notification: OpenedNotification, number: int, incoming: IncomingAlert) -> Effect:
        if incoming.sign is not None:
            return self._sign(incoming, incoming.sign)
        last = self._last.get(incoming.key)
        incoming = transitions.dated(last, incoming, self._now)
        effect = (
            transitions.fire(last, incoming)
            if incoming.status == "firing"
            else transitions.resolve(last, incoming, self._now)
        )
        if effect == "dropped" and not incoming.is_mapped:
            return self._effect(notification, number, notification.map(number))
        if effect in ("new", "orphan") and incoming.mapped is not None:
            self._born(incoming, incoming.mapped)
        elif effect == "repeat" and last is not None:
            self._repeat(last, incoming)
        elif effect == "resolved" and last is not None:
            self._set_alarm(transitions.resolved(last, incoming, self._now))
        elif effect == "duplicate" and last is not None and transitions.is_own_resolve(last, incoming):
            self._set_alarm(transitions.confirmed(last, incoming, self._now))
        return effect

    def _sign(self, incoming: IncomingAlert, sign: Sign) -> Effect:
        """Note a sign of a heartbeat; an alarm of the alert from before the heartbeat was declared is ended."""
        last = self._last.get(incoming.key)
        if last is not None and transitions.holds(last):
            self._set_alarm(transitions.resolved(last, replace(incoming, cause="heartbeat"), self._now))
        before = self._signs.get(sign.fingerprint) or heartbeats.row(self._connection, sign.fingerprint)
        after = heartbeats.signed(before, sign, incoming, self._now)
        if after is not None:
            self._set(self._signs, after.fingerprint, after)
        return "heartbeat"

    def _born(self, incoming: IncomingAlert, mapped: MappedAlert) -> None:
        own_id = self._free_id(incoming)
        last = self._last.get(incoming.key)
        alarm = transitions.born(incoming, mapped, seq=self._seq, alarm_id=own_id, now=self._now, last=last)
        self._seq += 1
        self._ids.add(own_id)
        if last is not None:
            if last.state == "expired" and incoming.status == "firing":
                self._repeated_rarely(last, self._now - max(last.last_seen, last.received_at))
            self._set_alarm(transitions.superseded(last, self._now, fires_again=incoming.status == "firing"))
        self._set(self._new, alarm.seq, mapped.contents)
        self._set(self._names, alarm.seq, (mapped.event_name, mapped.resource))
        self._set_alarm(alarm)

    def _repeat(self, last: Alarm, incoming: IncomingAlert) -> None:
        gap = self._now - max(last.last_seen, last.received_at)
        if last.is_open and gap * 2 > last.timeout:
            self._repeated_rarely(last, gap)
        reassert_after = self._reassert_after.get(last.target, 0)
        alarm = transitions.repeat(last, incoming, reassert_after=reassert_after, now=self._now)
        mapped = incoming.mapped
        if mapped is not None and mapped.digest != last.digest:
            self._contents_changed(last, alarm, mapped)
            alarm = replace(alarm, digest=mapped.digest)
        self._set_alarm(alarm)

    def _repeated_rarely(self, last: Alarm, gap: Millis) -> None:
        self._rare[last.target] = max(gap, self._rare.get(last.target, 0))

    def _contents_changed(self, last: Alarm, alarm: Alarm, mapped: MappedAlert) -> None:
        stored = mapped.contents
        if last.seq in self._new:
            self._set(self._new, last.seq, replace(stored, event=self._new[last.seq].event))
        elif last.seq in self._remapped:
            self._set(self._remapped, last.seq, replace(stored, event=self._remapped[last.seq].event))
        elif last.state == "rejected" and alarm.state == "report_due":
            self._set(self._remapped, last.seq, stored)
            self._set(self._names, last.seq, (mapped.event_name, mapped.resource))
        else:
            self._set(self._annotated, last.seq, stored)

    def _set_alarm(self, alarm: Alarm) -> None:
        self._set(self._last, alarm.key, alarm)
        self._set(self._rows, alarm.seq, alarm)

    def _free_id(self, incoming: IncomingAlert) -> str:
        held = incoming.adopted.id if incoming.adopted else ""
        if OWN_ID.fullmatch(held) and held not in self._ids:
            return held
        first = alarm_id(incoming.key, incoming.starts_at)
        if first not in self._ids:
            return first
        known = self._numbers.get(first, 1)
        number = self._numbers[first] = next_free(known, lambda number: self._is_used(f"{first}-{number}"))
        return f"{first}-{number}"

    def _is_used(self, own_id: str) -> bool:
        return own_id in self._ids or bool(rows.past_ids(self._connection, [own_id]))

    def _write(self, result: PutResult) -> None:
        before = {alarm.seq: alarm for alarm in self._before.values()}
        # Updates first: a unique index allows a new open alarm only after the previous one has its ends_at.
        rows.update(self._connection, [(before[seq], alarm) for seq, alarm in self._rows.items() if seq in before])
        pack = self._codec.pack
        for seqs in chunks(list(self._new)):
            self._check()
            rows.insert(self._connection, [(self._rows[seq], pack(self._new[seq])) for seq in seqs])
            search_rows.insert(self._connection, [(self._rows[seq], *self._names[seq]) for seq in seqs])
        self._write_contents()
        heartbeats.store(self._connection, list(self._signs.values()))
        result.note(self._rows, before, len(self._new))

    def _write_contents(self) -> None:
        """Store the current annotations and keep the frozen event, except where AOM has never accepted the event."""
        changed = dict(self._remapped)
        before = rows.contents_of(self._connection, list(self._annotated))
        for seq, blob in before.items():
            changed[seq] = replace(self._annotated[seq], event=self._codec.unpack(blob).event)
        rows.update_contents(self._connection, [(seq, self._codec.pack(stored)) for seq, stored in changed.items()])
        search_rows.update(self._connection, [(self._rows[seq], *self._names[seq]) for seq in self._remapped])


def _alerts_of(notification: OpenedNotification) -> list[IncomingAlert] | Refusal:
    try:
        return notification.alerts()
    except PayloadError as error:
        return Refusal.of(error)


def _undo_changes(undo: Sequence[tuple[dict[Any, Any], Any, Any]]) -> None:
    for values, key, before in reversed(undo):
        if before is None:
            del values[key]
        else:
            values[key] = before


def next_free(used: int, is_used: Callable[[int], bool]) -> int:
    """Return a free number that follows a used one, by a search that asks O(log n) times.

    Args:
        used: a number that is used.
        is_used: says whether another number is used.
    """
    free, step = used + 1, 1
    while is_used(free):
        used, free, step = free, free + step, step * 2
    while free - used > 1:
        between = (used + free) // 2
        used, free = (between, free) if is_used(between) else (used, between)
    return free
