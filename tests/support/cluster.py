"""A cluster of real Alertmanagers on loopback, and a sender that posts its alerts again as Prometheus does."""

import asyncio
import contextlib
import shutil
import signal
from datetime import UTC, datetime, timedelta

import aiohttp
from process import free_port, started
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
LOOPBACK = "127.0.0.1"
NOBODY = "http://127.0.0.1:9"
"""Where nobody listens."""
QUICK = ("--cluster.peer-timeout=500ms", "--cluster.gossip-interval=50ms", "--cluster.pushpull-interval=500ms")
QUICK += ("--cluster.reconnect-interval=1s", "--cluster.probe-interval=500ms")
VALIDITY = 16.0
"""Seconds: four times the interval of the sender's rules. What ends in less than ten seconds is never raised."""

SHORT = 6.0
"""The same where nothing is to be raised: W is seven and a half seconds."""


class Peer:
    """One Alertmanager of a cluster; its folder outlives it.

    Attributes:
        gossip: where it listens for its cluster.
        advertised: where the others reach it; the same unless something stands between them.
        others: where it reaches the others.
    """

    def __init__(self, folder, host=LOOPBACK, port=None, *, path="", headers=None, arguments=()):
        self.folder, self.path, self.headers, self.arguments = folder, path, headers, arguments
        self.gossip = self.advertised = f"{LOOPBACK}:{free_port()}"
        self.web = f"{f'[{host}]' if ':' in host else host}:{port or free_port(host)}"
        self.url = f"http://{self.web}{path}"
        self.others = []
        self.stack = contextlib.ExitStack()
        self.process = None

    def configure(self, config, url, max_alerts=0):
        """Write its configuration."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "alertmanager.yml").write_text(config.format(url=url, max_alerts=max_alerts))

    async def start(self):
        """Start it; it is ready, but may still be gathering its cluster's state."""
        self.folder.mkdir(exist_ok=True)
        command = [
            need("prometheus-alertmanager"),
            f"--config.file={self.folder / 'alertmanager.yml'}",
            f"--storage.path={self.folder / 'data'}",
            f"--web.listen-address={self.web}",
            f"--web.route-prefix={self.path or '/'}",
            f"--cluster.listen-address={self.gossip}",
            f"--cluster.advertise-address={self.advertised}",
            "--cluster.settle-timeout=500ms",
            *(f"--cluster.peer={address}" for address in self.others),
            *QUICK,
            *self.arguments,
        ]
        self.process = self.stack.enter_context(started(self.folder / "alertmanager.log", *command))
        await until(self._is_ready, 60)

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
        async with self._session() as session, session.get(f"{self.url}/api/v2/{path}") as response:
            return await response.json()

    async def version(self):
        """Give the first two numbers of its version."""
        text = (await self.get("status"))["versionInfo"]["version"]
        return tuple(int(number) for number in text.split(".")[:2])

    async def listed(self):
        """Give the state of each alert that it lists, by name."""
        return {one["labels"]["alertname"]: one["status"]["state"] for one in await self.get("alerts")}

    async def post(self, path, content):
        """Post to its API; give the answer, or None where it does not answer."""
        try:
            async with (
                self._session(timeout=aiohttp.ClientTimeout(total=2)) as session,
                session.post(f"{self.url}/api/v2/{path}", json=content) as response,
            ):
                return await response.json(content_type=None) if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def reload(self):
        """Let it read its configuration again."""
        async with self._session() as session, session.post(f"{self.url}/-/reload") as response:
            assert response.status == 200, await response.text()

    def _session(self, **options):
        return aiohttp.ClientSession(headers=self.headers, **options)

    async def _is_ready(self):
        assert self.process.process.poll() is None, self.process.output
        with contextlib.suppress(aiohttp.ClientError):
            async with self._session() as session, session.get(f"{self.url}/-/ready") as response:
                return response.status == 200
        return False


class Cluster:
    """Some peers, and a sender that posts to those that it reaches.

    Args:
        folder: where each peer has a folder.
        hosts: the address of each peer's web server.
        validity: for how many seconds each post is valid; the sender posts four times as often.
        ahead: how many seconds the sender's clock is ahead.
        is_joined: whether the peers know each other.
        peer: what all peers have in common.

    Attributes:
        resolves: how often each alert has resolved, by name.
        reach: the peers to which the sender posts.
        is_sending: whether it posts again what fires and what has resolved.
    """

    def __init__(self, folder, hosts=(LOOPBACK, LOOPBACK), *, validity=VALIDITY, ahead=0.0, is_joined=True, **peer):
        self.peers = [Peer(folder / f"am{number}", host, **peer) for number, host in enumerate(hosts)]
        self.validity, self.ahead, self.is_joined = validity, ahead, is_joined
        self.firing, self.resolved, self.resolves = {}, {}, {}
        self.reach = list(self.peers)
        self.is_sending = True
        self.sending = None

    @property
    def urls(self):
        """The base addresses of the peers."""
        return [peer.url for peer in self.peers]

    def configure(self, url, config=CONFIG, max_alerts=0):
        """Write the configuration of every peer."""
        for peer in self.peers:
            peer.configure(config, url, max_alerts)

    async def start(self):
        """Start every peer and the sender, and wait until the peers know each other and are older than any alert.

        What is posted within a peer's first second may have been posted before its start, as the bridge sees it.
        """
        for peer in self.peers:
            peer.others = [other.advertised for other in self.peers if self.is_joined and other is not peer]
            await peer.start()
        await self.is_one()
        await until(self._are_older)
        self.sending = asyncio.create_task(self._send())

    async def stop(self):
        """End the sender and the peers."""
        if self.sending is not None:
            self.sending.cancel()
            await asyncio.gather(self.sending, return_exceptions=True)
        for peer in self.peers:
            if peer.process is not None:
                peer.wake()
            peer.stack.close()

    async def fire(self, name, **labels):
        """Let an alert fire, and post it to every peer that the sender reaches."""
        self.resolved.pop(name, None)
        self.firing[name] = {
            "labels": {"alertname": name, "severity": "warning", **labels},
            "annotations": {"summary": name},
            "startsAt": self._now().isoformat(),
        }
        await self.repeat()

    async def resolve(self, name):
        """Let an alert resolve, and tell every peer that the sender reaches."""
        self.resolved[name] = {**self.firing.pop(name), "endsAt": self._now().isoformat()}
        self.resolves[name] = self.resolves.get(name, 0) + 1
        await self.repeat()

    async def vanish(self, name):
        """Let an alert resolve under a silence, so that no webhook tells of it; give the silence's id."""
        silence = await self.silence(name)
        await self.resolve(name)
        return silence

    async def repeat(self):
        """Post again what fires and what has resolved, as Prometheus does."""
        ends_at = (self._now() + timedelta(seconds=self.validity)).isoformat()
        await self._post([*({**alert, "endsAt": ends_at} for alert in self.firing.values()), *self.resolved.values()])

    async def silence(self, name):
        """Silence an alert, and wait until every peer knows; give the silence's id."""
        silence = {
            "matchers": [{"name": "alertname", "value": name, "isRegex": False, "isEqual": True}],
            "startsAt": datetime.now(UTC).isoformat(),
            "endsAt": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
            "createdBy": "test",
            "comment": "test",
        }
        told = self.peers[:1] if self.is_joined else self.peers
        answers = [await peer.post("silences", silence) for peer in told]
        await until(lambda: self._is_suppressed(name))
        return answers[0]["silenceID"]

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
            if (await peer.listed()).get(name, "suppressed") != "suppressed":
                return False
        return True

    async def is_one(self, size=None):
        """Wait until each peer sees so many, itself included; by default all, or itself alone if they are strangers."""
        await until(lambda: self._see(size or (len(self.peers) if self.is_joined else 1)), 60)

    async def _see(self, size):
        clusters = [(await peer.get("status"))["cluster"] for peer in self.peers]
        return all(one["status"] == "ready" and len(one["peers"]) == size for one in clusters)

    async def _are_older(self):
        starts = [datetime.fromisoformat((await peer.get("status"))["uptime"]) for peer in self.peers]
        return datetime.now(UTC) - max(starts) > timedelta(seconds=1.2)

    def _now(self):
        return datetime.now(UTC) + timedelta(seconds=self.ahead)

    async def _send(self):
        """Post again at a quarter of the validity."""
        while True:
            await asyncio.sleep(self.validity / 4)
            if self.is_sending:
                await self.repeat()

    async def _post(self, alerts):
        await asyncio.gather(*(peer.post("alerts", alerts) for peer in self.reach))
