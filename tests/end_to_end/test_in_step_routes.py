"""What Alertmanager's routes mean for what the bridge sees: reloads, mutes by time, several receivers."""

import pytest
from cluster import CONFIG, ELSEWHERE, NOBODY, SHORT, Cluster

pytestmark = pytest.mark.real

MUTED = CONFIG.replace(
    "repeat_interval: 1h}}",
    "repeat_interval: 1h, routes: [{{matchers: ['team=\"night\"'], mute_time_intervals: [muted]}}]}}\n"
    "time_intervals: [{{name: muted, time_intervals: [{{times: [{{start_time: '00:00', end_time: '24:00'}}]}}]}}]",
)
MUTED_ONCE = MUTED.replace("{{times:", "{{years: ['1999'], times:")
TWO_RECEIVERS = CONFIG.replace(
    "repeat_interval: 1h}}", "repeat_interval: 1h, routes: [{{receiver: aom, continue: true}}, {{receiver: second}}]}}"
).replace(
    "  - name: elsewhere", '  - name: second\n    webhook_configs: [{{url: "{url}/webhook"}}]\n  - name: elsewhere'
)


async def test_peers_that_disagree_after_a_reload_clear_nothing_until_the_last_one_agrees(held):
    """One peer has not read its new routes yet, and still sends the alert to the bridge."""
    held.cluster = cluster = Cluster(held.folder, validity=SHORT)
    await held.serve(missing_after="1s")
    await cluster.start()
    await cluster.fire("Moved")
    await held.shows("Moved")
    cluster.configure(held.url, ELSEWHERE)
    await cluster.peers[0].reload()
    await held.stays_active("Moved", seconds=10)
    assert await held.count("unrouted") == 0
    cluster.resolves["Moved"] = 1
    await cluster.peers[1].reload()
    await held.shows()
    assert await held.count("unrouted") == 1


async def test_what_is_muted_by_time_is_never_raised(held):
    """Alertmanager sends no webhook of it; before 0.28 its API does not even say so."""
    await held.serve(config=MUTED)
    await held.cluster.start()
    await held.cluster.fire("Muted", team="night")
    await held.cluster.fire("First")
    await held.shows("First")
    await held.stays_active("First", seconds=8)
    assert await held.count("missing") == 0


async def test_a_lost_webhook_of_a_route_that_is_muted_at_times_is_made_good_from_0_28_on(held):
    """Those peers show that the alert is not muted now; before, nobody can tell, and nothing is raised."""
    await held.serve(more=", receivers: [aom]")
    held.cluster.configure(NOBODY, MUTED_ONCE)
    await held.cluster.start()
    await held.cluster.fire("Unsent", team="night")
    if await held.cluster.peers[0].version() >= (0, 28):
        await held.shows("Unsent")
    else:
        await held.stays_active(seconds=7)
        assert "does not show which alerts they mute" in held.bridge.output


async def test_an_alert_of_two_receivers_is_one_alarm_with_one_clear(held):
    """Both send to the bridge: a route with `continue: true`."""
    await held.serve(config=TWO_RECEIVERS)
    await held.cluster.start()
    for name in ("Resolved", "Silenced"):
        await held.cluster.fire(name)
    await held.shows("Resolved", "Silenced")
    await held.cluster.resolve("Resolved")
    await held.cluster.vanish("Silenced")
    await held.shows()
    assert held.cleared() == ["Resolved", "Silenced"]
    assert (await held.count("vanished"), await held.count("missing")) == (1, 0)
