"""Two bridges with a ledger each on one source, into one emulated AOM: by design (sidecars), and by mistake."""

import contextlib

import pytest
from audits import audited, audits, differences, listed
from http_server import serving_routes
from stand_in_peer import StandInPeer
from waiting import until
from webhooks import alert, resolved


class Pair:
    """Two bridges on one AOM; each with its own peer, or both with the same."""

    def __init__(self, folder, stack):
        self.folder, self.stack = folder, stack
        self.rigs = []

    async def add(self, peer, **options):
        """Start another bridge."""
        emulator = self.rigs[0].emulator if self.rigs else None
        ledger = self.folder / f"{len(self.rigs)}.db"
        rig = await self.stack.enter_async_context(audited(ledger, peer=peer, emulator=emulator, **options))
        self.rigs.append(rig)
        return rig


async def peer(stack, *names):
    """Give a peer that lists these alerts, with its address."""
    one = StandInPeer(*names)
    one.url = await stack.enter_async_context(serving_routes(*one.routes()))
    return one


@pytest.fixture
async def pair(tmp_path):
    """No bridge yet."""
    async with contextlib.AsyncExitStack() as stack:
        yield Pair(tmp_path, stack)


async def test_sidecars_that_ask_the_same_alertmanager_do_not_undo_each_other(pair):
    """Each ledger holds what fires; AOM has each alarm once, whichever bridge got the webhook."""
    alertmanager = await peer(pair.stack, "One", "Two")
    first, second = await pair.add(alertmanager), await pair.add(alertmanager)
    await first.send(alert("One"))
    await second.send(alert("Two"))
    await until(lambda: first.active() == ["One", "Two"])
    await until(lambda: first.count("reported") == second.count("reported") == 2)
    await audits(first, 4)
    await audits(second, 4)
    assert (first.active(), first.cleared()) == (["One", "Two"], [])
    assert await differences(first, "foreign") == await differences(second, "foreign") == 0
    alertmanager.names = {"Two"}
    await first.send(resolved(alert("One"), after=90_000))
    await until(lambda: first.active() == ["Two"])
    await until(lambda: second.count("reported") == 1)
    await audits(second, 3)
    assert (first.active(), first.cleared()) == (["Two"], ["One"])


async def test_bridges_that_share_a_source_by_mistake_leave_each_others_alarms(pair, capfd):
    """Each tells once that another bridge uses the source, and what to do."""
    first = await pair.add(await peer(pair.stack, "One"))
    second = await pair.add(await peer(pair.stack, "Two"))
    await first.send(alert("One"))
    await second.send(alert("Two"))
    await until(lambda: first.active() == ["One", "Two"])
    for rig in (first, second):
        await until(lambda rig=rig: _has_foreign(rig))
        await audits(rig, 3)
    assert (first.active(), first.cleared()) == (["One", "Two"], [])
    output = capfd.readouterr().out
    assert output.count("Is another bridge using the source? Fix: a source of its own for each bridge") == 2


async def _has_foreign(rig):
    return await differences(rig, "foreign") == 1


async def test_bridges_with_the_same_alert_by_mistake_come_to_rest(pair):
    """One cluster's alert resolves, the other's fires on: it ends open, and neither bridge works for ever."""
    mine, theirs = await peer(pair.stack, "Same"), await peer(pair.stack, "Same")
    first, second = await pair.add(mine), await pair.add(theirs)
    one = alert("Same")
    await first.send(one)
    await second.send(one)
    await until(lambda: first.active() == ["Same"])
    mine.names = set()
    await first.send(resolved(one, after=50_000))
    await until(lambda: _has_foreign(first), 60)
    await until(lambda: first.active() == ["Same"])
    cleared = len(first.cleared())
    await audits(first, 4)
    await audits(second, 4)
    assert len(first.cleared()) == cleared
    assert listed(first, "Same")
