"""The real Alertmanager with many alerts that fire and resolve: 300, or 10,000 with `AOM_BRIDGE_REHEARSAL=full`."""

import contextlib
import os
import resource
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from process import Alertmanager, free_port, started
from programs import need
from waiting import until

from bridge.emulator import Emulator, Options

IS_FULL = os.environ.get("AOM_BRIDGE_REHEARSAL") == "full"
COUNT = 10_000 if IS_FULL else 300
LIMIT = 300.0 if IS_FULL else 30.0
BACKLOG = 4_096
"""The same as the bridge's: the comparison is of what stands behind the socket."""
CONFIG = """
global: {{resolve_timeout: 1h}}
route: {{receiver: aom, group_by: {group_by}, group_wait: 500ms, group_interval: {interval}, repeat_interval: 1h}}
receivers:
  - name: aom
    webhook_configs: [{{url: "{url}/webhook", send_resolved: true, max_alerts: 0, http_config: {http}}}]
"""


@contextlib.asynccontextmanager
async def alertmanager(folder, url, group_by, http="{}"):
    """Run the real Alertmanager with one receiver, a grouping and the receiver's `http_config`."""
    program, port = need("prometheus-alertmanager"), free_port()
    folder.mkdir()
    file = folder / "alertmanager.yml"
    file.write_text(CONFIG.format(url=url, group_by=group_by, http=http, interval="30s" if IS_FULL else "1s"))
    command = [
        program,
        f"--config.file={file}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with started(folder / "alertmanager.log", *command):
        manager = Alertmanager(f"http://127.0.0.1:{port}")
        await until(manager.is_ready)
        yield manager


async def metrics(url, *names):
    """Give each metric's series, as a mapping from what stands in the braces."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as response:
        lines = (await response.text()).splitlines()
    found = {name: {} for name in names}
    for line in lines:
        series, _, value = line.rpartition(" ")
        name, _, labels = series.partition("{")
        if name in found:
            found[name][labels.rstrip("}")] = float(value)
    return [found[name] for name in names]


async def failures(manager):
    """Give how many requests and how many notifications failed, as Alertmanager counts them."""
    names = ("alertmanager_notification_requests_failed_total", "alertmanager_notifications_failed_total")
    found = await metrics(manager.url, *names)
    return [series['integration="webhook"'] for series in found]


def alerts(ends_at=None):
    """Give all alerts as Prometheus posts them."""
    ending = {} if ends_at is None else {"endsAt": ends_at.isoformat()}
    return [
        {"labels": {"alertname": "Many", "severity": "warning", "group": str(i % 100), "instance": f"i{i}"}, **ending}
        for i in range(COUNT)
    ]


async def post_all(manager, some):
    """Post alerts in the portions that Prometheus uses."""
    for start in range(0, len(some), 64):
        await manager.post(*some[start : start + 64])


async def storm_during(task, manager, aom):
    """Fire and resolve all alerts again and again while a task runs, and twice at least; AOM follows each time."""
    rounds = 0
    while not task.done() or rounds < 2:
        await post_all(manager, alerts())
        await until(lambda: len(active(aom)) == COUNT, limit=90)
        await post_all(manager, alerts(datetime.now(UTC) - timedelta(milliseconds=1)))
        await until(lambda: not active(aom), limit=90)
        rounds += 1
    await task


def active(aom):
    """Give the instances of AOM's open alarms."""
    return sorted(event["metadata"]["instance"] for event in aom.snapshot()["active"])


@pytest.fixture
async def aom():
    """An emulated AOM; this process may open as many files as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    emulator = Emulator(Options(port=0))
    await emulator.start()
    yield emulator
    await emulator.stop()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
