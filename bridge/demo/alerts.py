"""The alerts that the demo fires: real alert names and texts, from `alerts.yaml`; pure but for that file.

In: the name of a wave. Out: its alerts, without times: when they fire is decided by the acts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from importlib.resources import files

import msgspec

from bridge.notification import Labels, fingerprint

_SUFFIXES = (
    "2xk9p", "4hq7d", "5vz8m", "6jt2c", "7bw4r", "8nf6s", "9gl5x", "bq7zv", "c4mhp", "dk9rw", "f2sxt", "gz6nj",
    "hv8cb", "jl5qd",
)  # fmt: skip
"""What tells the pods of one workload apart."""


class DemoAlert(msgspec.Struct, frozen=True, dict=True):
    """One alert; ``dict`` keeps its fingerprint, which is computed once."""

    labels: Labels
    annotations: Labels

    @property
    def name(self) -> str:
        """Its `alertname`."""
        return self.labels["alertname"]

    @cached_property
    def fingerprint(self) -> str:
        """Alertmanager's fingerprint of it."""
        return fingerprint(self.labels)


class _Kind(msgspec.Struct, forbid_unknown_fields=True):
    severity: str
    summary: str
    description: str


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    alert: str
    labels: dict[str, str]
    ids: list[str] = []
    copies: int = 1


class _File(msgspec.Struct, forbid_unknown_fields=True):
    alerts: dict[str, _Kind]
    waves: dict[str, list[_Line]]


def waves() -> Mapping[str, Sequence[DemoAlert]]:
    """Return every wave of alerts by its name."""
    read = msgspec.yaml.decode((files("bridge.demo") / "alerts.yaml").read_bytes(), type=_File)
    return {
        name: [alert for line in lines for alert in _alerts(read.alerts[line.alert], line)]
        for name, lines in read.waves.items()
    }


def in_groups(alerts: Iterable[DemoAlert]) -> list[list[DemoAlert]]:
    """Return alerts as Alertmanager groups them by `alertname`: each group is one webhook."""
    groups: dict[str, list[DemoAlert]] = {}
    for alert in alerts:
        groups.setdefault(alert.name, []).append(alert)
    return list(groups.values())


def _alerts(kind: _Kind, line: _Line) -> Iterator[DemoAlert]:
    for own_id in line.ids or _SUFFIXES[: line.copies]:
        own = {name: value.replace("{id}", own_id) for name, value in line.labels.items()}
        texts = {"summary": kind.summary, "description": kind.description.format(**own)}
        yield DemoAlert({"alertname": line.alert, "severity": kind.severity, **own}, texts)
