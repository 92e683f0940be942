"""Retention: expires and purges alarms step by step, between the webhooks' transactions.

In: the ledger's reads and writes. Out: open alarms that AOM has cleared by age are finished, and finished ones that are
older than `history` are deleted. What is due and what is in doubt is never touched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from sqlalchemy.engine import Connection

from bridge.clock import Clock, Millis
from bridge.ledger.alarm import Alarm
from bridge.ledger.counts import AlarmCounts
from bridge.ledger.operations import purge
from bridge.log import logger

T = TypeVar("T")

_PAUSE_SECONDS = 0.02
"""Between two steps of a purge: the webhooks' transactions come first."""

_log = logger("ledger")


class _Run(Protocol):
    """Runs a step in a transaction."""

    def __call__(self, step: Callable[[Connection], T], /) -> Awaitable[T]: ...


class Retention:
    """Expires and purges.

    Args:
        read: runs one read.
        write: runs one transaction.
        trim: gives some free space back; says whether more is to give.
        history: for how long finished alarms are kept.
        clock: the time.
        count: takes the changes of the ledger's counts.
    """

    def __init__(
        self,
        read: _Run,
        write: _Run,
        trim: Callable[[Connection], bool],
        *,
        history: Millis,
        clock: Clock,
        count: Callable[[AlarmCounts], None],
    ) -> None:
        self._read = read
        self._write = write
        self._trim = trim
        self._history = history
        self._clock = clock
        self._count = count
        self._looked_at = 0

    async def step(self) -> Sequence[Alarm]:
        """Do one step; return the alarms that have expired.

        Raises:
            LedgerUnavailableError: the ledger cannot commit now.
        """
        now = self._clock()
        seqs, self._looked_at = await self._read(lambda c: purge.expirable(c, self._looked_at, now))
        expired = await self._expire(seqs, now) if seqs else []
        before = now - self._history
        if await self._read(lambda c: purge.is_purgeable(c, before)):
            await self._purge(before)
        return expired

    async def _purge(self, before: Millis) -> None:
        while (changes := await self._write(lambda c: purge.purge(c, before))).states:
            self._count(changes)
            await asyncio.sleep(_PAUSE_SECONDS)
        has_more = True
        while has_more:
            has_more = await self._write(self._trim)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _expire(self, seqs: Sequence[int], now: Millis) -> Sequence[Alarm]:
        expired, changes = await self._write(lambda c: purge.expire(c, seqs, now))
        self._count(changes)
        for alarm in expired:
            _log.warning(
                "alarm expired: no firing of it came any more, and AOM has cleared it by age",
                id=alarm.id,
                target=alarm.target,
                fingerprint=alarm.fingerprint,
            )
        return expired
