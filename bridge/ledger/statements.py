"""SQLAlchemy Core statements compiled once and run with plain tuples, many rows in one call.

Core builds, caches and types a statement anew at each execution, which costs more than SQLite itself takes. And
Python's SQLite module gives the interpreter lock away for every single row that it writes or reads, to wait for it
behind the busy event loop: so rows are written by statements that take many at once, and lists of rows, which a large
notification reads on a thread, come as one JSON text.
Values are whole numbers, text, bytes, booleans and None, which both drivers take as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Dialect

CHUNK = 512
"""The most values in one IN list: few enough for every database."""

_MOST_ROWS = 128
"""The most rows in one INSERT: SQLite takes 32,766 values."""

Row = tuple[Any, ...]
Build = Callable[[int], sa.Select[Any] | sa.Update]
_Compiled = tuple[str, tuple[str, ...], dict[str, Any], tuple[int, ...] | None]


class Statement:
    """A statement of fixed shape.

    Args:
        statement: with named binds.
        binds: their names, in the order in which `run` gives the values.
    """

    def __init__(self, statement: sa.Select[Any] | sa.Update, binds: Sequence[str]) -> None:
        self._statement = statement
        self._binds = tuple(binds)

    def run(self, connection: Connection, *values: Any) -> list[Row]:  # noqa: ANN401 - what the driver takes
        """Run it once; return the rows it gives."""
        compiled = _compiled(self._statement, connection.dialect, as_text=False)
        return _rows(connection, compiled, dict(zip(self._binds, values, strict=True)))


class InStatement:
    """A statement with one IN list, run in chunks.

    Args:
        build: gives the statement for so many list values, which `listed` gives the binds of.
        binds: the names of its other binds, in the order in which `run` gives their values.
    """

    def __init__(self, build: Build, binds: Sequence[str] = ()) -> None:
        self._build = build
        self._binds = tuple(binds)

    def run(self, connection: Connection, items: Sequence[Any], *values: Any) -> Iterator[Row]:  # noqa: ANN401 - as above
        """Run it for all items; give the rows."""
        for compiled, named in self._chunks(connection, items, values):
            yield from _rows(connection, compiled, named)

    def change(self, connection: Connection, items: Sequence[Any], *values: Any) -> int:  # noqa: ANN401 - as above
        """Run it for all items; return how many rows it changed."""
        total = 0
        for (sql, order, literals, _), named in self._chunks(connection, items, values):
            given = {**literals, **named}
            total += connection.exec_driver_sql(sql, tuple(given[name] for name in order)).rowcount
        return total

    def _chunks(
        self, connection: Connection, items: Sequence[Any], values: Sequence[Any]
    ) -> Iterator[tuple[_Compiled, dict[str, Any]]]:
        for some in chunks(items):
            # Few sizes, so that few statements are compiled; the last value repeated changes nothing.
            size = 1 << (len(some) - 1).bit_length()
            named = dict(zip(self._binds, values, strict=True))
            named.update(zip(_names(size), (*some, *some[-1:] * (size - len(some))), strict=True))
            yield _compiled_list(self._build, size, connection.dialect), named


class RowsStatement:
    """An INSERT of many rows, whole ones, in the order of the table's columns.

    Args:
        table: where to.
        changed: these columns are written where the row's key is held already; none: it must be new.
        set_also: expressions for further columns that are written then.
        where: and only under this condition.
        binds: the names of the binds in ``where``, in the order in which `run` gives their values.
    """

    def __init__(
        self,
        table: sa.Table,
        changed: Sequence[str] = (),
        *,
        set_also: dict[str, sa.ColumnElement[Any]] | None = None,
        where: Callable[[Any], sa.ColumnElement[bool]] | None = None,
    ) -> None:
        self._table = table
        self._changed = tuple(changed)
        self._set_also = set_also or {}
        self._where = where
        self._texts: dict[tuple[str, int], str] = {}

    def run(self, connection: Connection, rows: Sequence[Row], *values: Any) -> int:  # noqa: ANN401 - as above
        """Write all rows; return how many were written."""
        total, rest = 0, iter(rows)
        for size in _powers(len(rows)):
            given = (*chain.from_iterable(islice(rest, size)), *values)
            total += connection.exec_driver_sql(self._text(connection.dialect, size), given).rowcount
        return total

    def _text(self, dialect: Dialect, size: int) -> str:
        text = self._texts.get((dialect.name, size))
        if text is None:
            head, begin, rest = str(self._build(dialect.name).compile(dialect=dialect)).partition("VALUES (")
            one, end, tail = rest.partition(")")
            text = head + begin + "), (".join([one] * size) + end + tail
            self._texts[dialect.name, size] = text
        return text

    def _build(self, dialect: str) -> sa.Insert:
        if not self._changed:
            return sa.insert(self._table)
        upsert = postgresql.insert(self._table) if dialect == "postgresql" else sqlite.insert(self._table)
        values = {name: upsert.excluded[name] for name in self._changed} | self._set_also
        where = None if self._where is None else self._where(upsert.excluded)
        return upsert.on_conflict_do_update(index_elements=self._table.primary_key, set_=values, where=where)


def listed(size: int) -> list[sa.BindParameter[Any]]:
    """Return the binds of an IN list."""
    return [sa.bindparam(name) for name in _names(size)]


def chunks(items: Sequence[Any]) -> Iterator[list[Any]]:
    """Cut a sequence into lists that fit an IN list."""
    rest = iter(items)
    while some := list(islice(rest, CHUNK)):
        yield some


def _powers(count: int) -> Iterator[int]:
    """Cut a count into powers of two, so that few texts are prepared."""
    while count:
        size = min(_MOST_ROWS, 1 << (count.bit_length() - 1))
        yield size
        count -= size


def _rows(connection: Connection, compiled: _Compiled, named: dict[str, Any]) -> list[Row]:
    sql, order, literals, blobs = compiled
    given = {**literals, **named}
    result = connection.exec_driver_sql(sql, tuple(given[name] for name in order))
    cursor: Any = result.cursor  # the driver's own, below SQLAlchemy's rows
    rows: list[Row] = cursor.fetchall()
    if blobs is None:
        return rows
    found: list[list[Any]] = msgspec.json.decode(rows[0][0])
    for row in found:
        for place in blobs:
            row[place] = None if row[place] is None else bytes.fromhex(row[place])
    return [tuple(row) for row in found]


@lru_cache(maxsize=16)
def _names(size: int) -> list[str]:
    return [f"v{index}" for index in range(size)]


@lru_cache(maxsize=256)
def _compiled(statement: sa.Select[Any] | sa.Update, dialect: Dialect, *, as_text: bool) -> _Compiled:
    blobs = None
    if as_text and dialect.name == "sqlite" and isinstance(statement, sa.Select):
        inner = statement.subquery()
        blobs = tuple(place for place, column in enumerate(inner.c) if isinstance(column.type, sa.LargeBinary))
        # hex() makes an empty text of NULL, and no blob here is empty.
        shown = [sa.func.nullif(sa.func.hex(c), "") if i in blobs else c for i, c in enumerate(inner.c)]
        statement = sa.select(sa.func.json_group_array(sa.func.json_array(*shown)))
    compiled = statement.compile(dialect=dialect)
    return str(compiled), tuple(compiled.positiontup or ()), compiled.params, blobs


@lru_cache(maxsize=256)
def _compiled_list(build: Build, size: int, dialect: Dialect) -> _Compiled:
    return _compiled(build(size), dialect, as_text=True)
