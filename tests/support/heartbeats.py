"""A real Prometheus whose Watchdog always fires, a real Alertmanager, a bridge that expects it, and the emulated AOM.

Each second the Watchdog is posted to Alertmanager, valid for four, and told to the bridge: for four seconds more after
Prometheus has died. While everything starts, the bridge is patient; then it reads the configuration of the test.
"""

import asyncio
import contextlib
import re
import signal

import aiohttp
import pytest
import sqlalchemy as sa
from cluster import LOOPBACK, Cluster
from emulated_aom import cloud
from in_step import LIMIT, Held
from ledger_rows import listing
from many_alerts import metrics
from process import free_port, serving, started
from programs import need
from replica_process import replica
from waiting import until

from bridge.ledger.storage.database import looking_at
from bridge.ledger.storage.schema import sources
from bridge.notification import HEARTBEAT_MISSING, HEARTBEATS

WATCHDOG = "Watchdog"
NOTHING = "heartbeats: []"
PROMETHEUS = """
global: {{evaluation_interval: 1s, external_labels: {{{labels}}}}}
rule_files: [rules.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: [{targets}]}}]}}]}}
"""
RULES = """
groups:
  - {{name: always, rules: [{{alert: {watchdog}, expr: vector(1)}}]}}
  - {{name: slow, interval: 3s, rules: [{slow}]}}
"""
ALERTMANAGER = """
route: {{receiver: aom, group_by: [alertname, cluster], group_wait: 0s, group_interval: 1s, repeat_interval: %s}}
receivers:
  - name: aom
    webhook_configs: [{{url: "{url}/webhook", send_resolved: %s}}]
"""
MISSING_AFTER = 5
"""Seconds: several times as long as a sign takes to come."""

EXPECTED = re.compile(r"(every: \w+, missing_after: )\w+")
PATIENT = r"\g<1>30s"


def heartbeat(*, every="2s", missing_after=f"{MISSING_AFTER}s", more=""):
    """Give the section with one heartbeat, the Watchdog."""
    one = f"name: main, match: [alertname={WATCHDOG}], every: {every}, missing_after: {missing_after}{more}"
    return f"heartbeats: [{{{one}}}]"


def alertmanager(*, resolved=True, repeat="500ms"):
    """Give the configuration of the Alertmanagers; ``resolved``: whether they tell when an alert no longer fires."""
    return ALERTMANAGER % (repeat, str(resolved).lower())


class Prometheus:
    """One Prometheus with alerts that always fire; its folder outlives it.

    Args:
        folder: its folder.
        targets: the addresses of the Alertmanagers.
        cluster: the value of its external label `cluster`; empty: it has none.
    """

    def __init__(self, folder, targets, cluster=""):
        self.folder, self.targets, self.cluster = folder, targets, cluster
        self.web = f"{LOOPBACK}:{free_port()}"
        self.stack = contextlib.ExitStack()
        self.process = None

    def alert(self, *names):
        """Write rules, so that just these alerts fire besides the Watchdog, once it reads them; they are slower."""
        self.folder.mkdir(exist_ok=True)
        rules = ", ".join(f"{{alert: {name}, expr: vector(1)}}" for name in names)
        (self.folder / "rules.yml").write_text(RULES.format(watchdog=WATCHDOG, slow=rules))

    async def start(self):
        """Start it."""
        labels = f"cluster: {self.cluster}" if self.cluster else ""
        targets = ", ".join(f'"{target}"' for target in self.targets)
        (self.folder / "prometheus.yml").write_text(PROMETHEUS.format(labels=labels, targets=targets))
        command = [
            need("prometheus"),
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address={self.web}",
            "--rules.alert.resend-delay=500ms",
        ]
        self.process = self.stack.enter_context(started(self.folder / "prometheus.log", *command))
        await until(self._is_ready, LIMIT)

    def reload(self):
        """Let it read its rules again."""
        self.process.process.send_signal(signal.SIGHUP)

    def kill(self):
        """Kill it as a crash does."""
        self.process.kill()

    def pause(self):
        """Let it stand still."""
        self.process.process.send_signal(signal.SIGSTOP)

    def wake(self):
        """Let it run on."""
        self.process.process.send_signal(signal.SIGCONT)

    def stop(self):
        """End it for good."""
        if self.process is not None:
            self.wake()
        self.stack.close()

    async def _is_ready(self):
        with contextlib.suppress(aiohttp.ClientError):
            async with aiohttp.ClientSession() as session, session.get(f"http://{self.web}/-/ready") as response:
                return response.status == 200
        return False


class Watched(Held):
    """Alertmanagers, the bridge to which they post, and the emulated AOM.

    Attributes:
        port: the bridge's, the same over its restarts.
        sections: of the bridge's configuration, besides its target.
        earlier: how many alarms of the Watchdog there were before it was declared.
    """

    def __init__(self, folder, aom, cluster):
        super().__init__(folder, aom, cluster)
        self.port, self.sections, self.earlier = free_port(), "", 0

    @property
    def place(self):
        """The argument that says where the bridge listens."""
        return f"--web.listen-address={LOOPBACK}:{self.port}"

    async def start(self, sections, config, *cluster_labels, alerts=()):
        """Start everything, with a Prometheus for each value of the label `cluster`; wait for a sign of each.

        Args:
            sections: of the bridge's configuration.
            config: of the Alertmanagers.
            cluster_labels: of each Prometheus; none: there is one, without that label.
            alerts: what fires besides the Watchdog.

        Returns:
            Each Prometheus.
        """
        await self.start_without_prometheus(sections, config)
        targets = [peer.web for peer in self.cluster.peers]
        made = await asyncio.gather(*(self.prometheus(targets, label, alerts) for label in cluster_labels or [""]))
        await self.is_expecting(sections, len(made))
        return made

    async def start_without_prometheus(self, sections, config):
        """Start Alertmanagers and a patient bridge."""
        self.cluster.configure(f"http://{LOOPBACK}:{self.port}", config)
        await asyncio.gather(self.serve_with(EXPECTED.sub(PATIENT, sections) or NOTHING), self.cluster.start())

    async def is_expecting(self, sections, count=1):
        """Wait for the signs of so many switches, and let the bridge be patient no longer."""
        await self.has_switches(ok=count)
        self.reload(sections)

    async def prometheus(self, targets, cluster="", alerts=()):
        """Start a Prometheus, and wait until Alertmanager lists what fires."""
        one = Prometheus(self.folder / f"prometheus{cluster}", targets, cluster)
        self.stack.callback(one.stop)
        one.alert(*alerts)
        await one.start()
        await until(self._lists(WATCHDOG, *alerts), LIMIT)
        return one

    async def serve_with(self, sections):
        """Start the bridge, or start it again, with these sections of its configuration."""
        self.sections = sections
        serve = serving(self.folder, self.aom.url, more=sections, target="lookup_wait: 1s", arguments=[self.place])
        self.bridge, self.url = await self.stack.enter_async_context(serve)

    def reload(self, sections):
        """Write other sections of the configuration, and let the bridge read it again."""
        for folder, bridge in self.bridges():
            file = folder / "bridge.yaml"
            file.write_text(file.read_text().replace(self.sections, sections))
            bridge.process.send_signal(signal.SIGHUP)
        self.sections = sections

    def bridges(self):
        """Give each running bridge with its folder."""
        return [(self.folder, self.bridge)]

    async def last_sign(self):
        """Give when the bridge has seen the last sign, in seconds since 1970."""
        (series,) = await metrics(self.url, "aom_bridge_heartbeat_last_seen_timestamp_seconds")
        return min(series.values())

    async def has_switches(self, **counts):
        """Wait until just so many switches are in these states, and none in another."""
        await until(lambda: self._has_states(counts), LIMIT)

    async def _has_states(self, counts):
        (series,) = await metrics(self.url, "aom_bridge_heartbeat_state")
        states = {key.split('state="')[1].split('"')[0]: value for key, value in series.items() if value}
        return states == counts

    async def is_forgotten_by_alertmanager(self, *names):
        """Wait until no Alertmanager lists these alerts any more."""
        await until(self._lists_none_of(*names), LIMIT)

    def _lists(self, *names):
        return lambda: self._each_lists(lambda listed: listed.keys() >= set(names))

    def _lists_none_of(self, *names):
        return lambda: self._each_lists(lambda listed: listed.keys().isdisjoint(names))

    async def _each_lists(self, is_right):
        return all([is_right(await peer.listed()) for peer in self.cluster.peers])

    def missing(self):
        """Give AOM's open alarms about switches: the message of each, by its resource."""
        active = [one for one in self.aom.snapshot()["active"] if is_missing(one)]
        return {one["metadata"]["resource_id"]: one["annotations"]["message"] for one in active}

    async def misses(self, *resources):
        """Wait until AOM's open alarms about switches are these; give their messages."""
        await until(lambda: sorted(self.missing()) == sorted(resources), LIMIT)
        return [self.missing()[one] for one in resources]

    async def keeps_missing(self, *resources, seconds):
        """Look again and again for some time: AOM's open alarms about switches are just these."""
        deadline = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < deadline:
            assert sorted(self.missing()) == sorted(resources)
            await asyncio.sleep(0.1)

    def ended(self):
        """Give the resources of all alarms about switches that are over, as often as each is."""
        return sorted(one["metadata"]["resource_id"] for one in self.aom.snapshot()["history"] if is_missing(one))

    def check_nothing_blinked(self):
        """The Watchdog was no alarm once it was declared, and no alarm was raised beside an open one."""
        assert [*self.active(), *self.cleared()].count(WATCHDOG) == self.earlier
        assert self.aom.snapshot()["violations"] == []
        assert "Traceback" not in self.bridge.output


class WatchedTwice(Watched):
    """Two bridges on one PostgreSQL; Alertmanager posts to the second one, which is the one of `bridge` and `url`.

    Attributes:
        first: the process that leads at the beginning.
    """

    def __init__(self, folder, aom, cluster, database):
        super().__init__(folder, aom, cluster)
        self.database, self.first = database, None

    async def serve_with(self, sections):
        """Start the first bridge, and the second one once the first leads."""
        self.sections = sections
        self.first, _ = await self._replica("first", sections)
        await until(self.leader, LIMIT)
        self.bridge, self.url = await self._replica("second", sections, [self.place])

    def bridges(self):
        """Give each running bridge with its folder."""
        return [(self.folder / "first", self.first), (self.folder / "second", self.bridge)]

    def rows(self):
        """Give the ledger's rows."""
        with looking_at(self.database) as connection:
            return [view.alarm for view in listing(connection)]

    def leader(self):
        """Give the name of the bridge that leads in watching heartbeats."""
        with looking_at(self.database) as connection:
            return connection.execute(sa.select(sources.c.leader).where(sources.c.source == HEARTBEATS)).scalar()

    async def _replica(self, name, sections, arguments=()):
        one = replica(self.folder / name, self.aom.url, self.database, arguments, more=sections)
        return await self.stack.enter_async_context(one)


def is_missing(event):
    """Say whether an alarm of AOM's tells that a switch is missing."""
    return event["metadata"]["event_name"] == HEARTBEAT_MISSING


@contextlib.asynccontextmanager
async def _watched(made, folder, *arguments):
    async with cloud() as aom:
        one = made(folder, aom, Cluster(folder, [LOOPBACK]), *arguments)
        try:
            yield one
            one.check_nothing_blinked()
        finally:
            await one.stack.aclose()
            await one.cluster.stop()


@pytest.fixture
async def watched(tmp_path):
    """A bridge that expects heartbeats, one Alertmanager and the emulated AOM; only the last is started."""
    async with _watched(Watched, tmp_path) as one:
        yield one


@pytest.fixture
async def watched_twice(tmp_path, database):
    """Two bridges on one database, one Alertmanager and the emulated AOM; only the last is started."""
    async with _watched(WatchedTwice, tmp_path, database) as one:
        yield one
