"""Mapping: what an alert costs with constants and look-ups, and with the shipped Kubernetes rules, in this process."""

from __future__ import annotations

import timeit
from pathlib import Path

from bench import alerts
from bench.plan import Plan
from bench.table import Findings, below, grid, number
from bridge.config import Settings, load
from bridge.notification import Notification, parse

_ALERTS = 100
_CONFIG = Path(__file__).parents[2] / "config"
_ROUNDS = 9


def measure(plan: Plan) -> Findings:
    """Measure both; the best of some rounds, since nothing else in this process may count."""
    body = alerts.body("mapping", 0, _ALERTS, 1_800_000_000_000)
    notification = parse(body)
    number_of_runs = 1 if plan.small else 20
    parsing = _best(lambda: parse(body), number_of_runs)
    costs = {
        "constants and look-ups": (_cost("minimal.yaml", notification, number_of_runs), 20.0),
        "the shipped Kubernetes rules": (_cost("kubernetes.yaml", notification, number_of_runs), 60.0),
    }
    rows = [below(f"mapping an alert with {what}", "µs", cost, most) for what, (cost, most) in costs.items()]
    lines = [("parsing", number(parsing), "1")]
    lines += [(what, number(cost), f"{cost / parsing:.1f}") for what, (cost, _) in costs.items()]
    return Findings(rows=rows, details=[grid(("per alert", "µs", "× parsing"), lines)])


def _cost(file: str, notification: Notification, runs: int) -> float:
    settings: Settings = load(str(_CONFIG / file), {}, allow_unset=True).settings
    mapper = settings.mapper()
    return _best(lambda: [mapper.map("default", one, notification.group) for one in notification.alerts], runs)


def _best(call: object, runs: int) -> float:
    """Return microseconds for each alert."""
    return min(timeit.repeat(call, number=runs, repeat=_ROUNDS)) * 1e6 / runs / _ALERTS  # type: ignore[arg-type]
