"""Memory: with many open alarms after everything is delivered, and at its peak under a storm of connections.

Both processes of the bridge count: what they share once while resident, for each of them at the peak.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from bench import processes
from bench.loader import Result, Spec
from bench.plan import Plan
from bench.processes import Process, Sink
from bench.table import Findings, below, grid, number


def measure(plan: Plan) -> Findings:
    """Measure both; the load that leaves 100,000 alarms comes in groups of 50, and once more one by one."""
    with processes.sink() as sink:
        grouped, grouped_peak = _open_alarms(plan, sink, alerts=50)
        single, single_peak = _open_alarms(plan, sink, alerts=1)
        storm, answered = _storm(plan, sink)
    count = f"{plan.open_alarms:,}"
    rows = [
        below(f"resident memory, {count} open alarms from groups of 50", "MB", grouped, 150),
        below(f"resident memory, {count} open alarms one by one", "MB", single, 150),
        below(f"peak memory, {plan.storm:,} connections at once", "MB", storm, 600),
    ]
    lines = [
        (f"peak while {count} alarms came in groups of 50, MB", number(grouped_peak)),
        (f"peak while {count} alarms came one by one, MB", number(single_peak)),
        (f"{plan.storm:,} connections at once: all answered after, s", number(answered.seconds)),
        (f"{plan.storm:,} connections at once: longest answer, s", number(answered.longest)),
    ]
    return Findings(rows=rows, details=[grid(("memory", "measured"), lines)])


def _open_alarms(plan: Plan, sink: Sink, alerts: int) -> tuple[float, float]:
    """Return resident memory and peak once so many alarms are open and AOM has them all."""
    with tempfile.TemporaryDirectory(dir=plan.folder) as folder, processes.bridge(Path(folder), sink.port) as bridge:
        fill(bridge, sink, plan.open_alarms, alerts)
        time.sleep(plan.settle)
        return bridge.resident, bridge.peak


def fill(bridge: Process, sink: Sink, count: int, alerts: int, seed: str = "f", starts_at: int = 0) -> None:
    """Open so many alarms over 32 connections and wait until AOM has them all."""
    sink.reset()
    spec = Spec(
        port=bridge.port,
        connections=32,
        requests=count // alerts,
        alerts=alerts,
        seed=seed,
        starts_at=starts_at or int(time.time() * 1000) - 60_000,
    )
    processes.load(spec)
    sink.wait_for(count)


def _storm(plan: Plan, sink: Sink) -> tuple[float, Result]:
    """Return the peak while as many connections as that each send one alert at once."""
    with tempfile.TemporaryDirectory(dir=plan.folder) as folder, processes.bridge(Path(folder), sink.port) as bridge:
        sink.reset()
        starts_at = int(time.time() * 1000) - 60_000
        spec = Spec(
            port=bridge.port, connections=plan.storm, requests=plan.storm, alerts=1, seed="c", starts_at=starts_at
        )
        result = processes.load(spec)
        sink.wait_for(plan.storm)
        return bridge.peak, result
