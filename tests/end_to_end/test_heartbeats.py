"""A real Prometheus whose Watchdog always fires falls silent: the alarm in AOM that says so, and its end."""

import re

import pytest
from cluster import Cluster
from heartbeats import MISSING_AFTER, alertmanager, heartbeat
from peer_proxies import Link

pytestmark = pytest.mark.real


def check_leads_to_the_cause(message):
    """The message alone tells what is wrong, since when, and where to look."""
    assert re.search(r"last sign came at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", message)
    for hint in ('alertname="Watchdog"', "Prometheus", "does Prometheus run", "Does it reach Alertmanager"):
        assert hint in message


async def test_a_killed_prometheus_is_an_alarm_until_it_is_back(watched):
    """It is told as soon as Alertmanager says that the Watchdog has stopped, by two of them as by one."""
    watched.cluster = Cluster(watched.folder)
    (prometheus,) = await watched.start(heartbeat(every="30s", missing_after="30s"), alertmanager())
    prometheus.kill()
    (message,) = await watched.misses("main")
    assert message.startswith("Heartbeat main has stopped; ")
    assert "Alertmanager has told that its alert resolved" in message
    check_leads_to_the_cause(message)
    await prometheus.start()
    await watched.misses()
    await watched.has_switches(ok=1)
    assert set(watched.ended()) == {"main"}


async def test_a_prometheus_that_stands_still_is_an_alarm_until_it_runs_on(watched):
    """Nobody tells that the Watchdog has stopped: the time without a sign does, and not before it is over."""
    (prometheus,) = await watched.start(heartbeat(), alertmanager(resolved=False))
    prometheus.pause()
    await watched.is_forgotten_by_alertmanager("Watchdog")
    assert watched.missing() == {}
    (message,) = await watched.misses("main")
    assert message.startswith("Heartbeat main is missing: ")
    assert f"it is missing after {MISSING_AFTER}s without one" in message
    check_leads_to_the_cause(message)
    prometheus.wake()
    await watched.misses()
    await watched.has_switches(ok=1)
    assert watched.ended() == ["main"]


async def test_a_prometheus_that_does_not_reach_alertmanager_is_an_alarm_until_it_does(watched):
    """It runs, and its alerts reach nobody."""
    await watched.start_without_prometheus(heartbeat(), alertmanager(resolved=False))
    link = Link(watched.cluster.peers[0].web)
    await link.start()
    watched.stack.push_async_callback(link.stop)
    await watched.prometheus([link.address])
    await watched.is_expecting(heartbeat())
    link.cut()
    (message,) = await watched.misses("main")
    check_leads_to_the_cause(message)
    link.mend()
    await watched.misses()
    await watched.has_switches(ok=1)
    assert watched.ended() == ["main"]
