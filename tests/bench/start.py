"""Start: from the program's start until it is ready, with an empty ledger and with a full one."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from pathlib import Path

from bench import processes
from bench.memory import fill
from bench.plan import Plan
from bench.processes import Sink
from bench.table import Findings, at_most, grid, spread


def measure(plan: Plan) -> Findings:
    """Start in turn on copies of two ledgers; the empty one has its tables already."""
    taken: dict[str, list[float]] = {"empty": [], "full": []}
    with tempfile.TemporaryDirectory(dir=plan.folder) as name, processes.sink() as sink:
        folder = Path(name)
        prepared = {kind: prepare(folder / kind, sink, count) for kind, count in _counts(plan).items()}
        for turn in range(plan.rounds):
            for kind, times in taken.items():
                own = folder / f"{kind}{turn}"
                own.mkdir()
                shutil.copyfile(prepared[kind], processes.ledger_file(own))
                times.append(_start(own, sink) * 1000)
                shutil.rmtree(own)
    full, empty = statistics.median(taken["full"]), statistics.median(taken["empty"])
    lines = [(f"{_counts(plan)[kind]:,} rows", spread(times)) for kind, times in taken.items()]
    return Findings(
        rows=[at_most(f"start to ready with {plan.open_alarms:,} rows, beside none", "ms", full, empty, 2)],
        details=[grid(("start to ready, ms", "median and range"), lines)],
    )


def prepare(folder: Path, sink: Sink, count: int, seed: str = "f", starts_at: int = 0) -> Path:
    """Make a ledger of so many open alarms that AOM has taken, by running a bridge; return its file."""
    with processes.bridge(folder, sink.port) as bridge:
        if count:
            fill(bridge, sink, count, min(50, count), seed, starts_at)
    return processes.ledger_file(folder)


def _counts(plan: Plan) -> dict[str, int]:
    return {"empty": 0, "full": plan.open_alarms}


def _start(folder: Path, sink: Sink) -> float:
    port = processes.free_port()
    begun = time.monotonic()
    with processes.bridge_starting(folder, sink.port, port) as bridge:
        processes.wait(lambda: processes.is_ready(bridge), "the bridge", pause=0.005)
        return time.monotonic() - begun
