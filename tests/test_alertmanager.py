"""The real Alertmanager with many alerts, as one group, as many groups and as one group for each alert.

The small size runs always; `AOM_BRIDGE_REHEARSAL=full` runs 10,000 alerts.
"""

import contextlib
import os
import resource
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from aiohttp import web
from conftest import need, until
from process import Alertmanager, free_port, serving, started

from bridge.emulator import Emulator, Options

IS_FULL = os.environ.get("AOM_BRIDGE_REHEARSAL") == "full"
COUNT = 10_000 if IS_FULL else 300
LIMIT = 300.0 if IS_FULL else 30.0
BACKLOG = 4_096
"""The same as the bridge's: the comparison is of what stands behind the door."""

CONFIG = """
global: {{resolve_timeout: 1h}}
route: {{receiver: aom, group_by: {group_by}, group_wait: 500ms, group_interval: {interval}, repeat_interval: 1h}}
receivers:
  - name: aom
    webhook_configs: [{{url: "{url}/webhook", send_resolved: true, max_alerts: 0, http_config: {http}}}]
"""


class Receiver:
    """The barest receiver: reads every webhook, answers 200 and remembers each alert's last status."""

    def __init__(self):
        self.told = {}
        self.url = ""

    @contextlib.asynccontextmanager
    async def listening(self):
        application = web.Application(client_max_size=1 << 30)
        application.router.add_post("/webhook", self._receive)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0, backlog=BACKLOG).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()

    def count(self, status):
        return sum(told == status for told in self.told.values())

    async def _receive(self, request):
        for alert in (await request.json())["alerts"]:
            self.told[alert["fingerprint"]] = alert["status"]
        return web.Response()


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


async def play(manager, has_fired, has_cleared):
    """Fire all alerts, wait for the one, resolve them, wait for the other; give Alertmanager's failures."""
    await post_all(manager, alerts())
    await until(has_fired, limit=LIMIT)
    await post_all(manager, alerts(datetime.now(UTC) - timedelta(milliseconds=1)))
    await until(has_cleared, limit=LIMIT)
    return await failures(manager)


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


@pytest.mark.timeout(1_500 if IS_FULL else 120)
@pytest.mark.parametrize("group_by", ["[]", "[group]", "['...']"], ids=["one-group", "groups", "group-each"])
async def test_many_alerts_in_any_grouping(tmp_path, aom, group_by):
    """Every webhook gets 200, none fails more than at a bare receiver, every alarm gets to AOM, and every clear."""
    every = sorted(f"i{number}" for number in range(COUNT))
    async with Receiver().listening() as bare, alertmanager(tmp_path / "bare", bare.url, group_by) as manager:
        least = await play(manager, lambda: bare.count("firing") == COUNT, lambda: bare.count("resolved") == COUNT)
    async with (
        serving(tmp_path, aom.url) as (bridge, url),
        alertmanager(tmp_path / "manager", url, group_by) as manager,
    ):

        def has_fired():
            return aom.snapshot(0)["counts"]["active"] == COUNT and active(aom) == every

        failed = await play(manager, has_fired, lambda: aom.snapshot(0)["counts"]["cleared"] == COUNT)
        (answers,) = await metrics(url, "aom_bridge_webhook_requests_total")
        assert bridge.terminate() == 0
    assert answers.pop('code="200"') > 0
    assert set(answers.values()) == {0.0}, answers
    assert all(ours <= theirs for ours, theirs in zip(failed, least, strict=True)), (failed, least)
    snapshot = aom.snapshot()
    assert active(aom) == []
    assert sorted(event["metadata"]["instance"] for event in snapshot["history"]) == every
    assert snapshot["violations"] == []
