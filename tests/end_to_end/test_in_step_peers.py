"""Peers that restart, are down or stand still: nothing that fires is cleared meanwhile, and all is right afterwards."""

import contextlib

import pytest

pytestmark = pytest.mark.real


async def test_peers_that_restart_empty_clear_nothing_that_fires(in_step):
    """Until the sender posts again they list nothing, which proves nothing."""
    cluster = in_step.cluster
    for name in ("A", "B"):
        await cluster.fire(name)
    await in_step.is_active("A", "B")
    for peer in cluster.peers:
        peer.kill(lose=True)
    for peer in cluster.peers:
        await peer.start()
    await in_step.stays_active("A", "B", seconds=25)
    assert await in_step.count("vanished") == 0


async def test_while_a_peer_is_down_nothing_is_cleared_by_absence_and_reports_go_on(in_step):
    """When it is back, what has ended meanwhile is cleared."""
    cluster = in_step.cluster
    await cluster.fire("Silenced")
    await in_step.is_active("Silenced")
    await cluster.silence("Silenced")
    cluster.peers[1].kill()
    cluster.reach = cluster.peers[:1]
    await cluster.resolve("Silenced")
    await cluster.fire("New")
    await in_step.is_active("New", "Silenced")
    await in_step.stays_active("New", "Silenced", seconds=15)
    await cluster.peers[1].start()
    cluster.reach = list(cluster.peers)
    await in_step.is_active("New")


async def test_a_peer_that_stands_still_holds_back_clears_by_absence(in_step):
    """It may hold the alert, and nobody can tell."""
    cluster = in_step.cluster
    await cluster.fire("Silenced")
    await in_step.is_active("Silenced")
    await cluster.silence("Silenced")
    cluster.peers[1].pause()
    await cluster.resolve("Silenced")
    await in_step.stays_active("Silenced", seconds=15)
    cluster.peers[1].wake()
    await in_step.is_active()


async def test_a_bridge_that_restarts_with_its_peers_clears_nothing_that_fires(in_step):
    """Neither side remembers the rounds before; the ledger remembers the validity of the posts."""
    cluster = in_step.cluster
    await cluster.fire("A")
    await in_step.is_active("A")
    in_step.bridge.kill()
    for peer in cluster.peers:
        peer.kill(lose=True)
    await in_step.stack.aclose()
    in_step.stack = contextlib.AsyncExitStack()
    await in_step.serve()
    for peer in cluster.peers:
        await peer.start()
    await in_step.stays_active("A", seconds=25)
    assert await in_step.count("vanished") == 0
