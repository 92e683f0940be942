"""Heartbeats are declared, paused and removed by reloads, and hold back clears: with a real Prometheus."""

import os

import pytest
from heartbeats import alertmanager, heartbeat

pytestmark = pytest.mark.real

IN_STEP = "alertmanagers: [{{urls: [{url}], receivers: [aom], interval: 1s, settle: 1s, missing_after: 1s}}]\n"


async def test_a_switch_that_is_paused_or_removed_by_a_reload_is_no_alarm_any_more(watched):
    """Prometheus is dead all the time, so that the alarm is there again in between, when the switch is."""
    (prometheus,) = await watched.start(heartbeat(), alertmanager(resolved=False))
    prometheus.kill()
    await watched.misses("main")
    watched.reload(heartbeat(more=", paused: true"))
    await watched.misses()
    await watched.has_switches(paused=1)
    watched.reload(heartbeat())
    await watched.misses("main")
    watched.reload("heartbeats: []")
    await watched.misses()
    assert watched.ended() == ["main", "main"]


async def test_an_alarm_of_the_watchdog_from_before_it_was_declared_is_cleared(watched):
    """Though no webhook about it comes any more: Alertmanager repeats it after an hour only."""
    await watched.start_without_prometheus("", alertmanager(repeat="1h"))
    await watched.prometheus([watched.cluster.peers[0].web], alerts=["Other"])
    await watched.shows("Other", "Watchdog")
    watched.earlier = 1
    watched.reload(heartbeat(every="1h", missing_after="2h"))
    await watched.shows("Other")
    assert watched.cleared() == ["Watchdog"]


IS_FULL = os.environ.get("AOM_BRIDGE_REHEARSAL") == "full"


@pytest.mark.skipif(not IS_FULL, reason="`make rehearsal` runs it")  # it takes 47 s: CI has 15 min
async def test_alerts_of_a_dead_prometheus_are_not_cleared_though_alertmanager_lists_them_no_longer(watched):
    """Nor when it is back and has posted its sign alone; then one fires still, and the other is cleared."""
    sections = IN_STEP.format(url=watched.cluster.urls[0]) + heartbeat()
    (prometheus,) = await watched.start(sections, alertmanager(resolved=False), alerts=["Stays", "Gone"])
    await watched.is_active("Gone", "Stays")
    prometheus.kill()
    await watched.misses("main")
    await watched.is_forgotten_by_alertmanager("Stays", "Gone")
    await watched.stays_active("Gone", "HeartbeatMissing", "Stays", seconds=6)
    prometheus.alert()
    await prometheus.start()
    await watched.misses()
    await watched.stays_active("Gone", "Stays", seconds=2)
    prometheus.alert("Stays")
    prometheus.reload()
    await watched.shows("Stays")
    assert watched.cleared() == ["Gone", "HeartbeatMissing"]
    assert await watched.count("vanished") == 1
