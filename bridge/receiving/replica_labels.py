"""Notices alerts that differ in the label of a Prometheus replica alone: each of them is an alarm of its own; pure.

In: the alerts of notifications. Out: once for each source, the label and two of its values. Prometheus servers of an
HA pair send the same alerts, and Alertmanager takes them for the same only where the label that tells the two apart
is dropped (`alert_relabel_configs`; Prometheus's documentation of its configuration).
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bridge.notification import Alert

NAMES = ("replica", "prometheus_replica")
"""What the documentation of Thanos and Cortex calls the label, and what the Prometheus Operator does."""

_MAX_SIGHTINGS = 1_000
"""Of one notification."""

_MAX_REMEMBERED = 10_000
_VALUE_CHARACTERS = 64


class ReplicaSighting(NamedTuple):
    """One alert that has the label: which, its value, and what stands for all its other labels."""

    label: str
    value: str
    others: bytes


class Pair(NamedTuple):
    """Two values of a label that alone tells two alerts apart."""

    label: str
    values: tuple[str, str]


def sightings(alerts: Iterable[Alert]) -> list[ReplicaSighting]:
    """Return the first of the firing alerts that have the label."""
    found: list[ReplicaSighting] = []
    for alert in alerts:
        for name in NAMES:
            if name in alert.labels and alert.status == "firing" and len(found) < _MAX_SIGHTINGS:
                found.append(ReplicaSighting(name, alert.labels[name][:_VALUE_CHARACTERS], _others(alert, name)))
    return found


def _others(alert: Alert, name: str) -> bytes:
    pairs = sorted(pair for pair in alert.labels.items() if pair[0] != name)
    return hashlib.blake2b("\0".join(map("\0".join, pairs)).encode(), digest_size=16).digest()


class ReplicaWatch:
    """Remembers what it has seen, within a bound, until a source's pair is found."""

    def __init__(self) -> None:
        self._values: OrderedDict[tuple[str, str, bytes], str] = OrderedDict()
        self._found: set[str] = set()

    def see(self, source: str, seen: Sequence[ReplicaSighting]) -> Pair | None:
        """Return the first pair of this source; None where there is none, or one was returned before."""
        for label, value, others in () if source in self._found else seen:
            before = self._values.setdefault((source, label, others), value)
            if before != value:
                self._found.add(source)
                return Pair(label, (before, value))
        while len(self._values) > _MAX_REMEMBERED:
            self._values.popitem(last=False)
        return None
