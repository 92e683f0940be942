"""Acceptance and delivery: the bridge and the relay in turn, under the same load, into the same sink."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import processes
from bench.loader import Spec
from bench.plan import Plan, Shape
from bench.processes import Process, Sink
from bench.table import Findings, at_least, at_most, grid, spread

_MAX_WARM_UP_REQUESTS = 200


@dataclass(frozen=True, kw_only=True)
class Round:
    """What one round gave: alerts per second, latencies in milliseconds, CPU in shares of one core.

    ``cost``: CPU milliseconds of the server for each alert, from the first request until everything is delivered;
    ``batch``: alarms in a push to AOM.
    """

    accepted: float
    delivered: float
    p50: float
    p99: float
    longest: float
    cost: float
    batch: float
    loader: float
    sink: float


Rounds = dict[str, list[Round]]


def measure(plan: Plan) -> Findings:
    """Measure both shapes."""
    with processes.sink() as sink:
        single, grouped = (_rounds(plan, shape, sink) for shape in (plan.single, plan.grouped))
    one, many = plan.single.name, plan.grouped.name
    rows = [
        at_least(f"durable acceptance, {one}", "alerts/s", *_medians(single, "accepted"), 1.0, aim=2.2),
        at_least(f"durable acceptance, {many}", "alerts/s", *_medians(grouped, "accepted"), 0.15, aim=0.6),
        at_least(f"delivered end to end, {one}", "alerts/s", *_medians(single, "delivered"), 0.8),
        at_least(f"delivered end to end, {many}", "alerts/s", *_medians(grouped, "delivered"), 0.1),
        at_most(f"p99 of the answer, {one}", "ms", *_medians(single, "p99"), 2),
    ]
    return Findings(rows=rows, details=[_detail(plan.single, single), _detail(plan.grouped, grouped)])


def _rounds(plan: Plan, shape: Shape, sink: Sink) -> Rounds:
    rounds: Rounds = {"bridge": [], "relay": []}
    for turn in range(plan.rounds):
        for server, done in rounds.items():
            with _server(plan, server, sink) as process:
                done.append(_round(shape, process, sink, f"{server[0]}{turn}"))
    return rounds


@contextlib.contextmanager
def _server(plan: Plan, name: str, sink: Sink) -> Iterator[Process]:
    """Run one of the two, the bridge on a fresh ledger."""
    if name == "relay":
        with processes.relay(sink.port) as process:
            yield process
        return
    with tempfile.TemporaryDirectory(dir=plan.folder) as folder, processes.bridge(Path(folder), sink.port) as process:
        yield process


def _round(shape: Shape, process: Process, sink: Sink, seed: str) -> Round:
    starts_at = int(time.time() * 1000) - 60_000
    _warm_up(process, sink, min(_MAX_WARM_UP_REQUESTS, shape.requests // 4), f"w{seed}", starts_at)
    spec = Spec(
        port=process.port,
        connections=shape.connections,
        requests=shape.requests,
        alerts=shape.alerts,
        seed=seed,
        starts_at=starts_at,
    )
    with processes.loading(spec) as load:
        cpu, sink_cpu = process.cpu, sink.cpu
        load.go()
        result = load.result()
        taken = sink.wait_for(shape.total)
        delivered = taken.last - result.begun
        cpu, sink_cpu = process.cpu - cpu, sink.cpu - sink_cpu
    return Round(
        accepted=shape.total / result.seconds,
        delivered=shape.total / delivered,
        p50=result.p50 * 1000,
        p99=result.p99 * 1000,
        longest=result.longest * 1000,
        cost=cpu * 1000 / shape.total,
        batch=taken.alarms / taken.pushes,
        loader=result.cpu / result.seconds,
        sink=sink_cpu / delivered,
    )


def _warm_up(process: Process, sink: Sink, requests: int, seed: str, starts_at: int) -> None:
    sink.reset()
    processes.load(Spec(port=process.port, connections=4, requests=requests, alerts=1, seed=seed, starts_at=starts_at))
    sink.wait_for(requests)
    sink.reset()


def _medians(rounds: Rounds, name: str) -> tuple[float, float]:
    bridge, relay = (statistics.median(getattr(one, name) for one in rounds[server]) for server in ("bridge", "relay"))
    return bridge, relay


def _detail(shape: Shape, rounds: Rounds) -> str:
    titles = (f"{shape.name}, {shape.total:,} alerts", "bridge", "relay")
    names = {
        "accepted": "accepted, alerts/s",
        "delivered": "delivered, alerts/s",
        "p50": "answer p50, ms",
        "p99": "answer p99, ms",
        "longest": "longest answer, ms",
        "cost": "CPU of the server, s per 1,000 alerts",
        "batch": "alarms per push to AOM",
        "loader": "CPU of the loader, cores",
        "sink": "CPU of the sink, cores",
    }
    lines = [
        (title, *(spread([getattr(one, name) for one in rounds[server]]) for server in ("bridge", "relay")))
        for name, title in names.items()
    ]
    return grid(titles, lines)
