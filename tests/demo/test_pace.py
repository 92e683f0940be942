"""The pace of the demo: pauses that are held, skipped and shortened."""

import asyncio

from bridge.demo.pace import Pace

HOUR = 3_600.0


async def is_waiting(pause):
    """Say whether a pause lasts after whatever could end it has had its turn."""
    for _ in range(3):
        await asyncio.sleep(0)
    return not pause.done()


async def test_without_a_speed_there_are_no_pauses():
    """Where nothing is to be read, the acts do not wait."""
    await Pace(None).pause(HOUR)


async def test_the_rest_of_an_act_is_played_without_pauses():
    """A skip ends the pause and those that follow, until the next act begins."""
    pace = Pace(1.0)
    pause = asyncio.create_task(pace.pause(HOUR))
    assert await is_waiting(pause)
    pace.skip()
    await pause
    await pace.pause(HOUR)
    pace.begin_act()
    later = asyncio.create_task(pace.pause(HOUR))
    assert await is_waiting(later)
    later.cancel()


async def test_a_held_pause_lasts_until_it_is_resumed():
    """While the demo is held, even the shortest pause does not end."""
    pace = Pace(16.0)
    pace.hold()
    pause = asyncio.create_task(pace.pause(1e-6))
    assert await is_waiting(pause)
    pace.hold()
    await pause


async def test_a_pause_that_lasts_is_shortened():
    """A change of the speed counts for the pause that lasts now, and has its limits."""
    pace = Pace(1.0)
    for _ in range(20):
        pace.slower()
    slowest = pace.speed
    pause = asyncio.create_task(pace.pause(slowest / 10))
    assert await is_waiting(pause)
    for _ in range(40):
        pace.faster()
    await pause
    assert 0 < slowest < 1 < pace.speed < 100
