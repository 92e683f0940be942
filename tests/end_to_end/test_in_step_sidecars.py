"""Sidecars in step: two real Alertmanagers, beside each a bridge with its own ledger that asks both, into one AOM."""

import contextlib

import pytest
from cluster import CONFIG, Cluster
from emulated_aom import cloud
from in_step import LIMIT, SETTINGS
from many_alerts import metrics
from process import serving
from waiting import until

pytestmark = pytest.mark.real


class Sidecars:
    """The cluster, the addresses of its bridges, and the emulated AOM."""

    def __init__(self, cluster, aom):
        self.cluster, self.aom = cluster, aom
        self.urls, self.processes = [], []

    async def add(self, folder, peer):
        """Start the bridge of a peer, and let the peer post to it alone."""
        peer.folder.mkdir(parents=True)
        urls = ", ".join(f'"{url}"' for url in self.cluster.urls)
        more = f"alertmanagers: [{SETTINGS.format(urls=urls, more=', receivers: [aom]')}]"
        async with contextlib.AsyncExitStack() as stack:
            target = "reassert_after: 0s\nlookup_wait: 1s"
            process, url = await stack.enter_async_context(serving(folder, self.aom.url, more=more, target=target))
            (peer.folder / "alertmanager.yml").write_text(CONFIG.format(url=url, max_alerts=0))
            self.processes.append(process)
            self.urls.append(url)
            return stack.pop_all()

    def active(self):
        return sorted(event["metadata"]["event_name"] for event in self.aom.snapshot()["active"])

    async def open_alarms(self):
        """Give how many alarms each ledger holds open."""
        alarms = [(await metrics(url, "aom_bridge_alarms"))[0] for url in self.urls]
        return [sum(n for key, n in one.items() if 'state="report' in key) for one in alarms]

    async def holds(self, *names):
        """Wait until AOM's open alarms are these, each once, and each ledger holds as many."""
        await until(lambda: self.active() == sorted(names), LIMIT)
        await until(self._each_ledger_holds(len(names)), LIMIT)
        assert self.active() == sorted(names)

    def _each_ledger_holds(self, count):
        async def is_so():
            return await self.open_alarms() == [count] * len(self.urls)

        return is_so


@pytest.fixture
async def sidecars(tmp_path):
    """Both pairs, in step."""
    cluster = Cluster(tmp_path)
    async with cloud() as aom, contextlib.AsyncExitStack() as stack:
        pairs = Sidecars(cluster, aom)
        for number, peer in enumerate(cluster.peers):
            folder = tmp_path / f"bridge{number}"
            folder.mkdir()
            await stack.enter_async_context(await pairs.add(folder, peer))
        try:
            await cluster.start()
            yield pairs
        finally:
            await cluster.stop()
        assert all("Traceback" not in process.output for process in pairs.processes)


async def test_each_ledger_holds_what_fires_and_aom_each_alarm_once(sidecars):
    """One Alertmanager posts for both: the other bridge learns it by the API, and neither undoes what the other did."""
    await sidecars.cluster.fire("A")
    await sidecars.cluster.fire("B")
    await sidecars.holds("A", "B")
    await sidecars.cluster.resolve("A")
    await sidecars.holds("B")
    await sidecars.cluster.fire("A")
    await sidecars.holds("A", "B")
    await sidecars.cluster.resolve("A")
    await sidecars.cluster.resolve("B")
    await sidecars.holds()
    cleared = sorted(event["metadata"]["event_name"] for event in sidecars.aom.snapshot()["history"])
    assert cleared == ["A", "A", "B"]


async def test_what_resolves_under_a_silence_is_cleared_and_its_next_fire_reported(sidecars):
    """No Alertmanager posts either, to any of the bridges."""
    await sidecars.cluster.fire("Silenced")
    await sidecars.holds("Silenced")
    silence = await sidecars.cluster.silence("Silenced")
    await sidecars.cluster.resolve("Silenced")
    await sidecars.holds()
    await sidecars.cluster.expire(silence)
    await sidecars.cluster.fire("Silenced")
    await sidecars.holds("Silenced")
