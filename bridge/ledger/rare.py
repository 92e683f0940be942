"""Repeats that come so late that AOM may have cleared their alarm by age: warns once for each target.

In: what a put saw. Out: a line of the log with the fix.
"""

from __future__ import annotations

from collections.abc import Mapping

from bridge.clock import Millis, format_duration
from bridge.log import logger

_log = logger("ledger")


class RareRepeats:
    """Knows which targets have been warned of."""

    def __init__(self) -> None:
        self._warned: set[str] = set()

    def warn(self, rare: Mapping[str, Millis]) -> None:
        """Warn of targets whose open alarms were repeated only after so long."""
        for target, gap in rare.items():
            if target not in self._warned:
                self._warned.add(target)
                _log.warning(
                    "an open alarm was repeated so late that AOM may clear it by age while it fires. Fix: an "
                    "alarm_timeout of at least 2 x (repeat_interval + group_interval), or a shorter repeat_interval",
                    target=target,
                    since_last_firing=format_duration(gap),
                )
