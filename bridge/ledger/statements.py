"""SQLAlchemy Core statements compiled once and run with plain tuples, many times a second.

Core builds, caches and types a statement anew at each execution, which costs more than SQLite itself takes. Here a
statement is compiled once for each dialect; what runs it gives tuples in the order of its binds, and gets tuples back.
Values go to the driver as they are: whole numbers, text, bytes, booleans, None, which both drivers take unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect

CHUNK = 512
"""The most values in one IN list: few enough for every database."""

Row = tuple[Any, ...]
Build = Callable[[int], sa.Executable]


class Statement:
    """A statement of fixed shape.

    Args:
        statement: with named binds.
        binds: their names, in the order in which `run` gives the values.
    """

    def __init__(self, statement: sa.Executable, binds: Sequence[str]) -> None:
        self._statement = statement
        self._binds = tuple(binds)

    def run(self, connection: Connection, *values: Any) -> list[Row]:  # noqa: ANN401 - what the driver takes
        """Run it once; return the rows it gives."""
        sql, order, literals = _compiled(self._statement, connection.dialect)
        named = {**literals, **dict(zip(self._binds, values, strict=True))}
        return _fetch(connection.exec_driver_sql(sql, tuple(named[name] for name in order)))

    def run_many(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Run it once for each row of values."""
        sql, order, _ = _compiled(self._statement, connection.dialect)
        if order != self._binds:
            raise AssertionError(f"the binds of {sql} stand in another order: {order}")
        if rows:
            connection.exec_driver_sql(sql, list(rows))


class InStatement:
    """A statement with one IN list, run in chunks.

    Args:
        build: gives the statement for so many list values, its binds named ``v0``, ``v1``, …; other binds come first.
        binds: the names of those others, in the order in which `run` gives their values.
    """

    def __init__(self, build: Build, binds: Sequence[str] = ()) -> None:
        self._build = build
        self._binds = tuple(binds)

    def run(self, connection: Connection, items: Sequence[Any], *values: Any) -> Iterator[Row]:  # noqa: ANN401 - as above
        """Run it for all items; give the rows."""
        for some in chunks(items):
            # Few sizes, so that few statements are compiled; the last value repeated changes nothing.
            size = 1 << (len(some) - 1).bit_length()
            padded = (*some, *some[-1:] * (size - len(some)))
            sql, order = _compiled_list(self._build, size, connection.dialect)
            named = dict(zip(self._binds, values, strict=True))
            named.update(zip(_names(size), padded, strict=True))
            yield from _fetch(connection.exec_driver_sql(sql, tuple(named[name] for name in order)))


def listed(size: int) -> list[sa.BindParameter[Any]]:
    """Return the binds of an IN list."""
    return [sa.bindparam(name) for name in _names(size)]


def chunks(items: Sequence[Any]) -> Iterator[list[Any]]:
    """Cut a sequence into lists that fit an IN list."""
    rest = iter(items)
    while some := list(islice(rest, CHUNK)):
        yield some


@lru_cache(maxsize=16)
def _names(size: int) -> list[str]:
    return [f"v{index}" for index in range(size)]


def _fetch(result: sa.CursorResult[Any]) -> list[Row]:
    return list(result.cursor.fetchall()) if result.returns_rows and result.cursor is not None else []


@lru_cache(maxsize=256)
def _compiled(statement: sa.Executable, dialect: Dialect) -> tuple[str, tuple[str, ...], dict[str, Any]]:
    compiled = statement.compile(dialect=dialect)  # type: ignore[attr-defined]  # every Executable of Core has it
    return str(compiled), tuple(compiled.positiontup), compiled.params


@lru_cache(maxsize=256)
def _compiled_list(build: Build, size: int, dialect: Dialect) -> tuple[str, tuple[str, ...]]:
    sql, order, _ = _compiled(build(size), dialect)
    return sql, order
