"""Group commit: notifications that wait at the same time share one transaction, and one fsync.

In: the parcel of one notification. Out: their outcomes after the commit, or an error and nothing of it was kept.
When a shared transaction fails, each of its notifications gets one of its own, so that one failing notification never
fails its neighbours; when the database itself does not serve, all are told so at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from sqlalchemy.exc import OperationalError

from bridge.errors import LedgerFullError, LedgerUnavailableError
from bridge.ledger.alarm import Key, Outcome
from bridge.ledger.parcel import Parcel
from bridge.log import logger

Result = list[Outcome] | LedgerFullError
Commit = Callable[[list[Parcel]], Awaitable[list[Result]]]
_LARGEST_GROUP = 10_000
"""Alerts in one shared transaction; a single notification may be larger."""

_WORTH_ANOTHER = 20
"""Alerts for which a second transaction begins while one is under way: for fewer it costs more than it gains."""

_log = logger("ledger")


class AbandonedError(LedgerUnavailableError):
    """The sender had gone before the transaction began; it will send again what is still true."""


class _Waiting:
    """One notification on its way into a transaction."""

    def __init__(self, parcel: Parcel, is_wanted: Callable[[], bool]) -> None:
        self.parcel = parcel
        self.is_wanted = is_wanted
        self.size = len(parcel.entries)
        self.keys = {entry.key for entry in parcel.entries}
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

    Two of them can be under way, so that whoever runs them need not wait for us in between. No alert is in both, and
    there is room for all of both: whatever of them fails and is tried again, the arrivals of an alert keep their order.

    Args:
        commit: takes in these notifications in one transaction; raises when nothing of them was kept.
        room: says how many alarms may still be added.
        can_overlap: says whether one transaction can be on its way while another runs.
    """

    def __init__(self, commit: Commit, room: Callable[[], int], can_overlap: Callable[[], bool]) -> None:
        self._commit = commit
        self._room = room
        self._can_overlap = can_overlap
        self._waiting: deque[_Waiting] = deque()
        self._size = 0
        self._is_called = False
        self._under_way: dict[asyncio.Task[None], list[_Waiting]] = {}
        self._keys: set[Key] = set()
        self._closing = False

    async def stop(self) -> None:
        """Finish what was put; puts from now on are refused."""
        self._closing = True
        self._go()
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def put(self, parcel: Parcel, is_wanted: Callable[[], bool]) -> list[Outcome]:
        """Wait for the commit of one notification; as `Ledger.put`."""
        if self._closing:
            raise LedgerUnavailableError("the bridge is shutting down")
        waiting = _Waiting(parcel, is_wanted)
        self._waiting.append(waiting)
        self._size += waiting.size
        if not self._is_called:
            self._is_called = True
            asyncio.get_running_loop().call_soon(self._go)
        return await waiting.done

    def _go(self) -> None:
        """Begin as many transactions as can be under way."""
        self._is_called = False
        while self._waiting and self._is_free():
            group = self._next_group()
            if not group:
                return
            wanted = _still_wanted(group)
            if wanted:
                self._begin(wanted)

    def _is_free(self) -> bool:
        """Say whether one more transaction may begin."""
        if not self._under_way:
            return True
        return self._can_overlap() and len(self._under_way) == 1 and self._size >= _WORTH_ANOTHER

    def _next_group(self) -> list[_Waiting]:
        """Take what can go now: the first ones that wait, and nothing past one that has to wait."""
        group: list[_Waiting] = []
        size, most = 0, min(_LARGEST_GROUP, self._room_left())
        while self._waiting:
            first = self._waiting[0]
            is_alone = not group and not self._under_way
            if not is_alone and (size + first.size > most or not self._keys.isdisjoint(first.keys)):
                break
            group.append(self._waiting.popleft())
            size += first.size
        self._size -= size
        return group

    def _room_left(self) -> int:
        """Return how many alerts may go beside those under way, each of which may add an alarm."""
        if not self._under_way:
            return _LARGEST_GROUP
        return self._room() - sum(waiting.size for group in self._under_way.values() for waiting in group)

    def _begin(self, group: list[_Waiting]) -> None:
        task = asyncio.create_task(self._transaction(group), name="ledger-commit")
        self._under_way[task] = group
        self._keys.update(*(waiting.keys for waiting in group))
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self._keys = {key for group in self._under_way.values() for waiting in group for key in waiting.keys}
        self._go()

    async def _transaction(self, group: list[_Waiting]) -> None:
        try:
            await self._attempt(group)
        except Exception as error:  # noqa: BLE001 - whatever it was, every sender must get its answer
            await self._one_by_one(group, error)

    async def _one_by_one(self, group: list[_Waiting], error: Exception) -> None:
        """Give each notification a transaction of its own, unless the database itself does not serve."""
        if len(group) == 1 or isinstance(error.__cause__, OperationalError):
            self._refuse(group, error)
            return
        for waiting in _still_wanted(group):
            try:
                await self._attempt([waiting])
            except Exception as own:  # noqa: BLE001 - as above
                self._refuse([waiting], own)

    @staticmethod
    def _refuse(group: list[_Waiting], error: Exception) -> None:
        _log.error("the ledger cannot commit", error=str(error), notifications=len(group))
        known = isinstance(error, LedgerUnavailableError)
        for waiting in group:
            waiting.settle(error if known else LedgerUnavailableError(f"the ledger failed: {type(error).__name__}"))

    async def _attempt(self, group: list[_Waiting]) -> None:
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
