"""Which alerts are signs of a heartbeat and no alarms; pure.

In: the heartbeats of the configuration, then the source and the labels of each alert. Out: a `Sign`, or None.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bridge.mapping.matcher import Matcher
from bridge.notification import Labels, Sign


class Switch(msgspec.Struct, frozen=True):
    """One heartbeat: its name, the alerts that are signs of it, and the labels by whose values they are told apart.

    ``source``: only alerts of this source; empty: of every source.
    """

    name: str
    source: str
    match: tuple[Matcher, ...]
    by: tuple[str, ...]


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
        """Return the sign that an alert is, a missing label as the empty value; None: it is an alert as any other."""
        for switch in self._switches:
            if switch.source in ("", source) and all(matcher.matches(labels) for matcher in switch.match):
                return Sign(switch.name, {name: labels.get(name, "") for name in switch.by})
        return None
