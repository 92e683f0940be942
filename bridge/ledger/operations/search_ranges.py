"""Finds out which index a search reads: the one with the fewest alarms that may match.

In: what is searched. Out: `Range`s, each a part of one index in the order of a search, by `received_at` and number.
Together they hold each alarm that matches, once; what else the search asks for is looked up for each of their alarms.

Sources, targets and severities share an index, since there are few of each: every combination that the ledger holds is
a range of its own, and one probe of the index finds the next combination. The same holds for states and targets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.ledger.operations.search_filter import AlarmFilter
from bridge.ledger.states import STATES
from bridge.ledger.storage.schema import alarms, search
from bridge.ledger.storage.search_rows import name_hash
from bridge.ledger.storage.statements import Statement

SPAN = ("begin_at", "begin_seq", "end_at", "end_seq")
"""The binds of a span of places: after the place where it begins, up to the place where it ends."""

_ENOUGH = 10_000
"""A range of fewer alarms is looked through at once; to compare long ones exactly would take longer than it saves."""


class Place(NamedTuple):
    """An alarm's place in the order of a search: when its alert was taken in, and its number."""

    received_at: int
    seq: int


BEGIN_OF_TIME, END_OF_TIME = Place(-(2**62), -1), Place(2**62, -1)
"""Before and after every alarm."""


class Span(NamedTuple):
    """The places between two, without the first and with the second one, in the order of the search."""

    begin: Place
    end: Place


class Kind:
    """A kind of range: an index, and what the alarms of a range have in common.

    Args:
        table: `alarms` or `search`.
        binds: the names of the values that make a range of it.
        where: the conditions, in which the values are named.
    """

    def __init__(self, table: sa.Table, binds: Sequence[str], *where: sa.ColumnElement[bool]) -> None:
        self.table = table
        self.binds = (*binds, *SPAN)
        self._where = where
        self._probes = {
            is_ascending: Statement(
                self.keys(is_ascending=is_ascending).limit(1).offset(sa.bindparam("skipped")), (*self.binds, "skipped")
            )
            for is_ascending in (False, True)
        }
        some = self.keys(is_ascending=False).limit(sa.bindparam("most")).subquery()
        self._count = Statement(sa.select(sa.func.count()).select_from(some), (*self.binds, "most"))

    def keys(self, *, is_ascending: bool) -> sa.Select[Any]:
        """Return a query for the places of a range within a span, in order."""
        columns = (self.table.c.received_at, self.table.c.seq)
        place: Any = sa.tuple_(*columns)
        begin, end = (sa.tuple_(*map(sa.bindparam, names)) for names in (SPAN[:2], SPAN[2:]))
        within = (place > begin, place <= end) if is_ascending else (place < begin, place >= end)
        ordered = [column.asc() if is_ascending else column.desc() for column in columns]
        return sa.select(*columns).where(*self._where, *within).order_by(*ordered)

    def probe(self, connection: Connection, values: Sequence[Any], skipped: int, *, is_ascending: bool) -> Place | None:
        """Return the place after so many skipped ones; None if there are no more."""
        found = self._probes[is_ascending].run(connection, *values, skipped)
        return Place(*found[0]) if found else None

    def count(self, connection: Connection, values: Sequence[Any], most: int) -> int:
        """Return how many alarms are within a descending span, at most ``most``."""
        return int(self._count.run(connection, *values, most)[0][0])


@dataclass(frozen=True, slots=True)
class Range:
    """A part of one index; ``values``: those that its kind names, without a span."""

    kind: Kind
    values: tuple[Any, ...] = ()


def _is(column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    return column == sa.bindparam(column.name)


class _Distinct:
    """The combinations of values that an index begins with, found by one probe for each.

    Args:
        table: the table.
        names: the names of its columns that vary, all of them texts; in the index `received_at` and `seq` follow.
        binds: the names of the values in the conditions.
        where: the conditions.
    """

    def __init__(
        self, table: sa.Table, names: Sequence[str], binds: Sequence[str] = (), *where: sa.ColumnElement[bool]
    ) -> None:
        columns = [table.c[name] for name in names]
        # Compared with the last place of a combination: SQLite reads all that are equal in the columns compared.
        places = (*columns, table.c.received_at, table.c.seq)
        last = [f"last_{column.name}" for column in places]
        is_later: Any = sa.tuple_(*places) > sa.tuple_(*map(sa.bindparam, last))
        self._size = len(columns)
        self._next = Statement(sa.select(*columns).where(*where, is_later).order_by(*columns).limit(1), (*binds, *last))

    def run(self, connection: Connection, *values: Any) -> list[tuple[str, ...]]:  # noqa: ANN401 - any type of value
        """Return all of them."""
        found: list[tuple[str, ...]] = []
        last = ("",) * self._size
        while rows := self._next.run(connection, *values, *last, *END_OF_TIME):
            last = tuple(rows[0])
            found.append(last)
        return found


_PLACE_COLUMNS = (search.c.source, search.c.target, search.c.severity)
_is_unfinished = alarms.c.finished_at.is_(None)
_is_ended = (_is(alarms.c.state), alarms.c.finished_at.is_not(None))
_is_of_alert = (_is(alarms.c.source), _is(alarms.c.fingerprint))
_is_over = sa.or_(alarms.c.ends_at.is_not(None), alarms.c.finished_at.is_not(None))

_EVERY = Kind(search, ())
_PLACE = Kind(search, ("source", "target", "severity"), *map(_is, _PLACE_COLUMNS))
_NAME = Kind(search, ("name_hash",), _is(search.c.name_hash))
_UNFINISHED = Kind(alarms, (), _is_unfinished)
_ENDED = Kind(alarms, ("state", "target"), *_is_ended, _is(alarms.c.target))
_OF_ALERT = tuple(
    Kind(alarms, ("source", "fingerprint"), *_is_of_alert, *kind)
    for kind in (
        (alarms.c.is_newest, alarms.c.ends_at.is_(None), _is_unfinished),
        (alarms.c.is_newest, _is_over),
        (sa.not_(alarms.c.is_newest),),
    )
)
"""One for each index by alert: that of open alarms, of newest ones that are over, and of others."""

_places = _Distinct(search, ("source", "target", "severity"))
_ended_targets = _Distinct(alarms, ("target",), ("state",), *_is_ended)


def best(connection: Connection, chosen: AlarmFilter, span: Span) -> list[Range]:
    """Return the ranges of the index that holds the fewest alarms which may match; ``span``: a descending one."""
    if chosen.fingerprint is not None:
        return _of_alert(connection, chosen.fingerprint, chosen.source)
    candidates = list(_candidates(connection, chosen))
    if len(candidates) > 1:
        return min(candidates, key=lambda ranges: _size(connection, ranges, span))
    return candidates[0] if candidates else [Range(_EVERY)]


def _candidates(connection: Connection, chosen: AlarmFilter) -> Iterator[list[Range]]:
    if chosen.event_name is not None:
        yield [Range(_NAME, (name_hash(chosen.event_name),))]
    if (chosen.source, chosen.target, chosen.severity) != (None, None, None):
        wanted = (chosen.source, chosen.target, chosen.severity)
        yield [Range(_PLACE, place) for place in _places.run(connection) if _fits(wanted, place)]
    if chosen.states:
        yield list(_of_states(connection, chosen))


def _fits(wanted: Sequence[str | None], values: Sequence[str]) -> bool:
    return all(one is None or one == value for one, value in zip(wanted, values, strict=True))


def _of_states(connection: Connection, chosen: AlarmFilter) -> Iterator[Range]:
    finished = [state for state, info in STATES.items() if info.is_finished]
    if set(chosen.states) - {"finished", *finished}:
        yield Range(_UNFINISHED)
    for state in finished:
        if {"finished", state} & set(chosen.states):
            targets = _ended_targets.run(connection, state)
            yield from (Range(_ENDED, (state, target)) for (target,) in targets if chosen.target in (None, target))


def _of_alert(connection: Connection, fingerprint: str, source: str | None) -> list[Range]:
    sources = {source} if source is not None else {own for own, *_ in _places.run(connection)}
    return [Range(kind, (own, fingerprint)) for own in sorted(sources) for kind in _OF_ALERT]


def _size(connection: Connection, ranges: Sequence[Range], span: Span) -> int:
    """Return how many alarms some ranges hold, or `_ENOUGH` if there are more."""
    total = 0
    for one in ranges:
        if total < _ENOUGH:
            total += one.kind.count(connection, (*one.values, *span.begin, *span.end), _ENOUGH - total)
    return total
