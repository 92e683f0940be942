"""Retention: expires and purges alarms in small steps, between the transactions of webhooks.

In: the time. Out: open alarms that AOM has cleared by age are finished, and alarms that finished longer than `history`
ago are deleted. An alarm that is due must not be touched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bridge.clock import Millis
from bridge.ledger.alarm import Alarm
from bridge.ledger.core import Core
from bridge.ledger.operations import purge, search_fill
from bridge.log import logger

_PAUSE_SECONDS = 0.02
"""The pause between two steps of a purge, in which transactions of webhooks run."""

_log = logger("ledger")


class Retention:
    """Expires and purges alarms.

    Args:
        core: the ledger's.
        history: how long finished alarms are stored.
    """

    def __init__(self, core: Core, *, history: Millis) -> None:
        self._core = core
        self._history = history
        self._looked_at = 0
        self._searchable_to = 0

    async def step(self) -> Sequence[Alarm]:
        """Do one step; return the alarms that have expired.

        Raises:
            LedgerUnavailableError: the ledger cannot commit now.
        """
        now = self._core.clock()
        seqs, self._looked_at = await self._core.read(lambda c: purge.expirable(c, self._looked_at, now))
        expired = await self._expire(seqs, now) if seqs else []
        if self._core.database.is_shared:
            await self._make_searchable()
        before = now - self._history
        if await self._core.read(lambda c: purge.is_purgeable(c, before)):
            await self._purge(before)
        return expired

    async def _make_searchable(self) -> None:
        """Mend what a replica of an earlier version adds while replicas are replaced one by one."""
        seqs, last = await self._core.read(lambda c: search_fill.lacking(c, self._searchable_to))
        if seqs:
            await self._core.write(lambda c: search_fill.fill(c, seqs))
        self._searchable_to = last

    async def _purge(self, before: Millis) -> None:
        while (changes := await self._core.write(lambda c: purge.purge(c, before))).states:
            self._core.count(changes)
            await asyncio.sleep(_PAUSE_SECONDS)
        has_more = True
        while has_more:
            has_more = await self._core.write(self._core.database.trim)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _expire(self, seqs: Sequence[int], now: Millis) -> Sequence[Alarm]:
        expired, changes = await self._core.write(lambda c: purge.expire(c, seqs, now))
        self._core.count(changes)
        for alarm in expired:
            _log.warning(
                "alarm expired: its last firing is so old that AOM has cleared it by age",
                id=alarm.id,
                target=alarm.target,
                fingerprint=alarm.fingerprint,
            )
        return expired
