"""One very large group: how long its answer takes, and how long other webhooks wait meanwhile."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from bench import alerts, processes
from bench.loader import Result, Spec
from bench.plan import Plan
from bench.processes import Process, Sink
from bench.table import Findings, at_most, below, grid, number, spread
from bridge import config
from bridge.mapping import Mapper
from bridge.notification import parse

_MAX_SINGLES = 20_000
_LEAD = 0.3


def measure(plan: Plan) -> Findings:
    """Send the group alone, then with single alerts beside it, so many rounds each."""
    alone, beside, waits, bases = [], [], [], []
    with (
        tempfile.TemporaryDirectory(dir=plan.folder) as name,
        processes.sink() as sink,
        processes.bridge(Path(name), sink.port) as bridge,
    ):
        for turn in range(plan.rounds):
            bases.append(_parse_and_map(plan, Path(name)))
            alone.append(_group(plan, bridge, sink, f"a{turn}").seconds * 1000)
            result, singles = _group_beside_singles(plan, bridge, sink, f"b{turn}")
            beside.append(result.seconds * 1000)
            waits.append(singles.longest * 1000)
    count = f"{plan.large_group:,} alerts"
    size = f"{len(_body(plan, 'size')) / 1e6:.1f} MB"
    reference = statistics.median(bases)
    rows = [
        at_most(f"one {size} group of {count}, acknowledged", "ms", statistics.median(alone), reference, 3),
        below("longest wait of other webhooks during it", "ms", statistics.median(waits), 500),
    ]
    lines = [
        ("parse and map alone, in process, ms", spread(bases)),
        ("acknowledged, ms", spread(alone)),
        ("acknowledged while single alerts come too, ms", spread(beside)),
        ("longest wait of those, ms", f"{spread(waits)}, the longest of all {number(max(waits))}"),
    ]
    return Findings(rows=rows, details=[grid((f"a group of {count}", "median and range"), lines)])


def _body(plan: Plan, seed: str) -> bytes:
    return alerts.body(seed, 0, plan.large_group, int(time.time() * 1000) - 60_000)


def _parse_and_map(plan: Plan, folder: Path) -> float:
    """Return how long parsing and mapping the group takes by itself, in milliseconds."""
    settings = config.load(processes.config_of(folder)).settings
    timeouts = {name: target.alarm_timeout for name, target in settings.targets.items()}
    mapper = Mapper(settings.mapping, timeouts, settings.default_target)
    body = _body(plan, "base")
    begun = time.monotonic()
    notification = parse(body)
    mapped = [mapper.map("default", alert, notification.group) for alert in notification.alerts]
    took = (time.monotonic() - begun) * 1000
    del mapped
    return took


def _group(plan: Plan, bridge: Process, sink: Sink, seed: str) -> Result:
    sink.reset()
    result = processes.load(_spec(plan, bridge, seed))
    sink.wait_for(plan.large_group)
    return result


def _group_beside_singles(plan: Plan, bridge: Process, sink: Sink, seed: str) -> tuple[Result, Result]:
    sink.reset()
    single = Spec(
        port=bridge.port,
        connections=1,
        requests=_MAX_SINGLES,
        alerts=1,
        seed=f"s{seed}",
        starts_at=int(time.time() * 1000) - 60_000,
    )
    with processes.loading(single) as singles, processes.loading(_spec(plan, bridge, seed)) as group:
        singles.go()
        time.sleep(_LEAD)
        group.go()
        result = group.result()
        time.sleep(_LEAD)
        singles.stop()
        others = singles.result()
    sink.wait_for(plan.large_group + others.answered)
    return result, others


def _spec(plan: Plan, bridge: Process, seed: str) -> Spec:
    starts_at = int(time.time() * 1000) - 60_000
    return Spec(port=bridge.port, connections=1, requests=1, alerts=plan.large_group, seed=seed, starts_at=starts_at)
