"""Group commit: notifications that wait at the same time share one transaction, and one fsync.

In: the parcel of one notification. Out: their outcomes after the commit, or an error and nothing of it was kept.
When a shared transaction fails, each of its notifications gets one of its own, so that one failing notification never
fails its neighbours; when the database itself does not serve, all are told so at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sqlalchemy.exc import OperationalError

from bridge.errors import LedgerFullError, LedgerUnavailableError
from bridge.ledger.alarm import Outcome
from bridge.ledger.parcel import Parcel
from bridge.log import logger

Result = list[Outcome] | LedgerFullError
Commit = Callable[[list[Parcel]], Awaitable[list[Result]]]
_LARGEST_GROUP = 10_000
"""Alerts in one shared transaction; a single notification may be larger."""

_log = logger("ledger")


class AbandonedError(LedgerUnavailableError):
    """The sender had gone before the transaction began; it will send again what is still true."""


class _Waiting:
    """One notification on its way into a transaction."""

    def __init__(self, parcel: Parcel, is_wanted: Callable[[], bool]) -> None:
        self.parcel = parcel
        self.is_wanted = is_wanted
        self.done: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()

    def settle(self, result: list[Outcome] | Exception) -> None:
        if self.done.done():
            return
        if isinstance(result, Exception):
            self.done.set_exception(result)
        else:
            self.done.set_result(result)


class GroupCommit:
    """The queue before the transactions.

    Args:
        commit: takes in these notifications in one transaction; raises when nothing of them was kept.
    """

    def __init__(self, commit: Commit) -> None:
        self._commit = commit
        self._waiting: list[_Waiting] = []
        self._arrived = asyncio.Event()
        self._closing = False

    async def start(self) -> None:
        """Start committing."""
        self._task = asyncio.create_task(self._run(), name="ledger-commit")

    async def stop(self) -> None:
        """Finish what was put; puts from now on are refused."""
        self._closing = True
        self._arrived.set()
        await self._task

    async def put(self, parcel: Parcel, is_wanted: Callable[[], bool]) -> list[Outcome]:
        """Wait for the commit of one notification; as `Ledger.put`."""
        if self._closing:
            raise LedgerUnavailableError("the bridge is shutting down")
        waiting = _Waiting(parcel, is_wanted)
        self._waiting.append(waiting)
        self._arrived.set()
        return await waiting.done

    async def _run(self) -> None:
        while not (self._closing and not self._waiting):
            await self._arrived.wait()
            if not self._closing:
                self._arrived.clear()
            while self._waiting:
                await self._group(self._next_group())

    def _next_group(self) -> list[_Waiting]:
        size, count = 0, 0
        for waiting in self._waiting:
            size += len(waiting.parcel.entries)
            if count and size > _LARGEST_GROUP:
                break
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group

    async def _group(self, group: list[_Waiting]) -> None:
        wanted = group
        try:
            wanted = _still_wanted(group)
            if wanted:
                await self._transaction(wanted)
        except Exception as error:  # noqa: BLE001 - whatever it was, every sender must get its answer
            await self._one_by_one(wanted, error)

    async def _one_by_one(self, group: list[_Waiting], error: Exception) -> None:
        """Give each notification a transaction of its own, unless the database itself does not serve."""
        if len(group) == 1 or isinstance(error.__cause__, OperationalError):
            self._refuse(group, error)
            return
        for waiting in _still_wanted(group):
            try:
                await self._transaction([waiting])
            except Exception as own:  # noqa: BLE001 - as above
                self._refuse([waiting], own)

    @staticmethod
    def _refuse(group: list[_Waiting], error: Exception) -> None:
        _log.error("the ledger cannot commit", error=str(error), notifications=len(group))
        known = isinstance(error, LedgerUnavailableError)
        for waiting in group:
            waiting.settle(error if known else LedgerUnavailableError(f"the ledger failed: {type(error).__name__}"))

    async def _transaction(self, group: list[_Waiting]) -> None:
        results = await self._commit([waiting.parcel for waiting in group])
        for waiting, result in zip(group, results, strict=True):
            waiting.settle(result)


def _still_wanted(group: list[_Waiting]) -> list[_Waiting]:
    wanted = []
    for waiting in group:
        if waiting.is_wanted():
            wanted.append(waiting)
        else:
            waiting.settle(AbandonedError("the sender has gone"))
    return wanted
