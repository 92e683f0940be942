"""Held in step with Alertmanager: what webhooks never tell, with two real peers, a real bridge and the emulated AOM.

Each test ends with "nothing blinks": no alarm was cleared more often than its alert has resolved.
"""

import asyncio
import contextlib

import pytest
from cluster import CONFIG, ELSEWHERE, Cluster
from emulated_aom import cloud
from many_alerts import metrics
from process import serving
from waiting import until

pytestmark = pytest.mark.real

LIMIT = 60
SETTINGS = "{{urls: [{urls}], interval: 1s, settle: 1s, missing_after: 4s{more}}}"
"""Rounds are quick; W is 1.25 times the validity of the sender's posts, twenty seconds."""


class Held:
    """A cluster, a bridge that is held in step with it, and the emulated AOM."""

    def __init__(self, folder, aom, cluster):
        self.folder, self.aom, self.cluster = folder, aom, cluster
        self.stack = contextlib.AsyncExitStack()
        self.bridge, self.url = None, ""

    async def serve(self, more="", config=CONFIG, **config_options):
        """Start the bridge, then the cluster, or the cluster's configuration anew."""
        urls = ", ".join(f'"{url}"' for url in self.cluster.urls)
        settings = f"alertmanagers: [{SETTINGS.format(urls=urls, more=more)}]"
        serve = serving(self.folder, self.aom.url, more=settings, target="lookup_wait: 1s")
        self.bridge, self.url = await self.stack.enter_async_context(serve)
        self.cluster.configure(self.url, config, **config_options)

    def active(self):
        return sorted(event["metadata"]["event_name"] for event in self.aom.snapshot()["active"])

    async def is_active(self, *names):
        """Wait until AOM's open alarms are these, and the bridge has seen their alerts listed."""
        await until(lambda: self.active() == sorted(names), LIMIT)
        begin = await self.rounds()
        await until(lambda: self.has_rounds(begin + 2), LIMIT)

    async def rounds(self):
        (series,) = await metrics(self.url, "aom_bridge_reconcile_rounds_total")
        return sum(series.values())

    async def has_rounds(self, count):
        return await self.rounds() >= count

    async def stays_active(self, *names, seconds):
        """Look again and again for some time: nothing else may be open, and nothing less."""
        deadline = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < deadline:
            assert self.active() == sorted(names)
            await asyncio.sleep(0.1)

    async def count(self, kind):
        (series,) = await metrics(self.url, "aom_bridge_reconciled_total")
        return series.get(f'kind="{kind}",source="default"', series.get(f'source="default",kind="{kind}"'))

    def check_nothing_blinked(self):
        """No alarm was cleared more often than its alert has resolved."""
        cleared = [event["metadata"]["event_name"] for event in self.aom.snapshot()["history"]]
        for name in set(cleared):
            assert cleared.count(name) <= self.cluster.resolves.get(name, 0), name
        assert "Traceback" not in self.bridge.output


@pytest.fixture
async def held(tmp_path):
    """Two peers that are not started yet, and no bridge yet."""
    cluster = Cluster(tmp_path)
    async with cloud() as aom:
        one = Held(tmp_path, aom, cluster)
        try:
            yield one
        finally:
            await cluster.stop()
            await one.stack.aclose()


@pytest.fixture
async def running(held):
    """Both running, in step."""
    await held.serve()
    await held.cluster.start()
    yield held
    held.check_nothing_blinked()


async def test_an_alert_that_resolves_under_a_silence_is_cleared_and_its_next_fire_is_reported(running):
    """Alertmanager sends no resolve of it, ever, nor the next fire before `repeat_interval`."""
    await running.cluster.fire("Silenced")
    await running.is_active("Silenced")
    silence = await running.cluster.silence("Silenced")
    await running.cluster.resolve("Silenced")
    await running.is_active()
    assert await running.count("vanished") == 1
    await running.cluster.expire(silence)
    await running.cluster.fire("Silenced")
    await running.is_active("Silenced")
    await running.cluster.resolve("Silenced")
    await running.is_active()


async def test_an_alert_that_resolves_while_it_is_inhibited_is_cleared(running):
    """As under a silence."""
    await running.cluster.fire("Target", severity="inhibited")
    await running.is_active("Target")
    await running.cluster.fire("Source", severity="inhibitor")
    await running.is_active("Source", "Target")
    await running.cluster.resolve("Target")
    await running.is_active("Source")


async def test_an_ordinary_resolve_is_told_by_its_webhook_alone(running):
    """The API shows it first; one row, one clear, and nothing was reconciled."""
    await running.cluster.fire("Ordinary")
    await running.is_active("Ordinary")
    await running.cluster.resolve("Ordinary")
    await running.is_active()
    assert await running.count("vanished") == 0


async def test_an_alert_that_fires_for_long_is_left_alone(running):
    """Twice its validity and more: it is listed in each round."""
    await running.cluster.fire("Long")
    await running.is_active("Long")
    await running.stays_active("Long", seconds=25)
    assert (await running.count("vanished"), await running.count("missing")) == (0, 0)


async def test_what_both_peers_forget_with_a_clear_pending_is_cleared(running):
    """Killed with their storage lost while the bridge did not answer: nobody is left to send the resolve."""
    cluster = running.cluster
    await cluster.fire("Lost")
    await cluster.fire("Stays")
    await running.is_active("Lost", "Stays")
    for peer in cluster.peers:
        peer.kill(lose=True)
    cluster.resolves["Lost"] = 1
    del cluster.firing["Lost"]
    for peer in cluster.peers:
        await peer.start()
    await running.is_active("Stays")
    assert await running.count("vanished") == 1


async def test_peers_that_restart_empty_clear_nothing_that_fires(running):
    """Until the sender posts again they list nothing, which proves nothing."""
    cluster = running.cluster
    for name in ("A", "B"):
        await cluster.fire(name)
    await running.is_active("A", "B")
    for peer in cluster.peers:
        peer.kill(lose=True)
    for peer in cluster.peers:
        await peer.start()
    await running.stays_active("A", "B", seconds=25)
    assert await running.count("vanished") == 0


async def test_while_a_peer_is_down_nothing_is_cleared_by_absence_and_reports_go_on(running):
    """When it is back, what has ended meanwhile is cleared."""
    cluster = running.cluster
    await cluster.fire("Silenced")
    await running.is_active("Silenced")
    await cluster.silence("Silenced")
    cluster.peers[1].kill()
    cluster.reach = cluster.peers[:1]
    await cluster.resolve("Silenced")
    await cluster.fire("New")
    await running.is_active("New", "Silenced")
    await running.stays_active("New", "Silenced", seconds=15)
    await cluster.peers[1].start()
    cluster.reach = list(cluster.peers)
    await running.is_active("New")


async def test_a_peer_that_stands_still_holds_back_clears_by_absence(running):
    """It may hold the alert, and nobody can tell."""
    cluster = running.cluster
    await cluster.fire("Silenced")
    await running.is_active("Silenced")
    await cluster.silence("Silenced")
    cluster.peers[1].pause()
    await cluster.resolve("Silenced")
    await running.stays_active("Silenced", seconds=15)
    cluster.peers[1].wake()
    await running.is_active()


async def test_alerts_that_a_truncated_notification_left_out_are_raised_and_cleared(held):
    """`max_alerts: 2` with six alerts: the API shows those that no webhook has told."""
    await held.serve(max_alerts=2)
    held.cluster.configure(held.url, CONFIG.replace("[alertname]", "[severity]"), max_alerts=2)
    await held.cluster.start()
    names = [f"T{number}" for number in range(6)]
    for name in names:
        await held.cluster.fire(name)
    await held.is_active(*names)
    assert await held.count("missing") >= 3
    await held.cluster.resolve("T4")
    await held.cluster.resolve("T5")
    await held.is_active(*names[:4])
    held.check_nothing_blinked()


async def test_an_alert_whose_route_leads_elsewhere_now_is_cleared(running):
    """Nobody will send its resolve to the bridge any more."""
    await running.cluster.fire("Moved")
    await running.is_active("Moved")
    running.cluster.configure(running.url, ELSEWHERE)
    running.cluster.resolves["Moved"] = 1
    await running.cluster.reload()
    await running.is_active()
    assert await running.count("unrouted") == 1


async def test_alerts_are_raised_though_the_address_of_the_webhook_is_wrong(held):
    """The API shows what no webhook brings."""
    await held.serve(more=", receivers: [aom]")
    held.cluster.configure("http://127.0.0.1:9")
    await held.cluster.start()
    await held.cluster.fire("Unsent")
    await held.is_active("Unsent")
    assert await held.count("missing") == 1
    await held.cluster.resolve("Unsent")
    await held.is_active()
    held.check_nothing_blinked()


async def test_an_alert_that_is_silenced_before_it_fires_is_never_raised(running):
    """Alertmanager would not send it either."""
    await running.cluster.fire("First")
    await running.is_active("First")
    await running.cluster.silence("Quiet")
    await running.cluster.fire("Quiet")
    await running.stays_active("First", seconds=12)


async def test_many_that_vanish_at_once_wait_for_the_brake_and_then_go(running):
    """Twenty resolve under a silence each: that looks like a fault, so they are ended together, and later."""
    cluster = running.cluster
    names = [f"M{number}" for number in range(20)]
    for name in names:
        await cluster.fire(name, team="many")
    await running.is_active(*names)
    silences = [await cluster.silence(name) for name in names]
    assert len(silences) == 20
    for name in names:
        await cluster.resolve(name)
    await running.is_active()
    assert "many alarms would change at once" in running.bridge.output
    assert await running.count("vanished") == 20


async def test_a_bridge_that_restarts_with_its_peers_clears_nothing_that_fires(running):
    """Neither side remembers the rounds before; the ledger remembers the validity of the posts."""
    cluster = running.cluster
    await cluster.fire("A")
    await running.is_active("A")
    running.bridge.kill()
    for peer in cluster.peers:
        peer.kill(lose=True)
    await running.stack.aclose()
    running.stack = contextlib.AsyncExitStack()
    await running.serve()
    for peer in cluster.peers:
        await peer.start()
    await running.stays_active("A", seconds=25)
    assert await running.count("vanished") == 0
