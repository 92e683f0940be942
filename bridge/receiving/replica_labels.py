"""Detects alerts that differ only in the label of a Prometheus replica: they become separate alarms; pure.

In: the alerts of notifications. Out: once for each source, the label and two of its values. The Prometheus servers of
an HA pair send the same alerts, and Alertmanager deduplicates them only if the replica label is dropped
(`alert_relabel_configs`; Prometheus's documentation of its configuration).
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bridge.notification import Alert

NAMES = ("replica", "prometheus_replica")
"""The label's name in the documentation of Thanos and Cortex, and in the Prometheus Operator."""

_MAX_SIGHTINGS = 1_000
"""Alerts of one notification that are compared."""

_MAX_REMEMBERED = 10_000
_VALUE_CHARACTERS = 64


class ReplicaSighting(NamedTuple):
    """One alert that has the label: the label's name, its value, and a hash of all other labels."""

    label: str
    value: str
    others: bytes


class Pair(NamedTuple):
    """Two values of the only label in which two alerts differ."""

    label: str
    values: tuple[str, str]


def sightings(alerts: Iterable[Alert]) -> list[ReplicaSighting]:
    """Return the firing alerts that have the label, at most `_MAX_SIGHTINGS`."""
    with_label: list[ReplicaSighting] = []
    for alert in alerts:
        for name in NAMES:
            if name in alert.labels and alert.status == "firing" and len(with_label) < _MAX_SIGHTINGS:
                with_label.append(ReplicaSighting(name, alert.labels[name][:_VALUE_CHARACTERS], _others(alert, name)))
    return with_label


def _others(alert: Alert, name: str) -> bytes:
    pairs = sorted(pair for pair in alert.labels.items() if pair[0] != name)
    return hashlib.blake2b("\0".join(map("\0".join, pairs)).encode(), digest_size=16).digest()


class ReplicaWatch:
    """Remembers a bounded number of alerts until it has found a pair of each source."""

    def __init__(self) -> None:
        self._values: OrderedDict[tuple[str, str, bytes], str] = OrderedDict()
        self._reported: set[str] = set()

    def see(self, source: str, seen: Sequence[ReplicaSighting]) -> Pair | None:
        """Return the first pair of this source; None if there is none, or if one was returned before."""
        for label, value, others in () if source in self._reported else seen:
            before = self._values.setdefault((source, label, others), value)
            if before != value:
                self._reported.add(source)
                return Pair(label, (before, value))
        while len(self._values) > _MAX_REMEMBERED:
            self._values.popitem(last=False)
        return None
