"""What the long run runs: two real Alertmanagers, one or two real bridges on one ledger, and the emulated AOM.

Each part can be killed, started again, or lose what it has stored; what follows from it is checked elsewhere.
"""

import asyncio
import contextlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
from cluster import CONFIG, VALIDITY, Cluster
from emulated_aom import arm, clear_by_hand, cloud, disarm
from many_alerts import metrics
from peer_proxies import front_of
from process import bridge_command, children, free_port, started
from rehearsal import CONFIG as BRIDGE_CONFIG
from waiting import until

ROUTE = "routes: [{{matchers: ['team=\"moving\"'], receiver: elsewhere}}]"
HERE = CONFIG
THERE = CONFIG.replace("repeat_interval: 1h}}", f"repeat_interval: 1h, {ROUTE}}}}}")
"""The routes as they are, and with a route that takes the alerts of a team away from the bridge."""

AUDITED = "audit: 2s\n    audit_adopt: true"
IN_STEP = "alertmanagers: [{{urls: [{urls}], interval: 1s, settle: 1s, missing_after: 4s, receivers: [aom]}}]\n"
"""The receiver is named: what a lost ledger had learnt of it comes back with the next webhook only."""

RECONCILED = "aom_bridge_reconciled_total"

MISSING_AFTER = 4.0
W = 1.25 * VALIDITY
STRIKES = VALIDITY
"""How much longer than `missing_after` an alert may have to be absent that was cleared and has fired again."""

AUDIT = 6 * 2.0 + 2 * 2.0
"""The list is read at every sixth audit at the latest; then two looks are `lookup_wait` apart."""

HEALED_AFTER = W + MISSING_AFTER + STRIKES + W + AUDIT + 60.0
"""Seconds until AOM must agree once everything is whole: the second W is the brake's; a minute on top."""

_START_SECONDS = 60.0
_NEWEST = 500


class Bridge:
    """One bridge that is killed and started again; its address stays.

    Attributes:
        healed: the differences that its processes have healed, by kind.
        up_since: when its process was ready; None while it is down.
    """

    def __init__(self, folder, number):
        self.address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.address}"
        self.file, self.log = folder / f"bridge{number}.yaml", folder / f"bridge{number}.log"
        self.healed, self.up_since, self._scraped = Counter(), None, {}
        self._stack, self._process = contextlib.ExitStack(), None

    def configure(self, text):
        """Write its configuration."""
        self.file.write_text(text)

    async def start(self):
        """Start it, and wait until it is ready."""
        command = bridge_command("serve", f"--config.file={self.file}", f"--web.listen-address={self.address}")
        self._process = self._stack.enter_context(started(self.log, *command))
        self._scraped = {}
        await until(self._is_ready, _START_SECONDS)
        self.up_since = datetime.now(UTC)

    async def kill(self):
        """End it as a crash does, and wait until its ledger writer has ended, too."""
        await self.scrape()
        self._check()
        pids = children(self._process.process.pid)
        self._process.kill()
        self.up_since = None
        await until(lambda: not any(_runs(pid) for pid in pids))
        self._stack.close()

    async def scrape(self):
        """Count what its process has healed since the last time."""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            (series,) = await metrics(self.url, RECONCILED)
            for labels, value in series.items():
                kind = labels.partition('kind="')[2].partition('"')[0]
                self.healed[kind] += int(value - self._scraped.get(labels, 0))
            self._scraped = series

    def stop(self):
        """End it in order."""
        self._stack.close()

    async def _is_ready(self):
        self._check()
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with aiohttp.ClientSession() as session, session.get(f"{self.url}/-/ready") as response:
                return response.status == 200
        return False

    def _check(self):
        code = self._process.process.poll()
        assert code is None, f"a bridge ended by itself with {code}:\n{self._process.output[-3_000:]}"


class FileLedger:
    """A ledger in a file."""

    def __init__(self, folder):
        self._file = folder / "ledger.db"
        self.url = f"sqlite:///{self._file}"
        self.can_restart = False

    def lose(self):
        """Delete it."""
        for one in self._file.parent.glob(f"{self._file.name}*"):
            one.unlink()


class ServerLedger:
    """A ledger in a database of a PostgreSQL server."""

    def __init__(self, server):
        self._server = server
        self._name = server.create()
        self.url = server.url(self._name)
        self.can_restart = True

    def lose(self):
        """Put an empty database in its place."""
        self._server.drop(self._name)
        self._server.execute(f"CREATE DATABASE {self._name} OWNER bridge")

    def restart(self):
        """Restart the server as after a crash."""
        self._server.stop()
        self._server.start()


class World:
    """Everything that runs.

    Args:
        folder: for configurations, logs and storage.
        ledger: of the bridges.
        replicas: how many bridges share it.
        ahead: how far the clock of the second peer is ahead, as the bridges see it.
        list_lag_ms: how long AOM's list stays behind.

    Attributes:
        down: the peer that is down.
        takes_over_after: how long after a kill another bridge asks the peers at the latest.
    """

    def __init__(self, folder, ledger, *, replicas=1, ahead=timedelta(0), list_lag_ms=0):
        self.ledger, self._ahead, self._list_lag_ms = ledger, ahead, list_lag_ms
        self.cluster = Cluster(folder)
        self.bridges = [Bridge(folder, number) for number in range(replicas)]
        self.aom, self.down, self.is_moved = None, None, False
        self.peers_started_at = self.killed_at = datetime.now(UTC)
        self.takes_over_after = timedelta(seconds=5 if replicas == 1 else 20)
        self._stack = contextlib.AsyncExitStack()

    async def start(self):
        """Start AOM, the bridges and the peers."""
        self.aom = await self._stack.enter_async_context(cloud(list_lag_ms=self._list_lag_ms))
        first, second = self.cluster.peers
        front = await self._stack.enter_async_context(front_of(second, ahead=self._ahead))
        urls = f'"{first.url}", "{front.url}"'
        text = BRIDGE_CONFIG.format(aom=self.aom.url, ledger=self.ledger.url, target=AUDITED)
        for one in self.bridges:
            one.configure(text + IN_STEP.format(urls=urls))
            await one.start()
        self._write_routes(HERE)
        await self.cluster.start()
        self.peers_started_at = datetime.now(UTC)

    async def stop(self):
        """End everything."""
        await self.cluster.stop()
        for one in self.bridges:
            one.stop()
        await self._stack.aclose()

    async def make_whole(self):
        """Remove all faults, and start what is down."""
        await disarm(self.aom)
        for one in self.bridges:
            if one.up_since is None:
                await one.start()
        if self.down is not None:
            await self.start_peer()

    async def lose_ledger(self):
        """Kill every bridge, let AOM apply what it still has to, and delete the ledger."""
        for one in self.bridges:
            if one.up_since is not None:
                await self.kill(one)
        await disarm(self.aom)
        await asyncio.to_thread(self.ledger.lose)

    async def kill(self, bridge):
        """Kill a bridge."""
        await bridge.kill()
        self.killed_at = datetime.now(UTC)

    async def restart_database(self):
        """Restart the server of the ledger as after a crash."""
        await asyncio.to_thread(self.ledger.restart)

    def stop_peer(self, number, *, lose):
        """Kill a peer; ``lose``: its storage with it."""
        self.down = self.cluster.peers[number]
        self.down.kill(lose=lose)

    async def start_peer(self):
        """Start the peer that is down, and wait until the cluster is one."""
        await self.down.start()
        self.down = None
        await self.cluster.is_one()
        self.peers_started_at = datetime.now(UTC)

    async def move(self, *, away):
        """Let the alerts of a team go elsewhere, or to the bridge again."""
        self._write_routes(THERE if away else HERE)
        self.is_moved = away
        await self.cluster.reload()

    async def silence(self, name):
        """Silence an alert, and wait until every peer knows; give the silence's id."""
        own_id = await self.cluster.silence(name)

        async def is_known():
            known = [{one["id"] for one in await peer.get("silences")} for peer in self.cluster.peers]
            return all(own_id in ids for ids in known)

        await until(is_known)
        return own_id

    async def arm(self, fault):
        """Order a fault of AOM."""
        await arm(self.aom, fault)

    async def disarm(self):
        """Remove all faults; what was late is applied now."""
        await disarm(self.aom)

    async def clear_by_hand(self, name):
        """Clear an alarm as in AOM's console."""
        return await clear_by_hand(self.aom, event_name=name)

    def open_alarms(self):
        """Give AOM's open alarms: a list for each name."""
        found = {}
        for event in self.aom.snapshot(_NEWEST)["active"]:
            found.setdefault(event["metadata"]["event_name"], []).append(event)
        return found

    def healed(self):
        """Give the differences that the bridges have healed, by kind."""
        return sum((one.healed for one in self.bridges), Counter())

    def _write_routes(self, config):
        for number, peer in enumerate(self.cluster.peers):
            peer.configure(config, self.bridges[number % len(self.bridges)].url)


def _runs(pid):
    """Say whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
