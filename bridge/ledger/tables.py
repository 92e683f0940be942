"""Reads and writes rows of the ledger's tables on an open transaction; no rule is decided here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec
import sqlalchemy as sa
import zstandard
from sqlalchemy.engine import Connection

from bridge.clock import Millis
from bridge.event import Event
from bridge.ledger.alarm import DUE_STATES, Action, Alarm, Context, Key
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
_last = sa.select(*_columns).where(alarms.c.seq.in_(_newest))
_held = sa.select(alarms.c.id).where(alarms.c.id.in_(sa.bindparam("some", expanding=True)))


class Blobs(msgspec.Struct, frozen=True):
    """What lies beside a row, encoded."""

    alert: bytes
    event: bytes
    annotations: bytes


class Codec:
    """Turns values into blobs and back; not to be shared between threads."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=1)
        self._decompressor = zstandard.ZstdDecompressor()
        self._encoder = msgspec.json.Encoder()

    def encode_event(self, event: Event) -> tuple[bytes, bytes]:
        """Return what is frozen at the fire, and the annotations, which are not."""
        return (
            self._encoder.encode({"metadata": event.metadata, "timeout": event.timeout}),
            self._encoder.encode(event.annotations),
        )

    def encode_context(self, context: Context) -> bytes:
        """Return the alert with its group, compressed."""
        return self._compressor.compress(self._encoder.encode(context))

    def decode_context(self, blob: bytes) -> Context:
        """Return the alert with its group."""
        return msgspec.json.decode(self._decompressor.decompress(blob), type=Context)

    @staticmethod
    def decode_event(event: bytes, annotations: bytes) -> Event:
        """Return the event that a push sends."""
        return msgspec.json.decode(event[:-1] + b',"annotations":' + annotations + b"}", type=Event)


def last_alarms(connection: Connection, keys: Iterable[Key]) -> dict[Key, Alarm]:
    """Return the newest alarm of each alert that has any."""
    by_source: dict[str, list[str]] = {}
    for source, fingerprint in keys:
        by_source.setdefault(source, []).append(fingerprint)
    found: dict[Key, Alarm] = {}
    for source, fingerprints in by_source.items():
        for some in chunks(fingerprints):
            for row in connection.execute(_last, {"source": source, "some": some}):
                alarm = Alarm(*row)
                found[alarm.key] = alarm
    return found


def held_ids(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Return those of the ids that the ledger holds."""
    return {row[0] for some in chunks(ids) for row in connection.execute(_held, {"some": some})}


def load(connection: Connection, seqs: Sequence[int]) -> dict[int, Alarm]:
    """Return the alarms with these numbers."""
    query = sa.select(*_columns).where(alarms.c.seq.in_(sa.bindparam("some", expanding=True)))
    return {row[0]: Alarm(*row) for some in chunks(seqs) for row in connection.execute(query, {"some": some})}


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


def next_seq(connection: Connection, count: int) -> int:
    """Reserve so many numbers and return the first; until the commit, no other put gets past this line."""
    bump = (
        sa.update(counters)
        .where(counters.c.name == "alarm_seq")
        .values(value=counters.c.value + count)
        .returning(counters.c.value)
    )
    return int(connection.execute(bump).scalar_one()) - count + 1


def due(
    connection: Connection, target: str, action: Action, now: Millis, limit: int
) -> list[tuple[Alarm, Event, bool]]:
    """Return alarms that are due for an action, the longest waiting first, none behind an unfinished one of its alert.

    With each comes its event, and whether another alarm of its alert waits behind it.
    """
    is_due = (alarms.c.target == target, alarms.c.due_at <= now, alarms.c.state.in_(DUE_STATES[action]))
    query = (
        sa.select(*_columns, contents.c.event, contents.c.annotations, has_another_behind())
        .join(contents, contents.c.seq == alarms.c.seq)
        .where(*is_due, ~is_behind_another())
        .order_by(alarms.c.due_at, alarms.c.seq)
        .limit(limit)
    )
    rows = connection.execute(query)
    return [(Alarm(*row), Codec.decode_event(event, notes), waits) for *row, event, notes, waits in rows]


def is_behind_another() -> sa.Exists:
    """Return the condition that an earlier alarm of the same alert is unfinished."""
    other = alarms.alias("earlier")
    return sa.exists().where(*_same_alert(other), other.c.seq < alarms.c.seq)


def has_another_behind() -> sa.Exists:
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
