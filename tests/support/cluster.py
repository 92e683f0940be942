"""A cluster of real Alertmanagers on loopback, and a sender that posts its alerts again as Prometheus does."""

import asyncio
import contextlib
import shutil
import signal
from datetime import UTC, datetime, timedelta

import aiohttp
from process import Alertmanager, free_port, started
from programs import need
from waiting import until

CONFIG = """
global: {{resolve_timeout: 5m}}
route: {{receiver: aom, group_by: [alertname], group_wait: 200ms, group_interval: 1s, repeat_interval: 1h}}
inhibit_rules:
  - {{source_matchers: ['severity="inhibitor"'], target_matchers: ['severity="inhibited"']}}
receivers:
  - name: aom
    webhook_configs: [{{url: "{url}/webhook", send_resolved: true, max_alerts: {max_alerts}}}]
  - name: elsewhere
"""
ELSEWHERE = CONFIG.replace("receiver: aom, group_by", "receiver: elsewhere, group_by")
QUICK = ("--cluster.peer-timeout=500ms", "--cluster.gossip-interval=50ms", "--cluster.pushpull-interval=500ms")
VALIDITY = 16.0
"""Seconds: four times the interval of the sender's rules. What ends in less than ten seconds is never raised."""


class Peer:
    """One Alertmanager of a cluster; its folder outlives it."""

    def __init__(self, folder, port, others, arguments=()):
        self.folder, self.port, self.others, self.arguments = folder, port, others, arguments
        self.web = free_port()
        self.url = f"http://127.0.0.1:{self.web}"
        self.stack = contextlib.ExitStack()
        self.process = None

    async def start(self):
        """Start it; it is ready, but may still be gathering its cluster's state."""
        self.folder.mkdir(exist_ok=True)
        command = [
            need("prometheus-alertmanager"),
            f"--config.file={self.folder / 'alertmanager.yml'}",
            f"--storage.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.web}",
            f"--cluster.listen-address=127.0.0.1:{self.port}",
            f"--cluster.advertise-address=127.0.0.1:{self.port}",
            "--cluster.settle-timeout=500ms",
            *(f"--cluster.peer=127.0.0.1:{port}" for port in self.others),
            *QUICK,
            *self.arguments,
        ]
        self.process = self.stack.enter_context(started(self.folder / "alertmanager.log", *command))
        await until(Alertmanager(self.url).is_ready)

    def kill(self, *, lose=False):
        """Kill it as a crash does; ``lose``: its storage with it."""
        self.process.kill()
        if lose:
            shutil.rmtree(self.folder / "data", ignore_errors=True)

    def pause(self):
        """Let it stand still."""
        self.process.process.send_signal(signal.SIGSTOP)

    def wake(self):
        """Let it run on."""
        self.process.process.send_signal(signal.SIGCONT)

    async def get(self, path):
        """Give an answer of its API."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/api/v2/{path}") as response:
            return await response.json()

    async def post(self, path, content):
        """Post to its API; give the answer, or None where it does not answer."""
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session,
                session.post(f"{self.url}/api/v2/{path}", json=content) as response,
            ):
                return await response.json(content_type=None) if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def reload(self):
        """Let it read its configuration again."""
        async with aiohttp.ClientSession() as session, session.post(f"{self.url}/-/reload") as response:
            assert response.status == 200, await response.text()


class Cluster:
    """Two peers, and a sender that posts to both.

    Attributes:
        resolves: how often each alert has resolved, by name.
    """

    def __init__(self, folder, size=2):
        ports = [free_port() for _ in range(size)]
        self.peers = [
            Peer(folder / f"am{number}", port, [other for other in ports if other != port])
            for number, port in enumerate(ports)
        ]
        self.urls = [peer.url for peer in self.peers]
        self.firing = {}
        self.resolves = {}
        self.reach = list(self.peers)
        self.sending = None

    def configure(self, url, config=CONFIG, max_alerts=0):
        """Write the configuration of every peer."""
        for peer in self.peers:
            peer.folder.mkdir(parents=True, exist_ok=True)
            (peer.folder / "alertmanager.yml").write_text(config.format(url=url, max_alerts=max_alerts))

    async def start(self):
        """Start every peer and the sender, and wait until the peers know each other."""
        for peer in self.peers:
            await peer.start()
        await until(self._is_joined)
        self.sending = asyncio.create_task(self._send())

    async def stop(self):
        """End the sender and the peers."""
        if self.sending is not None:
            self.sending.cancel()
            await asyncio.gather(self.sending, return_exceptions=True)
        for peer in self.peers:
            with contextlib.suppress(ProcessLookupError):
                peer.wake()
            peer.stack.close()

    async def fire(self, name, **labels):
        """Let an alert fire, and post it to every peer that the sender reaches."""
        self.firing[name] = {
            "labels": {"alertname": name, "severity": "warning", **labels},
            "annotations": {"summary": name},
            "startsAt": datetime.now(UTC).isoformat(),
        }
        await self.post(name)

    async def resolve(self, name):
        """Let an alert resolve, and tell every peer that the sender reaches."""
        alert = {**self.firing.pop(name), "endsAt": datetime.now(UTC).isoformat()}
        self.resolves[name] = self.resolves.get(name, 0) + 1
        await self._to_all([alert])

    async def post(self, *names):
        """Post firing alerts again."""
        ends_at = (datetime.now(UTC) + timedelta(seconds=VALIDITY)).isoformat()
        await self._to_all([{**self.firing[name], "endsAt": ends_at} for name in names])

    async def silence(self, name):
        """Silence an alert, and wait until every peer knows; give the silence's id."""
        silence = {
            "matchers": [{"name": "alertname", "value": name, "isRegex": False, "isEqual": True}],
            "startsAt": datetime.now(UTC).isoformat(),
            "endsAt": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
            "createdBy": "test",
            "comment": "test",
        }
        own_id = (await self.peers[0].post("silences", silence))["silenceID"]
        await until(lambda: self._is_suppressed(name))
        return own_id

    async def expire(self, own_id):
        """End a silence."""
        async with (
            aiohttp.ClientSession() as session,
            session.delete(f"{self.peers[0].url}/api/v2/silence/{own_id}") as response,
        ):
            assert response.status == 200

    async def reload(self):
        """Let every peer read its configuration again."""
        for peer in self.peers:
            await peer.reload()

    async def _is_suppressed(self, name):
        for peer in self.peers:
            states = {one["labels"]["alertname"]: one["status"]["state"] for one in await peer.get("alerts")}
            if states.get(name, "suppressed") != "suppressed":
                return False
        return True

    async def _is_joined(self):
        clusters = [(await peer.get("status"))["cluster"] for peer in self.peers]
        return all(one["status"] == "ready" and len(one["peers"]) == len(self.peers) for one in clusters)

    async def _send(self):
        """Post what fires again, as Prometheus does, at a quarter of the validity."""
        while True:
            await asyncio.sleep(VALIDITY / 4)
            if self.firing:
                await self.post(*self.firing)

    async def _to_all(self, alerts):
        await asyncio.gather(*(peer.post("alerts", alerts) for peer in self.reach))
