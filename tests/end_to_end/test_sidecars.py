"""Sidecars: two real Alertmanagers as a cluster, each with a bridge and a ledger of its own, into one AOM."""

import shutil
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from emulated_aom import arm, cloud, disarm
from process import Alertmanager, free_port, serving, started
from programs import need
from waiting import until

pytestmark = pytest.mark.real

CONFIG = """
route: {{receiver: aom, group_by: [alertname], group_wait: 100ms, group_interval: 1s, repeat_interval: 3s}}
receivers:
  - name: aom
    webhook_configs: [{{url: "{url}/webhook", send_resolved: true, max_alerts: 0}}]
"""
QUICK = ("--cluster.peer-timeout=1s", "--cluster.gossip-interval=50ms", "--cluster.pushpull-interval=500ms")
LIMIT = 30


class Pair:
    """An Alertmanager and the bridge beside it; both have folders that outlive them, as pods have claims."""

    def __init__(self, folder, aom_url, port, peer):
        self.folder, self.aom_url, self.port, self.peer = folder, aom_url, port, peer
        self.stack = None

    async def start(self):
        self.folder.mkdir(exist_ok=True)
        self.stack = AsyncExitStack()
        target = "reassert_after: 0s\nlookup_wait: 1s"
        self.bridge, url = await self.stack.enter_async_context(serving(self.folder, self.aom_url, target=target))
        self.manager = await self.stack.enter_async_context(self._alertmanager(url))

    @asynccontextmanager
    async def _alertmanager(self, url):
        file = self.folder / "alertmanager.yml"
        file.write_text(CONFIG.format(url=url))
        port = free_port()
        command = [
            need("prometheus-alertmanager"),
            f"--config.file={file}",
            f"--storage.path={self.folder / 'am'}",
            f"--web.listen-address=127.0.0.1:{port}",
            f"--cluster.listen-address=127.0.0.1:{self.port}",
            f"--cluster.advertise-address=127.0.0.1:{self.port}",
            f"--cluster.peer=127.0.0.1:{self.peer}",
            *QUICK,
        ]
        with started(self.folder / "alertmanager.log", *command) as self.process:
            manager = Alertmanager(f"http://127.0.0.1:{port}")
            await until(manager.is_ready, LIMIT)
            yield manager

    async def stop(self):
        """Stop both as a pod that is evicted."""
        if self.stack is not None:
            await self.stack.aclose()
            self.stack = None

    async def lose(self):
        """Kill both as a node that dies, and their volume with them."""
        self.process.kill()
        self.bridge.kill()
        await self.stop()
        shutil.rmtree(self.folder)


@pytest.fixture
async def cluster(tmp_path):
    """Two pairs and the AOM that both speak to."""
    ports = free_port(), free_port()
    async with cloud() as aom:
        pairs = [Pair(tmp_path / f"p{i}", aom.url, ports[i], ports[1 - i]) for i in (0, 1)]
        try:
            for pair in pairs:
                await pair.start()
            yield aom, *pairs
        finally:
            for pair in pairs:
                await pair.stop()


def firing(name):
    """Give an alert as Prometheus posts it while it fires."""
    return {"labels": {"alertname": name, "severity": "critical"}, "annotations": {"summary": name}}


def over(name):
    """Give the same as it has ended."""
    return {**firing(name), "endsAt": (datetime.now(UTC) - timedelta(milliseconds=1)).isoformat()}


def active(aom):
    """Give the names of AOM's open alarms, each as often as it is open."""
    return sorted(event["metadata"]["event_name"] for event in aom.snapshot()["active"])


async def test_fire_here_resolve_there_and_fire_again(cluster):
    """What one sidecar reported the other one clears, and the first reports it again although it never saw the end."""
    aom, one, two = cluster
    for pair in (one, two):
        await pair.manager.post(firing("A"))
    await until(lambda: active(aom) == ["A"], LIMIT)
    await one.stop()
    await two.manager.post(over("A"))
    await until(lambda: active(aom) == [], LIMIT)
    await two.stop()
    await one.start()
    await one.manager.post(firing("A"))
    await until(lambda: active(aom) == ["A"], LIMIT)
    await one.manager.post(over("A"))
    await until(lambda: active(aom) == [], LIMIT)


async def test_a_pair_that_is_lost_with_nothing_due_leaves_aom_right(cluster):
    """A node dies with its volume: AOM keeps what fires, and what ends is cleared by the sidecars that are left."""
    aom, one, two = cluster
    for pair in (one, two):
        await pair.manager.post(firing("A"), firing("B"))
    await until(lambda: active(aom) == ["A", "B"], LIMIT)
    await one.lose()
    await one.start()
    await two.manager.post(over("A"))
    await until(lambda: active(aom) == ["B"], LIMIT)
    for pair in (one, two):
        await pair.manager.post(over("B"))
    await until(lambda: active(aom) == [], LIMIT)


async def test_a_pair_that_is_lost_with_something_due_is_right_at_the_next_repeat(cluster):
    """What the dead sidecar had kept and not yet pushed comes again with the other Alertmanager's next repeat."""
    aom, one, two = cluster
    await arm(aom, {"on": "report", "status": 503})
    for pair in (one, two):
        await pair.manager.post(firing("A"))
    await until(lambda: "notification kept" in one.bridge.output + two.bridge.output, LIMIT)
    holder, other = (one, two) if "notification kept" in one.bridge.output else (two, one)
    await holder.lose()
    await disarm(aom)
    assert active(aom) == []
    await until(lambda: active(aom) == ["A"], LIMIT)
    await other.manager.post(over("A"))
    await until(lambda: active(aom) == [], LIMIT)
