"""Peers that do not reach each other, or that the bridge or the sender does not reach."""

import pytest
from cluster import Cluster
from peer_proxies import Link

pytestmark = pytest.mark.real


@pytest.fixture
async def links(held):
    """Links over which the peers reach each other; posts are valid for long, so that none expires meanwhile."""
    held.cluster = Cluster(held.folder, validity=60)
    made = [Link(peer.gossip) for peer in held.cluster.peers]
    for link, peer in zip(made, held.cluster.peers, strict=True):
        await link.start()
        peer.advertised = link.address
    yield made
    for link in made:
        await link.stop()


async def test_while_the_peers_do_not_see_each_other_nothing_is_cleared_or_raised_twice(held, links):
    """Each of them tells of every alert, and what vanishes from both lists is cleared once."""
    await held.serve()
    await held.cluster.start()
    await held.cluster.fire("Silenced")
    await held.shows("Silenced")
    await held.cluster.silence("Silenced")
    for link in links:
        link.cut()
    await held.cluster.is_one(size=1)
    await held.cluster.fire("New")
    await held.shows("New", "Silenced")
    await held.cluster.resolve("Silenced")
    await held.shows("New")
    assert await held.count("vanished") == 1
    for link in links:
        link.mend()
    await held.cluster.is_one()
    await held.cluster.resolve("New")
    await held.shows()
    assert (await held.count("vanished"), await held.count("missing")) == (1, 0)


async def test_a_peer_that_is_cut_off_holds_back_clears_by_absence_until_it_is_back(held, links):
    """Neither its cluster nor the sender nor the bridge reaches it; the other peer's reports go on."""
    cluster, (first, second) = held.cluster, held.cluster.peers
    front = await held.front_of(second)
    await held.serve(urls=[first.url, front.url])
    await cluster.start()
    await cluster.fire("Silenced")
    await held.shows("Silenced")
    await cluster.silence("Silenced")
    for each in (*links, front):
        each.cut()
    cluster.reach = [first]
    await cluster.is_one(size=1)
    await cluster.resolve("Silenced")
    await cluster.fire("New")
    await held.shows("New", "Silenced")
    await held.stays_active("New", "Silenced", seconds=5)
    for each in (*links, front):
        each.mend()
    cluster.reach = list(cluster.peers)
    await cluster.is_one()
    await held.stays_active("New", "Silenced", seconds=2)
    await cluster.repeat()
    await held.shows("New")
    await cluster.resolve("New")
    await held.shows()
    assert (await held.count("vanished"), await held.count("missing")) == (1, 0)


async def test_an_alert_that_is_posted_to_one_peer_only_outlives_that_peers_restart(held):
    """The other peer never lists it, and the restarted one not until the sender posts again."""
    cluster, first = held.cluster, held.cluster.peers[0]
    cluster.reach = [first]
    await held.serve()
    await cluster.start()
    await cluster.fire("A")
    await held.shows("A")
    first.kill(lose=True)
    await held.stays_active("A", seconds=5)
    cluster.is_sending = False
    await first.start()
    await cluster.is_one()
    await held.stays_active("A", seconds=7)
    cluster.is_sending = True
    await cluster.repeat()
    await held.is_active("A")
    await cluster.resolve("A")
    await held.shows()
    assert (await held.count("vanished"), await held.count("missing")) == (0, 0)
