"""Searches alarms for people: by what they are, page by page, the newest first, the oldest first or the worst first.

In: an `AlarmFilter`. Out: an `AlarmPage`. A search must not hold up a put, so it reads in steps, each a short read of
its own: a step looks at the next alarms of one index (`bridge.ledger.operations.search_ranges`), at more of them while
that is quick. When the time is up the page ends where the search has come to, and says so.
"""

from __future__ import annotations

import heapq
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.clock import Millis
from bridge.errors import CursorError
from bridge.event import SEVERITIES
from bridge.ledger.operations.queries import AlarmView, of_seqs
from bridge.ledger.operations.search_filter import AlarmFilter
from bridge.ledger.operations.search_ranges import BEGIN_OF_TIME, END_OF_TIME, Kind, Place, Range, Span, best
from bridge.ledger.storage.schema import alarms, contents, search
from bridge.ledger.storage.search_rows import LabelsReader, contains, name_hash
from bridge.ledger.storage.statements import Statement

_GROUPS: Mapping[str, sa.ColumnElement[bool]] = {
    "open": sa.and_(alarms.c.ends_at.is_(None), alarms.c.finished_at.is_(None)),
    "waiting": sa.and_(alarms.c.due_at.is_not(None), alarms.c.claimed_by.is_(None)),
    "in_flight": alarms.c.claimed_by.is_not(None),
    "finished": alarms.c.finished_at.is_not(None),
    "unfinished": alarms.c.finished_at.is_(None),
}
_FIRST_LOOK = 1_000
_MAX_LOOK = 32_000
_MAX_LOOK_AT_LABELS = 4_000
"""Labels are tested here, and each alarm's contents are a kilobyte."""

_QUICK_SECONDS, _SLOW_SECONDS = 0.03, 0.15
_TIMED_EACH = 100
_UNSTORABLE = re.compile("[\0\x1f\ud800-\udfff]")
_CURSOR = re.compile(r"([now])([0-3])-([0-9]{1,15})-([0-9]{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class AlarmPage:
    """A page of alarms.

    Attributes:
        views: the alarms.
        next: where to go on, for `AlarmFilter.after`; None at the end.
        looked_until: None, unless the page is short because the time was up: when the bridge took in the last alert
            that was looked at.
    """

    views: list[AlarmView]
    next: str | None
    looked_until: Millis | None


class Search:
    """The search for one page; call `step` until it returns the page.

    Args:
        chosen: what is searched.
        seconds: how long, from the first step; the step in which they end is finished.

    Raises:
        CursorError: ``chosen.after`` is not the end of a page in this order.
    """

    def __init__(self, chosen: AlarmFilter, seconds: float) -> None:
        is_by_rank = chosen.order == "worst" and chosen.severity is None
        self._parts = [replace(chosen, severity=one) for one in SEVERITIES] if is_by_rank else [chosen]
        self._order = chosen.order
        self._limit = chosen.limit
        self._part, self._begin = _read_cursor(chosen, len(self._parts))
        self._seconds = seconds
        self._ends_at: float | None = None
        self._walk: _Walk | None = None
        self._found: list[tuple[int, Place]] = []

    def step(self, connection: Connection) -> AlarmPage | None:
        """Look at the next alarms; return the page once it is complete."""
        if self._ends_at is None:
            self._ends_at = time.monotonic() + self._seconds
        walk = self._walk = self._walk or _Walk(connection, self._parts[self._part], self._begin)
        found = walk.step(connection, self._limit + 1 - len(self._found), self._ends_at)
        self._found += [(self._part, place) for place in found]
        if len(self._found) > self._limit:
            return self._page(connection, self._found[self._limit - 1])
        if walk.is_over:
            self._part, self._walk, self._begin = self._part + 1, None, None
            return self._page(connection, None) if self._part == len(self._parts) else None
        if time.monotonic() >= self._ends_at:
            return self._page(connection, (self._part, walk.position), looked_until=walk.position.received_at)
        return None

    def _page(
        self, connection: Connection, end: tuple[int, Place] | None, looked_until: Millis | None = None
    ) -> AlarmPage:
        seqs = [place.seq for _, place in self._found[: self._limit]]
        views = {view.alarm.seq: view for view in of_seqs(connection, seqs)}
        after = None if end is None else f"{self._order[0]}{end[0]}-{end[1].received_at}-{end[1].seq}"
        return AlarmPage([views[seq] for seq in seqs if seq in views], after, looked_until)


class _Walk:
    """Looks through the ranges of one index, from a place on.

    Args:
        connection: reads.
        chosen: what is searched.
        begin: the place after which it begins; None for the first one.

    Attributes:
        position: the place of the last alarm that was looked at.
        is_over: whether all were looked at.
    """

    def __init__(self, connection: Connection, chosen: AlarmFilter, begin: Place | None) -> None:
        self.is_over = not _is_possible(chosen)
        self._chosen = chosen
        self._is_ascending = chosen.order == "oldest"
        oldest = BEGIN_OF_TIME if chosen.since is None else Place(chosen.since, -1)
        newest = END_OF_TIME if chosen.until is None else Place(chosen.until, -1)
        first, self._last = (oldest, newest) if self._is_ascending else (newest, oldest)
        self.position = first if begin is None else max(first, begin) if self._is_ascending else min(first, begin)
        remaining = Span(self._last, self.position) if self._is_ascending else Span(self.position, self._last)
        self._ranges = [] if self.is_over else best(connection, chosen, remaining)
        self._queries = {one.kind: self._query(connection, one.kind) for one in self._ranges}
        self._size = _FIRST_LOOK

    def step(self, connection: Connection, wanted: int, ends_at: float) -> list[Place]:
        """Look at the next alarms; return the places of up to ``wanted`` that match."""
        begun = time.monotonic()
        end = self._end(connection)
        rows = self._sorted([self._matching(connection, one, end or self._last, wanted) for one in self._ranges])
        if self._chosen.labels is None:
            found, last = [Place(*row[:2]) for row in islice(rows, wanted)], None
        else:
            found, last = _tested(rows, self._chosen.labels, wanted, ends_at)
        if len(found) == wanted:
            last = found[-1]
        self.position = last or end or self._last
        self.is_over = last is None and end is None
        self._adapt(time.monotonic() - begun)
        return found

    def _end(self, connection: Connection) -> Place | None:
        """Return up to where the next step looks, at `_size` alarms at most; None: at all that remain."""
        skipped = max(1, self._size // max(1, len(self._ranges))) - 1
        span = (*self.position, *self._last)
        probed = (
            one.kind.probe(connection, (*one.values, *span), skipped, is_ascending=self._is_ascending)
            for one in self._ranges
        )
        places = [place for place in probed if place is not None]
        return (min(places) if self._is_ascending else max(places)) if places else None

    def _matching(self, connection: Connection, one: Range, end: Place, wanted: int) -> list[tuple[Any, ...]]:
        most = self._size if self._chosen.labels is not None else wanted
        return self._queries[one.kind].run(connection, *one.values, *self.position, *end, self._size, most)

    def _query(self, connection: Connection, kind: Kind) -> Statement:
        """Return a query for the places of a range that match, with their contents if labels are tested.

        The limit of the inner query, which it cannot reach, keeps both databases from another order of the joins.
        """
        keys = kind.keys(is_ascending=self._is_ascending)
        if kind.table is search:
            keys = keys.add_columns(search.c.name_hash, search.c.text)
        looked = keys.limit(sa.bindparam("size")).subquery()
        query = sa.select(looked.c.received_at, looked.c.seq).join(alarms, alarms.c.seq == looked.c.seq)
        texts: Any = looked.c
        if kind.table is not search and (self._chosen.text, self._chosen.event_name) != (None, None):
            is_same = sa.and_(search.c.received_at == looked.c.received_at, search.c.seq == looked.c.seq)
            query, texts = query.join(search, is_same), search.c
        if self._chosen.labels is not None:
            query = query.add_columns(contents.c.kept).outerjoin(contents, contents.c.seq == looked.c.seq)
        columns = (looked.c.received_at, looked.c.seq)
        ordered = [column.asc() if self._is_ascending else column.desc() for column in columns]
        query = query.where(*_conditions(connection, self._chosen, texts)).order_by(*ordered)
        return Statement(query.limit(sa.bindparam("most")), (*kind.binds, "size", "most"))

    def _sorted(self, found: Sequence[Sequence[tuple[Any, ...]]]) -> Iterable[tuple[Any, ...]]:
        return heapq.merge(*found, key=itemgetter(0, 1), reverse=not self._is_ascending)

    def _adapt(self, took: float) -> None:
        most = _MAX_LOOK if self._chosen.labels is None else _MAX_LOOK_AT_LABELS
        if took < _QUICK_SECONDS:
            self._size = min(most, self._size * 4)
        elif took > _SLOW_SECONDS:
            self._size = max(_FIRST_LOOK, self._size // 2)


def _conditions(connection: Connection, chosen: AlarmFilter, texts: Any) -> list[sa.ColumnElement[bool]]:  # noqa: ANN401 - the columns of a table or of a query
    """Return all conditions but the labels; ``texts``: the columns of `search`."""
    equal = {alarms.c[name]: getattr(chosen, name) for name in ("target", "source", "severity", "fingerprint")}
    conditions = [column == value for column, value in equal.items() if value is not None]
    if chosen.states:
        named = [_GROUPS.get(name, alarms.c.state == name) for name in chosen.states]
        conditions.append(sa.or_(*named))
    if chosen.event_name is not None:
        conditions.append(texts.name_hash == name_hash(chosen.event_name))
    if chosen.text is not None:
        conditions.append(contains(connection, texts.text, chosen.text))
    return conditions


def _tested(
    rows: Iterable[tuple[Any, ...]], is_wanted: Callable[[Mapping[str, str]], bool], wanted: int, ends_at: float
) -> tuple[list[Place], Place | None]:
    """Return the places of the alarms whose labels pass a test, and where it ended before the last one, if it did."""
    labels_of = LabelsReader().labels
    found: list[Place] = []
    for number, (received_at, seq, packed) in enumerate(rows, 1):
        place = Place(received_at, seq)
        if is_wanted(labels_of(packed)):
            found.append(place)
        is_late = number % _TIMED_EACH == 0 and time.monotonic() >= ends_at
        if len(found) == wanted or is_late:
            return found, place
    return found, None


def _is_possible(chosen: AlarmFilter) -> bool:
    """Say whether an alarm can match: the databases store no such text as a request may contain."""
    texts = (chosen.target, chosen.source, chosen.severity, chosen.event_name, chosen.text, chosen.fingerprint)
    return not any(_UNSTORABLE.search(text) for text in texts if text is not None)


def _read_cursor(chosen: AlarmFilter, parts: int) -> tuple[int, Place | None]:
    if chosen.after is None:
        return 0, None
    match = _CURSOR.fullmatch(chosen.after)
    if match is None or match[1] != chosen.order[0] or int(match[2]) >= parts:
        raise CursorError("the place to go on from is not one of this search. Fix: begin at its first page.")
    return int(match[2]), Place(int(match[3]), int(match[4]))
