"""Compiled SQL: SQLAlchemy Core statements compiled once and run with plain tuples, many rows in one call.

In: Core statements, and tuples of values. Out: rows as tuples. Core processes a statement at each execution and wraps
its result, which takes more time than SQLite itself; so the compiled text is passed to the driver, and its errors are
raised as SQLAlchemy's. One statement writes many rows, because Python's SQLite module releases the interpreter lock at
each execution. Values must be whole numbers, text, bytes, booleans or None, which both drivers accept unchanged.

Only a few texts are compiled and prepared. An IN list is padded to a power of two by repeating its last value, which
does not change the result. In an INSERT the text of one row's values is repeated for each row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice
from operator import itemgetter
from typing import Any, NamedTuple, cast

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection, Dialect

CHUNK = 512
"""The maximum number of values in one IN list; every database accepts as many."""

_MAX_EXACT_ROWS = 32
"""Up to this number, rows are written by one statement of exactly that size."""

_MAX_ROWS = 128
"""The maximum number of rows in one INSERT: SQLite accepts 32,766 values."""

Row = tuple[Any, ...]
Query = sa.Select[Any] | sa.CompoundSelect[Any]
Build = Callable[[int], Query | sa.Update]


class _Compiled(NamedTuple):
    """A statement's text.

    Attributes:
        sql: the text, with a placeholder for each value.
        order: picks from the literals and the values the one for each placeholder.
        literals: constants of the statement; they are put before the values.
    """

    sql: str
    order: Callable[[Row], Row]
    literals: Row


class Statement:
    """A statement of fixed shape.

    Args:
        statement: the statement, with named binds.
        binds: their names, in the order of the values for `run`.
    """

    def __init__(self, statement: Query | sa.Update, binds: Sequence[str]) -> None:
        self._statement = statement
        self._binds = tuple(binds)

    def run(self, connection: Connection, *values: Any) -> list[Row]:  # noqa: ANN401 - values of every type that the driver accepts
        """Run it once; return its rows."""
        return _rows(connection, _compiled(self._statement, self._binds, connection.dialect), values)


class InStatement:
    """A statement with one IN list, run in chunks.

    Args:
        build: returns the statement for a number of list values; `listed` returns their binds.
        binds: the names of its other binds, in the order of their values for `run`.
    """

    def __init__(self, build: Build, binds: Sequence[str] = ()) -> None:
        self._build = build
        self._binds = tuple(binds)

    def run(self, connection: Connection, items: Sequence[Any], *values: Any) -> Iterator[Row]:  # noqa: ANN401 - any type of value
        """Run it for all items; yield the rows."""
        for compiled, given in self._chunks(connection, items, values):
            yield from _rows(connection, compiled, given)

    def change(self, connection: Connection, items: Sequence[Any], *values: Any) -> int:  # noqa: ANN401 - values of every type that the driver accepts
        """Run it for all items; return how many rows it changed."""
        total = 0
        for compiled, given in self._chunks(connection, items, values):
            total += int(_execute(connection, compiled, given).rowcount)
        return total

    def _chunks(self, connection: Connection, items: Sequence[Any], values: Row) -> Iterator[tuple[_Compiled, Row]]:
        for chunk in chunks(items):
            # Padded to a power of two, so that few statements are compiled; a repeated value changes nothing.
            size = 1 << (len(chunk) - 1).bit_length()
            given = (*values, *chunk, *chunk[-1:] * (size - len(chunk)))
            yield _compiled_list(self._build, self._binds, size, connection.dialect), given


class RowsStatement:
    """An INSERT of many complete rows, with values in the order of the table's columns.

    Args:
        table: the table.
        changed: the columns that are updated if the row's key exists already; empty: the key must be new.
    """

    def __init__(self, table: sa.Table, changed: Sequence[str] = ()) -> None:
        self._table = table
        self._changed = tuple(changed)
        self._texts: dict[tuple[str, int], str] = {}

    def run(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Write all rows."""
        rest = iter(rows)
        for size in _sizes(len(rows)):
            given = tuple(chain.from_iterable(islice(rest, size)))
            _run(connection, self._text(connection.dialect, size), given)

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
        upsert = _insert(self._table, dialect)
        values = {name: upsert.excluded[name] for name in self._changed}
        return upsert.on_conflict_do_update(index_elements=self._table.primary_key, set_=values)


def _insert(table: sa.Table, dialect: str) -> sqlite.Insert:
    """Return an INSERT of the dialect; what both have, on conflict and excluded, is written alike."""
    if dialect == "sqlite":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - a bridge on SQLite never needs it

    return cast("sqlite.Insert", postgresql.insert(table))


def listed(size: int) -> list[sa.BindParameter[Any]]:
    """Return the binds of an IN list."""
    return [sa.bindparam(name) for name in _names(size)]


def chunks(items: Sequence[Any]) -> Iterator[list[Any]]:
    """Split a sequence into lists that fit an IN list."""
    rest = iter(items)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def _sizes(count: int) -> Iterator[int]:
    """Split a number of rows into powers of two and one small rest, so that few texts are prepared."""
    while count:
        size = count if count <= _MAX_EXACT_ROWS else min(_MAX_ROWS, 1 << (count.bit_length() - 1))
        yield size
        count -= size


def _rows(connection: Connection, compiled: _Compiled, given: Row) -> list[Row]:
    rows: list[Row] = _execute(connection, compiled, given).fetchall()
    return rows


def _execute(connection: Connection, compiled: _Compiled, given: Row) -> Any:  # noqa: ANN401 - a DBAPI cursor has no common type
    return _run(connection, compiled.sql, compiled.order((*compiled.literals, *given)))


def _run(connection: Connection, sql: str, given: Row) -> Any:  # noqa: ANN401 - a DBAPI cursor has no common type
    """Run a text; return the cursor.

    Raises:
        DBAPIError: the error as SQLAlchemy raises it; a broken connection is invalidated.
    """
    if not connection.in_transaction():
        connection.begin()
    cursor = connection.connection.cursor()
    dialect = connection.dialect
    try:
        cursor.execute(sql, given)
    except dialect.loaded_dbapi.Error as error:
        raw = connection.connection.dbapi_connection
        is_lost = dialect.is_disconnect(error, raw, cursor)
        if is_lost:
            connection.invalidate(error)
        # Without the parameters: they contain users' alert data.
        raise sa.exc.DBAPIError.instance(
            sql, None, error, dialect.loaded_dbapi.Error, connection_invalidated=is_lost, dialect=dialect
        ) from error
    return cursor


@lru_cache(maxsize=16)
def _names(size: int) -> list[str]:
    return [f"v{index}" for index in range(size)]


@lru_cache(maxsize=256)
def _compiled(statement: Query | sa.Update, binds: tuple[str, ...], dialect: Dialect) -> _Compiled:
    compiled = statement.compile(dialect=dialect)
    literals = {name: value for name, value in compiled.params.items() if name not in binds}
    places = {name: place for place, name in enumerate((*literals, *binds))}
    order = _picking([places[name] for name in compiled.positiontup or ()])
    return _Compiled(str(compiled), order, tuple(literals.values()))


def _picking(places: list[int]) -> Callable[[Row], Row]:
    if len(places) > 1:
        return itemgetter(*places)
    return lambda values: tuple([values[place] for place in places])


@lru_cache(maxsize=256)
def _compiled_list(build: Build, binds: tuple[str, ...], size: int, dialect: Dialect) -> _Compiled:
    return _compiled(build(size), (*binds, *_names(size)), dialect)
