"""Several targets: how long an alarm of one takes to AOM while the other one is broken or has a backlog."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench import alerts, processes
from bench.loader import Spec
from bench.plan import Plan
from bench.processes import Process, Sink
from bench.table import Findings, at_most, below, grid, number

_CONFIG = """\
targets:
  default:
    {{endpoint: "http://127.0.0.1:{near}", project_id: near, auth: {{token: {{value: token}}}}, rate_limit: 1000}}
  far: {{endpoint: "http://127.0.0.1:{far}", project_id: far, auth: {auth}}}
store: {{url: "sqlite:///{ledger}"}}
mapping:
  rules: [{{name: far, match: ['pod=~"checkout-far.*"'], target: far}}]
"""
_GOOD, _BAD = "{token: {value: token}}", "{token: {file: /no/such/file}}"
_CLOSED = 9
_TRIES = 200
_PER_REQUEST = 50


def measure(plan: Plan) -> Findings:
    """Measure the near target alone, then beside a far one in each kind of trouble."""
    waiting = plan.open_alarms
    with processes.sink() as near, processes.sink() as far:
        delays = {
            "alone": _delays(plan, near, far.port, _GOOD, 0),
            "its rate limit": _delays(plan, near, far.port, _GOOD, waiting),
            "no AOM at its address": _delays(plan, near, _CLOSED, _GOOD, waiting),
            "broken credentials": _delays(plan, near, far.port, _BAD, waiting),
        }
    alone = statistics.median(delays.pop("alone"))
    rows = []
    for trouble, found in delays.items():
        figure = f"an alarm's way to AOM while {waiting:,} of another target wait for {trouble}"
        rows.append(at_most(f"{figure}, median", "ms", statistics.median(found), alone, 3))
        rows.append(below(f"{figure}, p99", "ms", _p99(found), 500))
    lines = [(what, number(statistics.median(found)), number(_p99(found))) for what, found in delays.items()]
    return Findings(
        rows=rows, details=[grid(("way to AOM, ms", "median", "p99"), [("alone", number(alone), ""), *lines])]
    )


def _delays(plan: Plan, near: Sink, far_port: int, auth: str, waiting: int) -> list[float]:
    """Return how long each of some alarms took from its webhook to AOM, one after the other, in milliseconds."""
    starts_at = int(time.time() * 1000) - 60_000
    with _bridge(plan, near.port, far_port, auth) as bridge:
        if waiting:
            spec = Spec(
                port=bridge.port,
                connections=16,
                requests=waiting // _PER_REQUEST,
                alerts=_PER_REQUEST,
                seed="far",
                starts_at=starts_at,
            )
            processes.load(spec)
        near.reset()
        return [_way(bridge, near, number, starts_at) for number in range(20 if plan.small else _TRIES)]


@contextlib.contextmanager
def _bridge(plan: Plan, near: int, far: int, auth: str) -> Iterator[Process]:
    with tempfile.TemporaryDirectory(dir=plan.folder) as name:
        folder = Path(name)
        text = _CONFIG.format(near=near, far=far, auth=auth, ledger=processes.ledger_file(folder))
        with processes.bridge(folder, near, config=text) as bridge:
            yield bridge


def _way(bridge: Process, near: Sink, number: int, starts_at: int) -> float:
    body = alerts.body("near", number, 1, starts_at)
    begun = time.monotonic()
    status, text = bridge.post("/webhook", body)
    if status != 200:
        raise processes.BenchError(f"refused: {text}")
    return (near.wait_for(number + 1, pause=0.001).last - begun) * 1000


def _p99(values: list[float]) -> float:
    return sorted(values)[len(values) * 99 // 100]
