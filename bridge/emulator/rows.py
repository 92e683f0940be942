"""One stored alarm or event, and the index that finds rows by metadata.

In: rows to keep. Out: rows by metadata, and what a row looks like in a list. It is pure and decides nothing
about identity or time. Rules: the fields of a listed event, `ends_at` 0 while an alarm is not cleared [sdk].
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Literal

Seen = Literal["unseen", "active", "history", "event"]


@dataclass(eq=False, kw_only=True, slots=True)
class Row:
    """One alarm from its opening to its clearing, or one event; times are epoch milliseconds, 0 = not yet.

    `starts_at` and `ends_at` are the reporter's times; `opened_at`, `arrives_at` and `cleared_at` are the
    emulator's. `deadline` is when the alarm is cleared by age.
    """

    sn: int
    project: str
    enterprise_project: str
    id: str
    supplied_id: str | None
    identity: Hashable
    starts_at: int
    timeout: int
    deadline: int
    metadata: dict[str, str]
    annotations: dict[str, object]
    attach_rule: dict[str, object]
    arrives_at: int
    opened_at: int
    ends_at: int = 0
    cleared_at: int = 0

    @property
    def is_event(self) -> bool:
        """Return whether this is an `event_type: event`, which is never active and never cleared."""
        return self.metadata["event_type"] == "event"

    def seen(self, at: int) -> Seen:
        """Return in which state a list shows the row that is as old as `at`, in epoch milliseconds."""
        if self.opened_at > at:
            return "unseen"
        if self.is_event:
            return "event"
        return "history" if self.cleared_at and self.cleared_at <= at else "active"

    def listed(self, *, active: bool = False) -> dict[str, object]:
        """Return the row as the list API shows it; `active` hides an end that the list does not know yet."""
        return {
            "id": self.id,
            "event_sn": f"{self.sn:016d}",
            "starts_at": self.starts_at,
            "ends_at": 0 if active else self.ends_at,
            "arrives_at": self.arrives_at,
            "timeout": self.timeout,
            "enterprise_project_id": self.enterprise_project,
            "metadata": self.metadata,
            "annotations": self.annotations,
            "attach_rule": self.attach_rule,
            "policy": {},
        }


class MetadataIndex:
    """Rows by project, metadata key and value, so that a look-up reads few of many thousands."""

    def __init__(self) -> None:
        self._projects: dict[str, dict[int, Row]] = {}
        self._entries: dict[tuple[str, str, str], dict[int, Row]] = {}

    def add(self, row: Row) -> None:
        """Keep a row under each entry of its metadata."""
        self._projects.setdefault(row.project, {})[row.sn] = row
        for key, value in row.metadata.items():
            self._entries.setdefault((row.project, key, value), {})[row.sn] = row

    def remove(self, row: Row) -> None:
        """Forget a row; its metadata must be what it was when it was added."""
        del self._projects[row.project][row.sn]
        for key, value in row.metadata.items():
            entry = (row.project, key, value)
            del self._entries[entry][row.sn]
            if not self._entries[entry]:
                del self._entries[entry]

    def find(self, project: str, required: Iterable[tuple[str, tuple[str, ...]]]) -> list[Row]:
        """Return the rows that may match: those of the most selective of the `required` (key, values) pairs.

        With nothing required it is every row of the project. The caller still tests each row.
        """
        narrowest: list[Row] | None = None
        for key, values in required:
            matching = [row for value in set(values) for row in self._at(project, key, value).values()]
            if narrowest is None or len(matching) < len(narrowest):
                narrowest = matching
        return list(self._projects.get(project, {}).values()) if narrowest is None else narrowest

    def _at(self, project: str, key: str, value: str) -> dict[int, Row]:
        return self._entries.get((project, key, value), {})
