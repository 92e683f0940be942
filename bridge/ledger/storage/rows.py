"""Reads and writes rows of the ledger's tables on an open transaction.

In: keys, numbers and `Alarm`s. Out: `Alarm`s and packed contents. It must not decide how an alarm changes.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any

import msgspec
import sqlalchemy as sa
import zstandard
from msgspec.structs import astuple, replace
from sqlalchemy.engine import Connection

from bridge.clock import Millis
from bridge.event import Event, Mapped
from bridge.ledger.alarm import Alarm, AlertContext, Key, MappedAlert, StoredContents
from bridge.ledger.states import State
from bridge.ledger.storage.schema import alarms, contents, counters
from bridge.ledger.storage.statements import InStatement, Row, RowsStatement, Statement, chunks, listed

_columns = [alarms.c[name] for name in Alarm.__struct_fields__]
_fixed = ("seq", "id", "source", "fingerprint", "received_at")
_hot = [name for name in Alarm.__struct_fields__ if name not in _fixed]
_index_columns = ("ends_at", "finished_at", "is_newest")
_index_key = attrgetter(*_index_columns)
Change = tuple[Alarm, Alarm]
"""An alarm before and after a change."""

_earlier = alarms.alias("earlier")
is_behind_another = sa.exists().where(
    _earlier.c.source == alarms.c.source,
    _earlier.c.fingerprint == alarms.c.fingerprint,
    _earlier.c.seq < alarms.c.seq,
    _earlier.c.finished_at.is_(None),
    sa.not_(_earlier.c.is_newest),  # redundant, but it makes the planner use the index alarms_waited_for
)
"""The condition that an earlier alarm of the same alert is unfinished."""


class _Updates:
    """Updates rows: with all columns, or without those that decide which index by alert contains the row.

    SQLite rewrites an index entry whenever a column of it is written, even unchanged, and the entries are scattered.
    """

    def __init__(self) -> None:
        self._moving = RowsStatement(alarms, _hot)
        self._staying = RowsStatement(alarms, [name for name in _hot if name not in _index_columns])

    def run(self, connection: Connection, changes: Sequence[Change]) -> None:
        """Write changed alarms."""
        self._moving.run(
            connection, [astuple(after) for before, after in changes if _index_key(before) != _index_key(after)]
        )
        self._staying.run(
            connection, [astuple(after) for before, after in changes if _index_key(before) == _index_key(after)]
        )


_insert = RowsStatement(alarms)
_insert_contents = RowsStatement(contents)
_update = _Updates()
_update_contents = RowsStatement(contents, ["kept"])
_bump = Statement(
    sa.update(counters)
    .where(counters.c.name == sa.bindparam("counter"))
    .values(value=counters.c.value + sa.bindparam("count"))
    .returning(counters.c.value),
    ("count", "counter"),
)


def _due_where(when: sa.ColumnElement[bool]) -> Statement:
    return Statement(
        sa.select(*_columns, contents.c.kept)
        .outerjoin(contents, contents.c.seq == alarms.c.seq)
        .where(
            alarms.c.target == sa.bindparam("target"), alarms.c.state == sa.bindparam("state"), when, ~is_behind_another
        )
        .order_by(alarms.c.due_at, alarms.c.seq)
        .limit(sa.bindparam("max_rows"))
        .with_for_update(of=alarms, skip_locked=True),
        ("target", "state", "when", "max_rows"),
    )


_due = _due_where(alarms.c.due_at <= sa.bindparam("when"))
_due_ahead = _due_where(alarms.c.due_at > sa.bindparam("when"))


def _newest_of(size: int) -> sa.CompoundSelect[Any]:
    """Return a query for newest alarms: a union of open ones and others, since there is an index for each."""
    is_open = _of_alerts(size).where(alarms.c.ends_at.is_(None), alarms.c.finished_at.is_(None))
    is_over = sa.or_(alarms.c.ends_at.is_not(None), alarms.c.finished_at.is_not(None))
    return sa.union_all(is_open, _of_alerts(size).where(alarms.c.is_newest, is_over))


def _of_alerts(size: int) -> sa.Select[Any]:
    columns = (alarms.c.seq, alarms.c.source, alarms.c.fingerprint, alarms.c.finished_at, alarms.c.state)
    return sa.select(*columns).where(alarms.c.source == sa.bindparam("source"), alarms.c.fingerprint.in_(listed(size)))


def _locked_rows(size: int) -> sa.Select[Any]:
    return sa.select(*_columns).where(alarms.c.seq.in_(listed(size))).order_by(alarms.c.seq).with_for_update()


def _past_ids(size: int) -> sa.Select[Any]:
    return sa.select(alarms.c.id).where(alarms.c.id.in_(listed(size)), sa.not_(alarms.c.is_newest))


_STAMPS = ("due_since", "doubt_at", "first_reported_at", "reported_at")
"""Times that are in the future only if a clock has stepped back or a replica's is wrong; a claim sets them to now."""


def as_claimed(alarm: Alarm, holder: str, until: Millis, now: Millis) -> Alarm:
    """Return an alarm as `take` writes it for a holder."""
    ahead = {name: now for name in _STAMPS if (getattr(alarm, name) or 0) > now}
    doubt = {} if alarm.claimed_by is None else {"doubt_at": now}
    return replace(alarm, claimed_by=holder, due_at=until, **{**ahead, **doubt})


def _taken(size: int) -> sa.Update:
    now: sa.BindParameter[Millis] = sa.bindparam("now")
    past = {name: sa.case((alarms.c[name] > now, now), else_=alarms.c[name]) for name in _STAMPS}
    past["doubt_at"] = sa.case((alarms.c.claimed_by.is_not(None), now), else_=past["doubt_at"])
    return (
        sa.update(alarms)
        .values(claimed_by=sa.bindparam("holder"), due_at=sa.bindparam("until"), **past)
        .where(alarms.c.seq.in_(listed(size)), ~is_behind_another)
    )


def _held_by(size: int) -> sa.Select[Any]:
    is_claimed = alarms.c.claimed_by == sa.bindparam("holder")
    return sa.select(alarms.c.seq).where(alarms.c.seq.in_(listed(size)), is_claimed)


def _contents_rows(size: int) -> sa.Select[Any]:
    return sa.select(contents.c.seq, contents.c.kept).where(contents.c.seq.in_(listed(size)))


def _succeeded_of(size: int) -> sa.Select[Any]:
    columns = (alarms.c.seq, alarms.c.source, alarms.c.fingerprint)
    return sa.select(*columns).where(alarms.c.seq.in_(listed(size)), sa.not_(alarms.c.is_newest))


_next_waiting = Statement(
    sa.select(alarms.c.seq)
    .where(
        alarms.c.source == sa.bindparam("source"),
        alarms.c.fingerprint == sa.bindparam("fingerprint"),
        alarms.c.seq > sa.bindparam("seq"),
        alarms.c.finished_at.is_(None),
        sa.not_(alarms.c.is_newest),
    )
    .order_by(alarms.c.seq)
    .limit(1),
    ("source", "fingerprint", "seq"),
)
_succeeded = InStatement(_succeeded_of)
_contents = InStatement(_contents_rows)
_newest = InStatement(_newest_of, ("source",))
_locked = InStatement(_locked_rows)
_past = InStatement(_past_ids)
_take = InStatement(_taken, ("holder", "until", "now"))
_taken_by = InStatement(_held_by, ("holder",))


class _Frozen(msgspec.Struct):
    metadata: dict[str, str]
    timeout: Millis


class _Sent(msgspec.Struct):
    event: _Frozen
    annotations: dict[str, str]


class _Parts(msgspec.Struct):
    event: msgspec.Raw
    annotations: msgspec.Raw
    context: msgspec.Raw


class _Told(msgspec.Struct):
    context: AlertContext


class Due(msgspec.Struct, frozen=True):
    """A due alarm with its packed contents; None if they are missing."""

    alarm: Alarm
    contents: bytes | None


_LEVEL = -1
"""The compression level: 2,600 bytes become 940; level 1 makes 730 of them, and takes twice as long."""


class Codec:
    """Converts values to the contents stored beside a row, and back; must not be shared between threads.

    Contents that cannot be read raise ValueError.
    """

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL)
        self._decompressor = zstandard.ZstdDecompressor()
        self._encoder = msgspec.json.Encoder()
        self._sent = msgspec.json.Decoder(_Sent)
        self._told = msgspec.json.Decoder(_Told)
        self._parts = msgspec.json.Decoder(_Parts)

    def mapped_alert(self, mapped: Mapped, context: AlertContext) -> MappedAlert | None:
        """Return a mapped alert as its row stores it; None if a rule drops it."""
        event = mapped.event
        if event is None:
            return None
        frozen = self._encoder.encode({"metadata": event.metadata, "timeout": event.timeout})
        annotations = self._encoder.encode(event.annotations)
        return MappedAlert(
            target=mapped.target,
            rule=mapped.rule,
            severity=event.severity,
            event_type=event.event_type,
            timeout=event.timeout,
            digest=hashlib.blake2b(frozen + annotations, digest_size=8).hexdigest(),
            contents=StoredContents(frozen, annotations, self._encoder.encode(context)),
            event_name=event.metadata.get("event_name", ""),
            resource=event.metadata.get("resource_id", ""),
        )

    def pack(self, stored: StoredContents) -> bytes:
        """Return contents as one compressed blob."""
        text = b'{"event":%b,"annotations":%b,"context":%b}' % (stored.event, stored.annotations, stored.context)
        return self._compressor.compress(text)

    def unpack(self, blob: bytes) -> StoredContents:
        """Return the contents in a blob of `pack`."""
        parts = self._parts.decode(self._decompress(blob))
        return StoredContents(bytes(parts.event), bytes(parts.annotations), bytes(parts.context))

    def event(self, blob: bytes) -> Event:
        """Return the event that a push sends."""
        sent = self._sent.decode(self._decompress(blob))
        return Event(sent.event.metadata, sent.annotations, sent.event.timeout)

    def context(self, blob: bytes) -> AlertContext:
        """Return the alert and its group."""
        return self._told.decode(self._decompress(blob)).context

    def _decompress(self, blob: bytes) -> bytes:
        try:
            return self._decompressor.decompress(blob)
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from None


class _OfThread(threading.local):
    def __init__(self) -> None:
        self.codec = Codec()


_of_thread = _OfThread()


def codec() -> Codec:
    """Return this thread's codec."""
    return _of_thread.codec


def last_alarms(connection: Connection, keys: Iterable[Key]) -> dict[Key, Alarm]:
    """Return the newest alarm of each alert that has any, locked until the transaction ends.

    The caller holds the put lock (`next_seq`), so that no newer one can be added meanwhile.
    """
    return {alarm.key: alarm for alarm in load(connection, newest(connection, keys)).values()}


def newest(connection: Connection, keys: Iterable[Key]) -> list[int]:
    """Return the number of the newest alarm of each alert that has any."""
    return [row[0] for row in _newest_alarms(connection, keys)]


def heirs(connection: Connection, seqs: Sequence[int]) -> dict[int, int]:
    """Return, for those of these alarms that are not the newest of their alert, the number of the next one."""
    return {row[0]: next_of(connection, *row) for row in list(_succeeded.run(connection, seqs))}


def next_of(connection: Connection, seq: int, source: str, fingerprint: str) -> int:
    """Return the number of the alarm that is delivered after another one of its alert: unfinished, or the newest."""
    waiting = _next_waiting.run(connection, source, fingerprint, seq)
    return int((waiting or list(_newest.run(connection, [fingerprint], source)))[0][0])


def firing_again(connection: Connection, keys: Iterable[Key]) -> set[Key]:
    """Return those of the alerts whose newest alarm is not finished, and is more than a clear that is due."""
    rows = _newest_alarms(connection, keys)
    return {
        (source, fingerprint)
        for _, source, fingerprint, finished_at, state in rows
        if finished_at is None and state != "clear_due"
    }


def _newest_alarms(connection: Connection, keys: Iterable[Key]) -> Iterator[Row]:
    by_source: dict[str, list[str]] = {}
    for source, fingerprint in keys:
        by_source.setdefault(source, []).append(fingerprint)
    for source, fingerprints in by_source.items():
        yield from _newest.run(connection, fingerprints, source)


def used_ids(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Return which of these ids an alarm has; it reads the whole table, since ids of newest alarms are not indexed."""
    found = (sa.select(alarms.c.id).where(alarms.c.id.in_(chunk)) for chunk in chunks(ids))
    return {one for query in found for one in connection.execute(query).scalars()}


def past_ids(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Return those of the ids that belong to alarms which are no longer the newest of their alert."""
    return {row[0] for row in _past.run(connection, ids)}


def load(connection: Connection, seqs: Iterable[int]) -> dict[int, Alarm]:
    """Return the alarms with these numbers, locked until the transaction ends, in one order to avoid deadlocks."""
    return {row[0]: Alarm(*row) for row in _locked.run(connection, sorted(seqs))}


def insert(connection: Connection, new: Sequence[tuple[Alarm, bytes]]) -> None:
    """Add alarms, each with its packed contents."""
    _insert.run(connection, [astuple(alarm) for alarm, _ in new])
    _insert_contents.run(connection, [(alarm.seq, packed) for alarm, packed in new])


def update(connection: Connection, changes: Sequence[Change]) -> None:
    """Write changed alarms; the caller has locked their rows."""
    _update.run(connection, changes)


def contents_of(connection: Connection, seqs: Sequence[int]) -> dict[int, bytes]:
    """Return the packed contents of these alarms, by number."""
    return dict(_contents.run(connection, seqs))


def update_contents(connection: Connection, changed: Sequence[tuple[int, bytes]]) -> None:
    """Replace the packed contents of alarms."""
    _update_contents.run(connection, list(changed))


def lock_puts(connection: Connection) -> None:
    """Take the put lock: until the commit no other transaction adds an alarm."""
    next_seq(connection, 0)


def next_seq(connection: Connection, count: int) -> int:
    """Reserve ``count`` numbers and return the first one; until the commit, other puts wait here."""
    return bump(connection, "alarm_seq", count) - count + 1


def bump(connection: Connection, name: str, count: int = 1) -> int:
    """Add ``count`` to one of the ledger's counters and return its value."""
    ((value,),) = _bump.run(connection, count, name)
    return int(value)


def due(connection: Connection, target: str, state: State, now: Millis, limit: int) -> list[Due]:
    """Return due alarms in a state, the longest waiting first; none that waits for an earlier one of its alert.

    They are locked until the transaction ends; those that another worker has locked are skipped.
    """
    return [Due(Alarm(*row[:-1]), row[-1]) for row in _due.run(connection, target, state, now, limit)]


def due_ahead(connection: Connection, target: str, state: State, horizon: Millis, limit: int) -> list[Due]:
    """Return alarms that are due later than ``horizon``; otherwise the same as `due`."""
    return [Due(Alarm(*row[:-1]), row[-1]) for row in _due_ahead.run(connection, target, state, horizon, limit)]


def take(connection: Connection, seqs: Sequence[int], holder: str, until: Millis, now: Millis) -> set[int]:
    """Claim locked alarms for a holder; return those claimed: none that waits for an earlier one of its alert by now.

    An alarm whose previous holder did not settle it in time is in doubt: that holder may have sent it.
    """
    if _take.change(connection, seqs, holder, until, now) == len(seqs):
        return set(seqs)
    return {row[0] for row in _taken_by.run(connection, seqs, holder)}
