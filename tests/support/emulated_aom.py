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


def by_name(events):
    """Give events by their name."""
    return {event["metadata"]["event_name"]: event for event in events}


def names(aom):
    """Give the names of all that AOM holds or held."""
    snapshot = aom.snapshot()
    return {event["metadata"]["event_name"] for event in snapshot["active"] + snapshot["history"]}
