"""SQLAlchemy Core statements compiled once and run with plain tuples, many rows in one call.

Core builds, caches and types a statement anew at each execution, and wraps its result, which costs more than SQLite
itself takes: so the text goes to the driver, whose errors are raised as SQLAlchemy's. Rows are written by statements
that take many at once: Python's SQLite module gives the interpreter lock away for each execution.
Values are whole numbers, text, bytes, booleans and None, which both drivers take as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice
from operator import itemgetter
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Dialect

CHUNK = 512
"""The most values in one IN list: few enough for every database."""

_MAX_EXACT_ROWS = 32
"""Rows that are written by one statement, whatever their number."""

_MAX_ROWS = 128
"""The most rows in one INSERT: SQLite takes 32,766 values."""

Row = tuple[Any, ...]
Query = sa.Select[Any] | sa.CompoundSelect[Any]
Build = Callable[[int], Query | sa.Update]


class _Compiled(NamedTuple):
    """A statement's text.

    Attributes:
        sql: the text, with a place for each value.
        order: from all values, as `_compiled` was told their names, those of the places.
        literals: what comes before all values.
    """

    sql: str
    order: Callable[[Row], Row]
    literals: Row


class Statement:
    """A statement of fixed shape.

    Args:
        statement: with named binds.
        binds: their names, in the order in which `run` gives the values.
    """

    def __init__(self, statement: Query | sa.Update, binds: Sequence[str]) -> None:
        self._statement = statement
        self._binds = tuple(binds)

    def run(self, connection: Connection, *values: Any) -> list[Row]:  # noqa: ANN401 - what the driver takes
        """Run it once; return the rows it gives."""
        return _rows(connection, _compiled(self._statement, self._binds, connection.dialect), values)


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
        for compiled, given in self._chunks(connection, items, values):
            yield from _rows(connection, compiled, given)

    def change(self, connection: Connection, items: Sequence[Any], *values: Any) -> int:  # noqa: ANN401 - as above
        """Run it for all items; return how many rows it changed."""
        total = 0
        for compiled, given in self._chunks(connection, items, values):
            total += int(_execute(connection, compiled, given).rowcount)
        return total

    def _chunks(self, connection: Connection, items: Sequence[Any], values: Row) -> Iterator[tuple[_Compiled, Row]]:
        for some in chunks(items):
            # Few sizes, so that few statements are compiled; the last value repeated changes nothing.
            size = 1 << (len(some) - 1).bit_length()
            given = (*values, *some, *some[-1:] * (size - len(some)))
            yield _compiled_list(self._build, self._binds, size, connection.dialect), given


class RowsStatement:
    """An INSERT of many rows, whole ones, in the order of the table's columns.

    Args:
        table: where to.
        changed: these columns are written where the row's key is held already; none: it must be new.
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
        upsert = postgresql.insert(self._table) if dialect == "postgresql" else sqlite.insert(self._table)
        values = {name: upsert.excluded[name] for name in self._changed}
        return upsert.on_conflict_do_update(index_elements=self._table.primary_key, set_=values)


def listed(size: int) -> list[sa.BindParameter[Any]]:
    """Return the binds of an IN list."""
    return [sa.bindparam(name) for name in _names(size)]


def chunks(items: Sequence[Any]) -> Iterator[list[Any]]:
    """Cut a sequence into lists that fit an IN list."""
    rest = iter(items)
    while some := list(islice(rest, CHUNK)):
        yield some


def _sizes(count: int) -> Iterator[int]:
    """Cut a count into small ones and powers of two, so that few texts are prepared."""
    while count:
        size = count if count <= _MAX_EXACT_ROWS else min(_MAX_ROWS, 1 << (count.bit_length() - 1))
        yield size
        count -= size


def _rows(connection: Connection, compiled: _Compiled, given: Row) -> list[Row]:
    rows: list[Row] = _execute(connection, compiled, given).fetchall()
    return rows


def _execute(connection: Connection, compiled: _Compiled, given: Row) -> Any:  # noqa: ANN401 - as `_run`
    return _run(connection, compiled.sql, compiled.order((*compiled.literals, *given)))


def _run(connection: Connection, sql: str, given: Row) -> Any:  # noqa: ANN401 - the driver's own cursor
    """Run a text; return the cursor.

    Raises:
        DBAPIError: as SQLAlchemy does; a connection that has broken is not used again.
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
        # Without the values: they are alerts of somebody's.
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
