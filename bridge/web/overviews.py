"""Reads what the status page and ``/api/v1/status`` show, once for all who look at the same time.

In: the ledger's records, what this replica has seen. Out: an `Overview` that is at most some seconds old. While the
ledger cannot be read, what the replica has seen is shown without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from bridge.clock import SECOND, Clock, Millis
from bridge.errors import LedgerUnavailableError
from bridge.ledger import AlarmRecords, LedgerStatus
from bridge.web.overview import Overview, Sights, overview
from bridge.web.status import Trouble

_MAX_AGE: Millis = 2 * SECOND


class Overviews:
    """Reads overviews.

    Args:
        records: the ledger's.
        names: returns the names of the targets and the sources.
        sights: returns what this replica has seen.
        clock: the time.
    """

    def __init__(
        self,
        records: AlarmRecords,
        names: Callable[[], tuple[Sequence[str], Sequence[str]]],
        sights: Callable[[], Sights],
        clock: Clock,
    ) -> None:
        self._records = records
        self._names = names
        self._sights = sights
        self._clock = clock
        self._lock = asyncio.Lock()
        self._status: LedgerStatus | None = None

    async def read(self) -> Overview:
        """Return the overview now."""
        try:
            status = await self._ledger_status()
        except LedgerUnavailableError as error:
            trouble = Trouble("status_unavailable", {"why": str(error)}, "bad", "AomBridgeWebhooksFailing")
            return overview(LedgerStatus(self._clock(), {}, {}, []), self._sights(), [trouble])
        return overview(status, self._sights())

    async def _ledger_status(self) -> LedgerStatus:
        """Return what the ledger says; those who ask at the same time share one read."""
        async with self._lock:
            if self._status is None or not 0 <= self._clock() - self._status.at < _MAX_AGE:
                self._status = await self._records.status(*self._names())
            return self._status
