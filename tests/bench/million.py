"""A million open alarms: what an alert costs then, and a scrape, beside a small ledger."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench import processes
from bench.loader import Spec
from bench.plan import Plan, Shape
from bench.processes import Process, Sink
from bench.start import prepare
from bench.table import Findings, at_most, grid, number, spread
from bridge.ledger.storage.schema import alarms, contents, search

_SEED = "known"
_FEW = 1_000
_SCRAPES = 20


@dataclass(kw_only=True)
class _Costs:
    """One workload on one ledger: microseconds for each alert until its answer, and CPU until its delivery."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


Costs = dict[str, dict[str, _Costs]]


def measure(plan: Plan) -> Findings:
    """Run the same loads on both ledgers in turn; the large one is made once, and grows by what is measured."""
    starts_at = int(time.time() * 1000) - 60_000
    few = min(_FEW, plan.known)
    with tempfile.TemporaryDirectory(dir=plan.folder) as name, processes.sink() as sink:
        folder = Path(name)
        small = prepare(folder / "small", sink, few, _SEED, starts_at)
        base = prepare(folder / "base", sink, plan.known, _SEED, starts_at)
        (folder / "large").mkdir()
        begun = time.monotonic()
        multiply(base, processes.ledger_file(folder / "large"), plan.clones)
        made = time.monotonic() - begun
        begun = time.monotonic()
        with processes.bridge(folder / "large", sink.port) as large:
            started = time.monotonic() - begun
            costs = _costs(plan, sink, large, small, starts_at)
            resident = large.resident
            with _copy_running(small.parent, sink) as tiny, _empty_running(folder, sink) as empty:
                scrapes = {"large": _scrape(large), "small": _scrape(tiny), "empty": _scrape(empty)}
    total = f"{plan.known * plan.clones:,}"
    rows = [
        at_most(f"cost per alert with {total} open alarms, {what}", "µs", *_medians(one), 1.5)
        for what, one in costs.items()
    ]
    rows.append(at_most(f"a scrape of /metrics with {total} open alarms", "ms", scrapes["large"], scrapes["empty"], 5))
    lines = [
        (f"{title}, {what}", *(spread(getattr(one[kind], name)) for kind in ("large", "small")))
        for what, one in costs.items()
        for name, title in (("wall", "µs"), ("cpu", "CPU µs until delivered"))
    ]
    lines.append(("a scrape of /metrics, ms", number(scrapes["large"]), number(scrapes["small"])))
    lines.append(("resident memory, MB", number(resident), ""))
    lines.append(("start until ready, s", number(started), ""))
    lines.append(("making the ledger, s", number(made), ""))
    titles = ("cost per alert", f"{total} open", f"{few:,} open")
    return Findings(rows=rows, details=[grid(titles, lines)])


def multiply(base: Path, into: Path, times: int) -> None:
    """Make a ledger in which each alarm of the base stands with clones that differ in alert and id.

    The base's own alarms lie evenly among them, so that a repeat finds its row anywhere in the file.
    """
    shutil.copyfile(base, into)
    ledger = sqlite3.connect(into, isolation_level=None)
    ledger.create_function("clone", 3, _clone, deterministic=True)
    for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-1000000"):
        ledger.execute(f"PRAGMA {pragma}")
    ledger.execute("ATTACH ? AS base", (str(base),))
    ledger.execute("BEGIN")
    for table in (alarms, contents, search):
        names = [column.name for column in table.columns]
        values = [_VALUES.get(name, f"one.{name}") for name in names]
        ledger.execute(f"DELETE FROM {table.name}")  # noqa: S608 - names of the ledger's own schema, here and below
        ledger.execute(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :times) "  # noqa: S608
            f"INSERT INTO {table.name} ({', '.join(names)}) SELECT {', '.join(values)} "
            f"FROM base.{table.name} AS one CROSS JOIN n ORDER BY one.seq, n.i",
            {"times": times},
        )
    ledger.execute("UPDATE ledger_counters SET value = (SELECT max(seq) FROM alarms) WHERE name = 'alarm_seq'")
    ledger.execute("COMMIT")
    ledger.close()


_VALUES = {
    "seq": "one.seq * :times + n.i",
    "id": "iif(n.i, clone(one.id, n.i, 16), one.id)",
    "fingerprint": "iif(n.i, clone(one.fingerprint, n.i, 8), one.fingerprint)",
}


def _clone(text: str, index: int, size: int) -> str:
    return hashlib.blake2b(f"{text}/{index}".encode(), digest_size=size).hexdigest()


def _costs(plan: Plan, sink: Sink, large: Process, small: Path, starts_at: int) -> Costs:
    few = min(_FEW, plan.known)
    shapes = {"new, 1 per request": plan.single, "new, 50 per request": plan.grouped}
    repeats = "repeats, 50 per request"
    costs: Costs = {what: {"large": _Costs(), "small": _Costs()} for what in (*shapes, repeats)}
    for turn in range(plan.rounds):
        with _copy_running(small.parent, sink) as tiny:
            for what, shape in shapes.items():
                for kind, bridge in (("large", large), ("small", tiny)):
                    spec = _spec(bridge, shape, f"{kind[0]}{shape.alerts}n{turn}", starts_at)
                    _load(bridge, sink, spec, costs[what][kind], delivers=True)
        with _copy_running(small.parent, sink) as tiny:
            for kind, bridge, known in (("large", large, plan.known), ("small", tiny, few)):
                spec = _spec(bridge, plan.grouped, _SEED, starts_at, distinct=known)
                _load(bridge, sink, spec, costs[repeats][kind], delivers=False)
    return costs


def _spec(bridge: Process, shape: Shape, seed: str, starts_at: int, distinct: int = 0) -> Spec:
    return Spec(
        port=bridge.port,
        connections=shape.connections,
        requests=shape.requests,
        alerts=shape.alerts,
        seed=seed,
        starts_at=starts_at,
        distinct=distinct,
    )


def _load(bridge: Process, sink: Sink, spec: Spec, costs: _Costs, *, delivers: bool) -> None:
    """Send one load; repeats are not reported again, so none of them must reach the sink."""
    sink.reset()
    total = spec.requests * spec.alerts
    with processes.loading(spec) as load:
        cpu = bridge.cpu
        load.go()
        result = load.result()
        sink.wait_for(total if delivers else 0)
        costs.cpu.append((bridge.cpu - cpu) * 1e6 / total)
    costs.wall.append(result.seconds * 1e6 / total)


@contextlib.contextmanager
def _copy_running(small: Path, sink: Sink) -> Iterator[Process]:
    with tempfile.TemporaryDirectory(dir=small.parent) as own:
        shutil.copyfile(processes.ledger_file(small), processes.ledger_file(Path(own)))
        with processes.bridge(Path(own), sink.port) as bridge:
            yield bridge


@contextlib.contextmanager
def _empty_running(folder: Path, sink: Sink) -> Iterator[Process]:
    with processes.bridge(folder / "empty", sink.port) as bridge:
        yield bridge


def _scrape(bridge: Process) -> float:
    """Return how long a scrape takes, in milliseconds: the median of some."""
    times = []
    for _ in range(_SCRAPES):
        begun = time.monotonic()
        bridge.get("/metrics")
        times.append((time.monotonic() - begun) * 1000)
    return statistics.median(times)


def _medians(one: dict[str, _Costs]) -> tuple[float, float]:
    return statistics.median(one["large"].wall), statistics.median(one["small"].wall)
