"""The emulated AOM of the demo: what it holds, and the faults that the acts arm.

In: orders of the acts. Out: a running emulator on loopback, and its alarms. Faults are ordered over HTTP, in the
same way as people order them.
"""

from __future__ import annotations

from typing import Any

import aiohttp

from bridge.emulator import Emulator, Options
from bridge.errors import BridgeError

HOST = "127.0.0.1"
_PORT = 9877


class EmulatedAom:
    """One emulated AOM; use `start` first."""

    def __init__(self) -> None:
        self._emulator = Emulator(Options(host=HOST, port=_PORT))

    @property
    def url(self) -> str:
        """Its address; valid after `start`."""
        return self._emulator.url

    async def start(self) -> None:
        """Listen at the usual port, or at any free one.

        Raises:
            BridgeError: no port is free.
        """
        for port in (_PORT, 0):
            self._emulator = Emulator(Options(host=HOST, port=port))
            try:
                await self._emulator.start()
            except OSError:
                continue
            return
        raise BridgeError("no port on loopback is free for the emulator")

    async def stop(self) -> None:
        """Stop listening."""
        await self._emulator.stop()

    def active(self) -> list[dict[str, Any]]:
        """Return its active alarms, the oldest first, each as its list shows it."""
        active: list[dict[str, Any]] = self._emulator.snapshot()["active"]
        return active

    def fingerprints(self, *sources: str) -> list[str]:
        """Return the fingerprints of the active alarms of these sources, sorted; a duplicate is there twice."""
        active = [event["metadata"] for event in self.active()]
        return sorted(one["alert_fingerprint"] for one in active if one["alert_source"] in sources)

    def count(self, name: str) -> int:
        """Return how many requests of a kind there were, such as ``report``; those that still wait count as well."""
        return int(self._emulator.snapshot(0)["counts"][name])

    @property
    def violations(self) -> int:
        """How many events did not keep AOM's limits."""
        return int(self._emulator.snapshot(0)["violations_total"])

    async def arm(self, **order: object) -> None:
        """Arm a fault, such as ``status=503``."""
        async with aiohttp.ClientSession() as session:
            await (await session.post(f"{self.url}/emulator/faults", json=order, raise_for_status=True)).read()

    async def disarm(self) -> None:
        """Remove every fault."""
        async with aiohttp.ClientSession() as session:
            await (await session.delete(f"{self.url}/emulator/faults", raise_for_status=True)).read()
