"""The emulated AOM beside a bridge that runs as a process: its faults, and what it holds."""

from contextlib import asynccontextmanager

import aiohttp

from bridge.emulator import Emulator, Options


@asynccontextmanager
async def cloud(**options):
    """Run the emulated AOM."""
    emulator = Emulator(Options(port=0, **options))
    await emulator.start()
    try:
        yield emulator
    finally:
        await emulator.stop()


async def arm(emulator, *faults):
    """Order faults."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{emulator.url}/emulator/faults", json=list(faults)) as response,
    ):
        assert response.status == 200


async def disarm(emulator):
    """Remove all faults."""
    async with aiohttp.ClientSession() as session, session.delete(f"{emulator.url}/emulator/faults"):
        pass


async def put_in(emulator, *events, project="p1", headers=None):
    """Put in alarms of another program, past all faults; give them as a list shows them."""
    url = f"{emulator.url}/emulator/alarms/{project}"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json={"events": events}, headers=headers) as response,
    ):
        assert response.status == 200, await response.text()
        return await response.json()


async def clear_by_hand(emulator, project="p1", **named):
    """Clear active alarms as in the console, by metadata or `id`; give how many."""
    url = f"{emulator.url}/emulator/alarms/{project}"
    async with aiohttp.ClientSession() as session, session.delete(url, params=named) as response:
        assert response.status == 200, await response.text()
        return (await response.json())["cleared"]


def by_name(events):
    """Give events by their name."""
    return {event["metadata"]["event_name"]: event for event in events}


def names(aom):
    """Give the names of all that AOM holds or held."""
    snapshot = aom.snapshot()
    return {event["metadata"]["event_name"] for event in snapshot["active"] + snapshot["history"]}
