"""Which alerts are signs of a heartbeat and no alarms; pure.

In: the heartbeats of the configuration, then the source and the labels of each alert. Out: a `Sign`, or None.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bridge.clock import Millis
from bridge.mapping.matcher import Matcher
from bridge.notification import Labels, Sign


class Switch(msgspec.Struct, frozen=True):
    """One heartbeat: its name, the alerts that are signs of it, and the labels by whose values they are told apart.

    ``source``: only alerts of this source; empty: of every source. ``every``: how often a sign is expected;
    ``missing_after``: how long there may be none; None: it may be missing for ever.
    """

    name: str
    source: str
    match: tuple[Matcher, ...]
    by: tuple[str, ...]
    every: Millis
    missing_after: Millis | None

    def sign(self, labels: Labels) -> Sign:
        """Return the sign that an alert of it is, a missing label as the empty value."""
        return Sign(self.name, {name: labels.get(name, "") for name in self.by})


class Switches:
    """All heartbeats; an alert that several match is a sign of the first.

    Args:
        switches: in their order.
    """

    def __init__(self, switches: Sequence[Switch] = ()) -> None:
        self._switches = tuple(switches)

    def __reduce__(self) -> tuple[type[Switches], tuple[tuple[Switch, ...]]]:
        return Switches, (self._switches,)

    def __bool__(self) -> bool:
        return bool(self._switches)

    def sign(self, source: str, labels: Labels) -> Sign | None:
        """Return the sign that an alert is; None: it is an alert as any other."""
        switch = self.find(source, labels)
        return None if switch is None else switch.sign(labels)

    def find(self, source: str, labels: Labels) -> Switch | None:
        """Return the heartbeat of which an alert is a sign, if there is one."""
        for switch in self._switches:
            if switch.source in ("", source) and all(matcher.matches(labels) for matcher in switch.match):
                return switch
        return None
