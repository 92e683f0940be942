"""What people search alarms by: one row of `alarm_search` for each alarm, and the labels of its alert.

In: alarms, and the event name and resource of their events. Out: rows; and labels, for tests of them. Case must not
matter to a search for text, on each database in the same way, so the text is stored in the form that `folded` returns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
import zstandard
from sqlalchemy.engine import Connection

from bridge.ledger.alarm import Alarm
from bridge.ledger.storage.schema import search
from bridge.ledger.storage.statements import Row, RowsStatement

_BETWEEN = "\x1f"
"""Stands between event name and resource: no event holds this character, so that no text is found across the two."""

Named = tuple[Alarm, str, str]
"""An alarm with the event name and the resource of its event."""

_insert = RowsStatement(search)
_update = RowsStatement(search, ["source", "target", "severity", "name_hash", "text"])


class _Labelled(msgspec.Struct):
    labels: dict[str, str]


class _Alert(msgspec.Struct):
    alert: _Labelled


class _Contents(msgspec.Struct):
    context: _Alert


class LabelsReader:
    """Reads the labels of alerts and nothing else of their contents, in a fraction of the time of `Codec.context`."""

    def __init__(self) -> None:
        self._decompress = zstandard.ZstdDecompressor().decompress
        self._decode = msgspec.json.Decoder(_Contents).decode

    def labels(self, packed: bytes | None) -> dict[str, str]:
        """Return the labels in packed contents; none if they cannot be read."""
        try:
            return self._decode(self._decompress(packed or b"")).context.alert.labels
        except (zstandard.ZstdError, ValueError):
            return {}


def folded(text: str) -> str:
    """Return a text in the form in which it is searched for: the same for upper and lower case."""
    return text.casefold()


def name_hash(event_name: str) -> int:
    """Return a hash of an event name, to be indexed in its place: AOM allows longer texts than PostgreSQL indexes."""
    return int.from_bytes(hashlib.blake2b(event_name.encode(), digest_size=8).digest(), "big", signed=True)


def contains(connection: Connection, column: sa.ColumnElement[str], text: str) -> sa.ColumnElement[bool]:
    """Return the condition that a column of folded text contains a text, of which no character is special."""
    position = sa.func.strpos if connection.dialect.name == "postgresql" else sa.func.instr
    return position(column, folded(text)) > 0


def insert(connection: Connection, named: Sequence[Named]) -> None:
    """Add the rows of new alarms."""
    _insert.run(connection, [_row(*one) for one in named])


def update(connection: Connection, named: Sequence[Named]) -> None:
    """Write the rows of alarms that were mapped again, or that have none yet."""
    _update.run(connection, [_row(*one) for one in named])


def delete(connection: Connection, keys: Sequence[tuple[int, int]]) -> None:
    """Delete the rows of alarms, each named by its `received_at` and its number."""
    if keys:
        is_one = (search.c.received_at == sa.bindparam("at"), search.c.seq == sa.bindparam("number"))
        connection.execute(sa.delete(search).where(*is_one), [{"at": at, "number": seq} for at, seq in keys])


def _row(alarm: Alarm, name: str, resource: str) -> Row:
    text = folded(name) + _BETWEEN + folded(resource)
    return alarm.received_at, alarm.seq, alarm.source, alarm.target, alarm.severity, name_hash(name), text
