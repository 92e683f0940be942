"""The loop budget: no caller blocks the event loop, and callers continue in their order."""

import asyncio

from waiting import PATIENCE

from bridge.receiving.loop_budget import LoopBudget


async def test_a_round_has_so_much_work_and_the_rest_waits_in_its_order():
    """Work beyond the measure of a round waits for the next one, first come first served; a large piece goes alone."""
    turns, done, rounds = LoopBudget(2), [], [0]

    async def work(name, size):
        await turns.take(size)
        done.append((name, rounds[0]))

    async def count():
        while len(done) < 5:
            await asyncio.sleep(0)
            rounds[0] += 1

    counting = asyncio.create_task(count())
    await asyncio.gather(*(work(name, size) for name, size in [("a", 1), ("b", 1), ("c", 9), ("d", 1), ("e", 1)]))
    await counting
    assert [name for name, _ in done] == ["a", "b", "c", "d", "e"]
    when = dict(done)
    assert when["a"] == when["b"] < when["c"] < when["d"] == when["e"]


async def test_who_gave_up_takes_nobody_s_turn():
    """A request that was cancelled while it waited is left out, and those behind it go on."""
    turns = LoopBudget(1)
    first, second, third = (asyncio.create_task(turns.take(1)) for _ in range(3))
    await asyncio.sleep(0)
    second.cancel()
    async with asyncio.timeout(PATIENCE):
        await first
        await third
    assert second.cancelled()
