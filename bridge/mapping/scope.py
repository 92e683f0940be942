"""Scope: the names that templates see for one alert; pure.

In: an alert with its group and source. Out: its `Names`; times are RFC 3339 texts in UTC. What few templates look at is
made when one does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.clock import format_rfc3339
from bridge.mapping.filters import LONGEST
from bridge.notification import Alert, Group

_MOST_SEEN = 200
"""Labels or annotations that templates see where they are very long together."""


class Names(dict[str, Any]):
    """The names for one alert."""

    __slots__ = ("_alert", "_group")

    def __init__(self, source: str, alert: Alert, group: Group) -> None:
        super().__init__(source=source, labels=_seen(alert.labels), annotations=_seen(alert.annotations))
        self._alert = alert
        self._group = group

    def __missing__(self, name: str) -> Mapping[str, Any]:
        """Make ``alert`` or ``group``."""
        if name == "alert":
            found = _alert(self._alert)
        elif name == "group":
            found = _group(self._group)
        else:
            raise KeyError(name)
        self[name] = found
        return found


def _alert(alert: Alert) -> dict[str, Any]:
    return {
        "status": alert.status,
        "fingerprint": alert.fingerprint,
        "generator_url": alert.generator_url[:LONGEST],
        "starts_at": format_rfc3339(alert.starts_at),
        "ends_at": "" if alert.ends_at is None else format_rfc3339(alert.ends_at),
    }


def _group(group: Group) -> dict[str, Any]:
    return {
        "receiver": group.receiver[:LONGEST],
        "group_key": group.group_key[:LONGEST],
        "group_labels": _seen(group.group_labels),
        "common_labels": _seen(group.common_labels),
        "common_annotations": _seen(group.common_annotations),
        "external_url": group.external_url[:LONGEST],
    }


def _seen(values: Mapping[str, str]) -> Mapping[str, str]:
    """Return what templates see: AOM takes less of a value, and no template can make more of it than there is."""
    if len("".join(values.values())) <= LONGEST:
        return values
    few = list(values.items())[:_MOST_SEEN]
    return {name[:LONGEST]: value[:LONGEST] for name, value in few}
