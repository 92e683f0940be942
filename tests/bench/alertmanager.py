"""The real Alertmanager with one group for each alert: the worst storm that it can make of so many alerts."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import alerts, processes
from bench.plan import Plan
from bench.processes import BenchError, Process
from bench.table import Findings, at_most, grid, spread

_AT_ONCE = 500
_PAUSE = 0.05
_PATIENCE = 180.0
_GROUP_WAIT_SECONDS = 1
_CONFIG = """\
global: {{resolve_timeout: 5m}}
route: {{receiver: aom, group_by: ['...'], group_wait: {wait}s, group_interval: 30s, repeat_interval: 2h}}
receivers:
  - name: aom
    webhook_configs: [{{url: "http://127.0.0.1:{port}/webhook", send_resolved: true, max_alerts: 0}}]
"""
_REQUESTS = "alertmanager_notification_requests_total"
_FAILED_REQUESTS = "alertmanager_notification_requests_failed_total"
_FAILED = "alertmanager_notifications_failed_total"


@dataclass(frozen=True, kw_only=True)
class Storm:
    """One storm: seconds from the first possible notification to the last acknowledged one, and what failed meanwhile.

    That beginning is known. To ask Alertmanager for it takes up to a second of the storm, which is what is measured.
    """

    seconds: float
    failed_requests: float
    given_up: float


def measure(plan: Plan) -> Findings:
    """Let it send to the bridge and to a bare receiver in turn."""
    program = shutil.which("prometheus-alertmanager")
    if program is None:
        raise BenchError("prometheus-alertmanager is not installed; apt-get install prometheus-alertmanager")
    storms: dict[str, list[Storm]] = {"bridge": [], "bare receiver": []}
    with processes.sink() as sink:
        for turn in range(plan.rounds):
            for receiver, done in storms.items():
                with _receiver(receiver, plan.folder, sink.port) as (folder, process):
                    done.append(_storm(program, folder, process, plan.groups, f"g{turn}"))
                    if receiver == "bridge":
                        _check_kept(process, plan.groups)
    bridge, bare = (statistics.median(storm.seconds for storm in done) for done in storms.values())
    title = f"{plan.groups:,} groups from the real Alertmanager"
    names = {
        "seconds": "all acknowledged after, s",
        "failed_requests": "failed requests",
        "given_up": "notifications that failed",
    }
    lines = [
        (text, *(spread([getattr(storm, name) for storm in done]) for done in storms.values()))
        for name, text in names.items()
    ]
    return Findings(
        rows=[at_most(f"{title}, acknowledged", "s", bridge, bare, 2)], details=[grid((title, *storms), lines)]
    )


@contextlib.contextmanager
def _receiver(name: str, parent: Path, sink_port: int) -> Iterator[tuple[Path, Process]]:
    """Run one of the two, in a folder of its own."""
    with tempfile.TemporaryDirectory(dir=parent) as own:
        folder = Path(own)
        with processes.bridge(folder, sink_port) if name == "bridge" else processes.bare_receiver() as process:
            yield folder, process


def _storm(program: str, folder: Path, receiver: Process, groups: int, seed: str) -> Storm:
    config = folder / "alertmanager.yml"
    config.write_text(_CONFIG.format(port=receiver.port, wait=_GROUP_WAIT_SECONDS))
    with processes.alertmanager(program, config, processes.free_port()) as sender:
        begun = time.monotonic() + _GROUP_WAIT_SECONDS
        for first in range(0, groups, _AT_ONCE):
            _post(sender, [alerts.posted(seed, number) for number in range(first, min(groups, first + _AT_ONCE))])
        deadline = begun + _PATIENCE
        while True:
            counts = _counts(sender)
            now = time.monotonic()
            if counts[_REQUESTS] - counts[_FAILED_REQUESTS] >= groups:
                failed, given_up = counts[_FAILED_REQUESTS], counts[_FAILED]
                return Storm(seconds=now - begun, failed_requests=failed, given_up=given_up)
            if now > deadline:
                raise BenchError(f"Alertmanager's notifications did not all succeed: {counts}")
            time.sleep(_PAUSE)


def _post(sender: Process, some: list[alerts.Json]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", sender.port, timeout=60)
    body = json.dumps(some).encode()
    connection.request("POST", "/api/v2/alerts", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    text = response.read()
    connection.close()
    if response.status != 200:
        raise BenchError(f"Alertmanager refused alerts: {text[:200]!r}")


def _counts(sender: Process) -> dict[str, float]:
    """Return Alertmanager's own counts of its webhooks."""
    counts = dict.fromkeys((_REQUESTS, _FAILED_REQUESTS, _FAILED), 0.0)
    for line in sender.get("/metrics")[1].splitlines():
        series, _, value = line.rpartition(" ")
        name = series.partition("{")[0]
        if name in counts and 'integration="webhook"' in series:
            counts[name] += float(value)
    return counts


def _check_kept(bridge: Process, groups: int) -> None:
    """See that what was acknowledged was taken in, every alert once."""
    taken = 'aom_bridge_alerts_total{outcome="new",status="firing"} '
    line = next((line for line in bridge.get("/metrics")[1].splitlines() if line.startswith(taken)), f"{taken}0")
    if float(line.removeprefix(taken)) != groups:
        raise BenchError(f"the bridge has taken in {line.removeprefix(taken)} alerts instead of {groups}")
