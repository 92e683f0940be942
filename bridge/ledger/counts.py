"""How many alarms there are, and how a transaction changes that; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec

from bridge.ledger.alarm import Alarm
from bridge.ledger.states import State

K = TypeVar("K")


class AlarmCounts(msgspec.Struct):
    """Counts of alarms, or of their changes.

    ``states``: by state and target. ``open``: alarms whose alerts still fire, by target and severity.
    """

    states: dict[tuple[State, str], int] = {}
    open: dict[tuple[str, str], int] = {}

    @classmethod
    def of(cls, changes: Iterable[tuple[Alarm, Alarm]]) -> AlarmCounts:
        """Return how the counts differ after these changes, each a pair of an alarm before and after."""
        counts = cls()
        for before, after in changes:
            counts.change(before, -1)
            counts.change(after, 1)
        return counts

    def change(self, alarm: Alarm, by: int) -> None:
        """Add to the counts of an alarm's state: 1 for an alarm as it is now, -1 for one as it was before."""
        state = alarm.state, alarm.target
        self.states[state] = self.states.get(state, 0) + by
        if alarm.is_open:
            severity = alarm.target, alarm.severity
            self.open[severity] = self.open.get(severity, 0) + by

    def add(self, changes: AlarmCounts) -> None:
        """Add the counts of changes to these."""
        _add(self.states, changes.states)
        _add(self.open, changes.open)


def _add(counts: dict[K, int], changes: Mapping[K, int]) -> None:
    for key, change in changes.items():
        counts[key] = counts.get(key, 0) + change
