"""The alarms and events that the emulated AOM holds: report, clear, clear by age.

In: valid events and the time. Out: rows. It is pure: no HTTP, no clock; it finds by id, by identity and by
metadata without walking through all it holds. Rules:

- an alarm's id is made when it is generated [seed]; with `ids="supplied"` the reporter's own is kept;
- identical alarms are one alarm [um], identical within a project and an enterprise project; a repeated
  report renews annotations and arrival and keeps the first start; after a clear it opens a new alarm;
- `timeout` clears an alarm without a request, after 5 days where none is given [seed] ([cn] says 15);
- a clear names an alarm by its id [seed]; an alarm that is cleared already counts as not held;
- people clear alarms in the console, too; nothing tells the reporter.

With `same_alarm="id"` a report without an id is an alarm of its own. With `timeout_from="starts_at"` a
repeated report's timeout counts from the start that is kept.
"""

from __future__ import annotations

import heapq
import secrets
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bridge.emulator.options import Options
from bridge.emulator.rows import MetadataIndex, Row
from bridge.emulator.validation import DAY_MS, Event

DEFAULT_TIMEOUT_MS = 5 * DAY_MS


@dataclass(frozen=True, slots=True)
class ProjectScope:
    """Where alarms live: a project and an enterprise project within it."""

    project: str
    enterprise_project: str


class Alarms:
    """Every alarm and event since the last reset, in memory.

    `active`, `history` and `events` are in the order of opening, clearing and arrival; `by_timeout` counts
    the alarms cleared by age. All times are epoch milliseconds.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._last_sn = 0
        self._index = MetadataIndex()
        self._open: dict[Hashable, Row] = {}
        self._by_id: dict[tuple[ProjectScope, str], list[Row]] = {}
        self._deadlines: list[tuple[int, int]] = []
        self.active: dict[int, Row] = {}
        self.history: list[Row] = []
        self.events: list[Row] = []
        self.by_timeout = 0

    def report(self, scope: ProjectScope, events: Iterable[Event], now: int) -> list[Row]:
        """Open an alarm for each event, or renew the one that is active already; return each event's row."""
        self.expire(now)
        return [self._opened(scope, event, now) for event in events]

    def unknown(self, scope: ProjectScope, events: Iterable[Event], now: int) -> list[str]:
        """Return the ids among `events` that no active alarm has."""
        self.expire(now)
        return [event.id or "" for event in events if (scope, event.id or "") not in self._by_id]

    def clear(self, scope: ProjectScope, events: Iterable[Event], now: int) -> int:
        """Clear the active alarms that the events' ids name, and count them."""
        self.expire(now)
        named = [row for event in events for row in self._end(scope, event)]
        for row in named:
            self._close(row, now)
        return len(named)

    def clear_by_hand(self, project: str, named: Mapping[str, str], now: int) -> int:
        """Clear the project's active alarms with all of this metadata (`id`: AOM's id), and count them."""
        self.expire(now)
        rows = [row for row in self.active.values() if row.project == project and _is_named(row, named)]
        for row in rows:
            row.ends_at = now
            self._close(row, now)
        return len(rows)

    def expire(self, now: int) -> None:
        """Clear the alarms whose deadline has passed; their end is the deadline."""
        while self._deadlines and self._deadlines[0][0] <= now:
            deadline, sn = heapq.heappop(self._deadlines)
            row = self.active.get(sn)
            if row is not None and row.deadline == deadline:
                row.ends_at = deadline
                self._close(row, max(deadline, row.opened_at))
                self.by_timeout += 1

    def find(self, project: str, required: Sequence[tuple[str, tuple[str, ...]]]) -> list[Row]:
        """Return the project's rows that may have the `required` metadata (key, values)."""
        return self._index.find(project, required)

    def _opened(self, scope: ProjectScope, event: Event, now: int) -> Row:
        known = self._open.get(self._identity(scope, event))
        if known is not None:
            self._renew(known, event, now)
            return known
        row = self._row(scope, event, now)
        self._store(row)
        return row

    def _identity(self, scope: ProjectScope, event: Event) -> Hashable:
        if event.metadata["event_type"] == "event":
            return None
        if self._options.same_alarm == "id":
            return (scope, event.id) if event.id else None
        return (scope, frozenset(event.metadata.items()))

    def _row(self, scope: ProjectScope, event: Event, now: int) -> Row:
        self._last_sn += 1
        timeout = event.timeout or DEFAULT_TIMEOUT_MS
        return Row(
            sn=self._last_sn,
            project=scope.project,
            enterprise_project=scope.enterprise_project,
            id=self._id(event),
            supplied_id=event.id,
            identity=self._identity(scope, event),
            starts_at=event.starts_at,
            timeout=timeout,
            deadline=self._deadline(event.starts_at, now, timeout),
            metadata=event.metadata,
            annotations=event.annotations,
            attach_rule=event.attach_rule,
            arrives_at=now,
            opened_at=now,
        )

    def _id(self, event: Event) -> str:
        if self._options.ids == "supplied" and event.id:
            return event.id
        return secrets.token_hex(16)

    def _deadline(self, starts_at: int, now: int, timeout: int) -> int:
        return timeout + (now if self._options.timeout_from == "arrival" else starts_at)

    def _store(self, row: Row) -> None:
        self._index.add(row)
        if row.is_event:
            self.events.append(row)
            return
        self.active[row.sn] = row
        self._by_id.setdefault((_scope(row), row.id), []).append(row)
        if row.identity is not None:
            self._open[row.identity] = row
        heapq.heappush(self._deadlines, (row.deadline, row.sn))

    def _renew(self, row: Row, event: Event, now: int) -> None:
        if row.metadata != event.metadata:
            self._index.remove(row)
            row.metadata = event.metadata
            self._index.add(row)
        row.annotations, row.attach_rule, row.arrives_at = event.annotations, event.attach_rule, now
        if self._options.repeat_restarts_timeout:
            row.timeout = event.timeout or DEFAULT_TIMEOUT_MS
            row.deadline = self._deadline(row.starts_at, now, row.timeout)
            heapq.heappush(self._deadlines, (row.deadline, row.sn))

    def _end(self, scope: ProjectScope, event: Event) -> list[Row]:
        rows = self._by_id.pop((scope, event.id or ""), [])
        for row in rows:
            row.ends_at = event.ends_at
        return rows

    def _close(self, row: Row, at: int) -> None:
        row.cleared_at = at
        del self.active[row.sn]
        self._forget_id(row)
        if row.identity is not None:
            del self._open[row.identity]
        self.history.append(row)

    def _forget_id(self, row: Row) -> None:
        named = self._by_id.get((_scope(row), row.id), [])
        if row in named:
            named.remove(row)
        if not named:
            self._by_id.pop((_scope(row), row.id), None)


def _is_named(row: Row, named: Mapping[str, str]) -> bool:
    return all((row.id if key == "id" else row.metadata.get(key)) == value for key, value in named.items())


def _scope(row: Row) -> ProjectScope:
    return ProjectScope(row.project, row.enterprise_project)
