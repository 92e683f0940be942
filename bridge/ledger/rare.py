"""Warns once for each target if repeats are so rare that AOM may clear an alarm by age while its alert fires.

In: the gaps that puts saw. Out: a log line with the fix.
"""

from __future__ import annotations

from collections.abc import Mapping

from bridge.clock import Millis, format_duration
from bridge.log import logger

_log = logger("ledger")


class RareRepeats:
    """Remembers the targets about which it has warned."""

    def __init__(self) -> None:
        self._warned: set[str] = set()

    def warn(self, rare: Mapping[str, Millis]) -> None:
        """Warn of these targets, given the gap between two firings of an open alarm."""
        for target, gap in rare.items():
            if target not in self._warned:
                self._warned.add(target)
                _log.warning(
                    "an open alarm was repeated so late that AOM may clear it by age while it fires. Fix: an "
                    "alarm_timeout of at least 2 x (repeat_interval + group_interval), or a shorter repeat_interval",
                    target=target,
                    since_last_firing=format_duration(gap),
                )
