"""The ledger as heartbeats see it: when each switch has shown a sign, and the open alarms that are signs by now.

In: signs that Alertmanager's API has shown, and switches to forget; those of webhooks come by a put. Out: `SwitchRow`s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import partial

from bridge.clock import Millis
from bridge.ledger.core import Core
from bridge.ledger.operations import heartbeats
from bridge.ledger.operations.heartbeats import SwitchRow
from bridge.notification import Labels, Sign


class Heartbeats:
    """Reads, notes and forgets.

    Args:
        core: the ledger's.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    async def switches(self) -> list[SwitchRow]:
        """Return every switch that has shown a sign."""
        return await self._core.read(heartbeats.switches)

    async def note(self, signs: Iterable[tuple[Sign, Millis]]) -> None:
        """Note signs that Alertmanager's API has shown, with the time of each."""
        await self._core.write(partial(heartbeats.note, signs=list(signs)))

    async def forget(self, fingerprints: Collection[str]) -> None:
        """Forget switches, by the fingerprints of their alarms."""
        await self._core.write(partial(heartbeats.forget, fingerprints=fingerprints))

    async def open_labels(self, source: str, after: int, limit: int) -> list[tuple[int, Labels]]:
        """Return a page of the open alarms of a source after a number: number and labels of each."""
        return await self._core.read(lambda c: heartbeats.open_labels(c, source, after, limit))
