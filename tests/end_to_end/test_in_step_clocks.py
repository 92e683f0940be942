"""Clocks that differ, and alerts that resolve and fire again between two of Alertmanager's notifications."""

from datetime import timedelta

import pytest
from cluster import CONFIG, LOOPBACK, NOBODY, Cluster
from waiting import until

pytestmark = pytest.mark.real

OFF = timedelta(minutes=10)


@pytest.mark.parametrize(("ahead", "words"), [(OFF, "ahead of"), (-OFF, "behind")], ids=["ahead", "behind"])
async def test_a_peer_whose_clock_is_ten_minutes_off_is_understood(held, ahead, words):
    """What fires after a resolve and is told by no webhook is raised, and cleared when it vanishes."""
    held.cluster = cluster = Cluster(held.folder, [LOOPBACK])
    front = await held.front_of(*cluster.peers, ahead=ahead)
    await held.serve(urls=[front.url])
    await cluster.start()
    await cluster.fire("A")
    await held.shows("A")
    await cluster.resolve("A")
    await held.shows()
    cluster.configure(NOBODY)
    await cluster.reload()
    await cluster.fire("A")
    await held.shows("A")
    assert (await held.count("missing"), await held.count("vanished")) == (1, 0)
    await cluster.vanish("A")
    await held.shows()
    assert await held.count("vanished") == 1
    assert held.bridge.output.count(f"{words} the bridge's. Fix: set both clocks by NTP") == 1


async def test_a_resolve_that_a_peer_whose_clock_is_ahead_did_not_get_is_not_undone(held):
    """That peer still lists the alert, with a time that seems to be later than the resolve."""
    first, second = held.cluster.peers
    held.cluster.validity = 60
    front = await held.front_of(second, ahead=OFF)
    await held.serve(urls=[first.url, front.url])
    second.configure(CONFIG, url=NOBODY)
    await held.cluster.start()
    await held.cluster.fire("A")
    await held.shows("A")
    held.cluster.reach = [first]
    await held.cluster.resolve("A")
    await held.shows()
    assert "A" in await second.listed()
    await held.stays_active(seconds=7)


async def test_an_alert_of_a_sender_whose_clock_is_ahead_ends_once(held):
    """Its resolve lies in the future, and until then the peers list the alert; then a webhook tells, or its absence."""
    held.cluster = cluster = Cluster(held.folder, ahead=9)
    await held.serve()
    await cluster.start()
    await cluster.fire("Resolved")
    await cluster.fire("Silenced")
    await held.shows("Resolved", "Silenced")
    silence = await cluster.vanish("Silenced")
    await cluster.resolve("Resolved")
    await held.stays_active("Resolved", "Silenced", seconds=5)
    await held.shows()
    assert (await held.count("vanished"), await held.count("missing")) == (1, 0)
    await cluster.expire(silence)
    await cluster.fire("Silenced")
    await held.shows("Silenced")


async def test_a_flap_between_two_notifications_leaves_the_alarm_open(held):
    """Alertmanager tells neither the resolve nor the next fire, and the bridge saw the alert absent meanwhile."""
    await held.serve(config=CONFIG.replace("group_interval: 1s", "group_interval: 12s"), missing_after="auto")
    cluster = held.cluster
    await cluster.start()
    await cluster.fire("Flap")
    await held.is_active("Flap")
    await cluster.resolve("Flap")
    begin = await held.rounds()
    await until(lambda: held.has_rounds(begin + 2))
    await cluster.fire("Flap")
    await held.is_active("Flap")
    assert held.cleared() == []
    await cluster.resolve("Flap")
    await held.shows()
    assert held.cleared() == ["Flap"]
    assert (await held.count("vanished"), await held.count("missing")) == (0, 0)
