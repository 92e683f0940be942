"""Reads and writes rows of the ledger's tables on an open transaction; no rule is decided here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec
import sqlalchemy as sa
import zstandard
from sqlalchemy.engine import Connection

from bridge.clock import Millis
from bridge.event import Event
from bridge.ledger.alarm import Alarm, Context, Key, State
from bridge.ledger.schema import alarms, contents, counters

_CHUNK = 512
"""Keys in one IN list: few enough for every database, the same number so that statements are cached."""

_columns = [alarms.c[name] for name in Alarm.__struct_fields__]
_hot = [name for name in Alarm.__struct_fields__ if name not in ("seq", "id", "source", "fingerprint", "received_at")]
_update = sa.update(alarms).where(alarms.c.seq == sa.bindparam("row_seq")).values({n: sa.bindparam(n) for n in _hot})
_update_annotations = (
    sa.update(contents)
    .where(contents.c.seq == sa.bindparam("row_seq"))
    .values(alert=sa.bindparam("alert"), annotations=sa.bindparam("annotations"))
)
_newest = (
    sa.select(sa.func.max(alarms.c.seq))
    .where(alarms.c.source == sa.bindparam("source"), alarms.c.fingerprint.in_(sa.bindparam("some", expanding=True)))
    .group_by(alarms.c.source, alarms.c.fingerprint)
)
_locked = (
    sa.select(*_columns)
    .where(alarms.c.seq.in_(sa.bindparam("some", expanding=True)))
    .order_by(alarms.c.seq)
    .with_for_update()
)
_bump = (
    sa.update(counters)
    .where(counters.c.name == sa.bindparam("counter"))
    .values(value=counters.c.value + sa.bindparam("count"))
    .returning(counters.c.value)
)
_held = sa.select(alarms.c.id).where(alarms.c.id.in_(sa.bindparam("some", expanding=True)))


class Blobs(msgspec.Struct, frozen=True):
    """What lies beside a row, encoded."""

    alert: bytes
    event: bytes
    annotations: bytes


class Due(msgspec.Struct, frozen=True):
    """A row that is due, its event still encoded (None: it has none); ``waits`` says that another alarm is behind."""

    alarm: Alarm
    event: bytes | None
    annotations: bytes | None
    waits: bool


class Codec:
    """Turns values into blobs and back; not to be shared between threads."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=1)
        self._decompressor = zstandard.ZstdDecompressor()
        self._encoder = msgspec.json.Encoder()

    def blobs(self, context: Context, event: Event) -> tuple[Blobs, str]:
        """Return what lies beside a row, and a digest that tells whether the event changed."""
        frozen = self._encoder.encode({"metadata": event.metadata, "timeout": event.timeout})
        annotations = self._encoder.encode(event.annotations)
        alert = self._compressor.compress(self._encoder.encode(context))
        digest = hashlib.blake2b(frozen + annotations, digest_size=8).hexdigest()
        return Blobs(alert=alert, event=frozen, annotations=annotations), digest

    def decode_context(self, blob: bytes) -> Context:
        """Return the alert with its group.

        Raises:
            ValueError: it cannot be read.
        """
        try:
            return msgspec.json.decode(self._decompressor.decompress(blob), type=Context)
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from None

    @staticmethod
    def decode_event(event: bytes, annotations: bytes) -> Event:
        """Return the event that a push sends."""
        return msgspec.json.decode(event[:-1] + b',"annotations":' + annotations + b"}", type=Event)


def last_alarms(connection: Connection, keys: Iterable[Key]) -> dict[Key, Alarm]:
    """Return the newest alarm of each alert that has any, locked until the transaction ends.

    The caller has the put lock (`next_seq`), so that no newer one can come in between.
    """
    by_source: dict[str, list[str]] = {}
    for source, fingerprint in keys:
        by_source.setdefault(source, []).append(fingerprint)
    newest: list[int] = []
    for source, fingerprints in by_source.items():
        for some in chunks(fingerprints):
            newest += connection.execute(_newest, {"source": source, "some": some}).scalars()
    return {alarm.key: alarm for alarm in load(connection, newest).values()}


def held_ids(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Return those of the ids that the ledger holds."""
    return {row[0] for some in chunks(ids) for row in connection.execute(_held, {"some": some})}


def load(connection: Connection, seqs: Iterable[int]) -> dict[int, Alarm]:
    """Return the alarms with these numbers, locked until the transaction ends; always in one order: no deadlocks."""
    in_order = sorted(seqs)
    return {row[0]: Alarm(*row) for some in chunks(in_order) for row in connection.execute(_locked, {"some": some})}


def insert(connection: Connection, new: Sequence[tuple[Alarm, Blobs]]) -> None:
    """Add alarms with their blobs."""
    if new:
        connection.execute(sa.insert(alarms), [_values(alarm) for alarm, _ in new])
        connection.execute(sa.insert(contents), [{"seq": a.seq, **msgspec.structs.asdict(b)} for a, b in new])


def update(connection: Connection, changed: Sequence[Alarm]) -> None:
    """Write alarms that changed."""
    if changed:
        connection.execute(_update, [{"row_seq": alarm.seq, **_values(alarm, _hot)} for alarm in changed])


def update_annotations(connection: Connection, changed: Sequence[tuple[int, Blobs]]) -> None:
    """Write today's alert and annotations; the frozen event stays."""
    if changed:
        rows = [{"row_seq": seq, "alert": b.alert, "annotations": b.annotations} for seq, b in changed]
        connection.execute(_update_annotations, rows)


def replace_contents(connection: Connection, changed: Sequence[tuple[int, Blobs]]) -> None:
    """Write alarms mapped anew: AOM has never taken them, so nothing is frozen yet."""
    for seq, blobs in changed:
        connection.execute(sa.update(contents).where(contents.c.seq == seq).values(**msgspec.structs.asdict(blobs)))


def lock_puts(connection: Connection) -> None:
    """Wait for the put lock: from here to the commit no alarm is added by anybody else."""
    next_seq(connection, 0)


def next_seq(connection: Connection, count: int) -> int:
    """Reserve so many numbers and return the first; until the commit, no other put gets past this line."""
    return bump(connection, "alarm_seq", count) - count + 1


def bump(connection: Connection, name: str, count: int = 1) -> int:
    """Add to one of the ledger's counters and return it."""
    found = connection.execute(_bump, {"counter": name, "count": count}).scalar_one()
    return int(found)


def due(connection: Connection, target: str, state: State, now: Millis, limit: int) -> list[Due]:
    """Return alarms in a state that are due, the longest waiting first, none behind an unfinished one of its alert.

    They are locked until the transaction ends; those that another worker has locked are passed over.
    """
    query = (
        sa.select(*_columns, contents.c.event, contents.c.annotations, _has_another_behind())
        .outerjoin(contents, contents.c.seq == alarms.c.seq)
        .where(alarms.c.target == target, alarms.c.state == state, alarms.c.due_at <= now, ~is_behind_another())
        .order_by(alarms.c.due_at, alarms.c.seq)
        .limit(limit)
        .with_for_update(of=alarms, skip_locked=True)
    )
    rows = connection.execute(query)
    return [Due(Alarm(*row), event, notes, bool(waits)) for *row, event, notes, waits in rows]


def take(connection: Connection, seqs: Sequence[int], holder: str, until: Millis, now: Millis) -> set[int]:
    """Give locked alarms to a holder and return which it got: none that stands behind another one by now.

    Who held one before and did not settle it in time may have sent it: that is a doubt.
    """
    doubt_at = sa.case((alarms.c.claimed_by.is_not(None), now), else_=alarms.c.doubt_at)
    statement = sa.update(alarms).values(claimed_by=holder, due_at=until, doubt_at=doubt_at).returning(alarms.c.seq)
    taken: set[int] = set()
    for some in chunks(seqs):
        taken.update(connection.execute(statement.where(alarms.c.seq.in_(some), ~is_behind_another())).scalars())
    return taken


def is_behind_another() -> sa.Exists:
    """Return the condition that an earlier alarm of the same alert is unfinished."""
    other = alarms.alias("earlier")
    return sa.exists().where(*_same_alert(other), other.c.seq < alarms.c.seq)


def _has_another_behind() -> sa.Exists:
    """Return the condition that a later alarm of the same alert is unfinished."""
    other = alarms.alias("later")
    return sa.exists().where(*_same_alert(other), other.c.seq > alarms.c.seq)


def _same_alert(other: sa.FromClause) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        other.c.source == alarms.c.source,
        other.c.fingerprint == alarms.c.fingerprint,
        other.c.finished_at.is_(None),
    )


def chunks(items: Sequence[Any]) -> Iterator[list[Any]]:
    """Cut a sequence into lists that fit an IN list."""
    rest = iter(items)
    while some := list(islice(rest, _CHUNK)):
        yield some


def _values(alarm: Alarm, names: Sequence[str] = Alarm.__struct_fields__) -> dict[str, Any]:
    return {name: getattr(alarm, name) for name in names}
