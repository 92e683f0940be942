"""How many alarms there are, and how a transaction changes that; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from bridge.ledger.alarm import Alarm, State


class AlarmCounts:
    """Counts of alarms, or of their changes.

    Attributes:
        states: by state and target.
        open: alarms whose alerts still fire, by target and severity.
    """

    __slots__ = ("open", "states")

    def __init__(
        self,
        states: Mapping[tuple[State, str], int] | None = None,
        still_open: Mapping[tuple[str, str], int] | None = None,
    ) -> None:
        self.states: Counter[tuple[State, str]] = Counter(states or {})
        self.open: Counter[tuple[str, str]] = Counter(still_open or {})

    @classmethod
    def of(cls, changes: Iterable[tuple[Alarm, Alarm]]) -> AlarmCounts:
        """Return how the counts differ after these changes, each a pair of an alarm before and after."""
        counts = cls()
        for before, after in changes:
            counts.removed(before)
            counts.added(after)
        return counts

    def added(self, alarm: Alarm) -> None:
        """Add an alarm to the counts."""
        self.states[alarm.state, alarm.target] += 1
        if alarm.is_open:
            self.open[alarm.target, alarm.severity] += 1

    def removed(self, alarm: Alarm) -> None:
        """Remove an alarm from the counts."""
        self.states[alarm.state, alarm.target] -= 1
        if alarm.is_open:
            self.open[alarm.target, alarm.severity] -= 1

    def add(self, changes: AlarmCounts) -> None:
        """Add the counts of changes to these."""
        for state, change in changes.states.items():
            self.states[state] += change
        for key, change in changes.open.items():
            self.open[key] += change
