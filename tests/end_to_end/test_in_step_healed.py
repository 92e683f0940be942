"""What webhooks never tell, told by Alertmanager's API: with two real peers, a real bridge and the emulated AOM."""

import pytest
from cluster import CONFIG, ELSEWHERE

pytestmark = pytest.mark.real


async def test_an_alert_that_resolves_under_a_silence_is_cleared_and_its_next_fire_is_reported(in_step):
    """Alertmanager sends no resolve of it, ever, nor the next fire before `repeat_interval`."""
    await in_step.cluster.fire("Silenced")
    await in_step.is_active("Silenced")
    silence = await in_step.cluster.silence("Silenced")
    await in_step.cluster.resolve("Silenced")
    await in_step.is_active()
    assert await in_step.count("vanished") == 1
    await in_step.cluster.expire(silence)
    await in_step.cluster.fire("Silenced")
    await in_step.is_active("Silenced")
    await in_step.cluster.resolve("Silenced")
    await in_step.is_active()


async def test_an_alert_that_resolves_while_it_is_inhibited_is_cleared(in_step):
    """As under a silence."""
    await in_step.cluster.fire("Target", severity="inhibited")
    await in_step.is_active("Target")
    await in_step.cluster.fire("Source", severity="inhibitor")
    await in_step.is_active("Source", "Target")
    await in_step.cluster.resolve("Target")
    await in_step.is_active("Source")


async def test_what_both_peers_forget_with_a_clear_pending_is_cleared(in_step):
    """Killed with their storage lost while the bridge did not answer: nobody is left to send the resolve."""
    cluster = in_step.cluster
    await cluster.fire("Lost")
    await cluster.fire("Stays")
    await in_step.is_active("Lost", "Stays")
    for peer in cluster.peers:
        peer.kill(lose=True)
    cluster.resolves["Lost"] = 1
    del cluster.firing["Lost"]
    for peer in cluster.peers:
        await peer.start()
    await in_step.is_active("Stays")
    assert await in_step.count("vanished") == 1


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


async def test_an_alert_whose_route_leads_elsewhere_now_is_cleared(in_step):
    """Nobody will send its resolve to the bridge any more."""
    await in_step.cluster.fire("Moved")
    await in_step.is_active("Moved")
    in_step.cluster.configure(in_step.url, ELSEWHERE)
    in_step.cluster.resolves["Moved"] = 1
    await in_step.cluster.reload()
    await in_step.is_active()
    assert await in_step.count("unrouted") == 1


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


async def test_many_that_vanish_at_once_wait_for_the_brake_and_then_go(in_step):
    """Twenty resolve under a silence each: that looks like a fault, so they are ended together, and later."""
    cluster = in_step.cluster
    names = [f"M{number}" for number in range(20)]
    for name in names:
        await cluster.fire(name, team="many")
    await in_step.is_active(*names)
    silences = [await cluster.silence(name) for name in names]
    assert len(silences) == 20
    for name in names:
        await cluster.resolve(name)
    await in_step.is_active()
    assert "many alarms would change at once" in in_step.bridge.output
    assert await in_step.count("vanished") == 20
