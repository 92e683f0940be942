"""Group commit: notifications that wait at the same time share one transaction, and one fsync.

In: one `IncomingNotification`. Out: its receipt after the commit, or an error, and then nothing of it was stored. The
transaction ensures that one failing notification does not fail the others; when the database is unavailable, all of
them get that error. This module must not know what a transaction does.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from bridge.errors import BridgeError, LedgerUnavailableError
from bridge.ledger.alarm import PutReceipt
from bridge.ledger.incoming import IncomingNotification
from bridge.ledger.writer.client import WriterError
from bridge.log import ThrottledLine, logger

Result = PutReceipt | BridgeError
Commit = Callable[[list[IncomingNotification]], Awaitable[list[Result]]]
_MAX_GROUP_ROWS = 10_000
"""The maximum number of alerts in one shared transaction; a single notification may have more."""

_WORTH_ANOTHER = 12
"""The minimum number of rows for a second transaction beside a running one: for fewer it costs more than it gains."""

MAX_PUT_SECONDS = 8.0
"""The maximum time from the call of a put to its answer."""

_COMMIT_SECONDS = 1.0
"""The part of it reserved for the commit itself: a notification that is older than the rest is not committed."""

_REST_SECONDS = 3.0
"""The same for a notification that is larger than a group, so that the puts behind it have time left, too."""

_log = logger("ledger")


class AbandonedError(LedgerUnavailableError):
    """The client disconnected before the transaction began; it will send again."""


class _Waiting:
    """One notification that waits for its transaction."""

    def __init__(self, notification: IncomingNotification, is_wanted: Callable[[], bool]) -> None:
        self.notification = notification
        self.is_wanted = is_wanted
        self.done: asyncio.Future[PutReceipt] = asyncio.get_running_loop().create_future()

    def finish(self, result: Result) -> None:
        if self.done.done():
            return
        if isinstance(result, Exception):
            self.done.set_exception(result)
        else:
            self.done.set_result(result)


class GroupCommit:
    """The queue before the transactions.

    Two transactions can be in progress, so that the writer never idles between them. They run in order, and a second
    one begins only if the ledger has capacity for all alerts of both.

    Args:
        commit: takes in these notifications in one transaction; raises if nothing was stored.
        remaining: returns how many alarms may still be added.
        can_begin: says whether a transaction can begin now; the owner calls `begin` when it can again.
        can_overlap: whether a second transaction can be sent while one runs.
    """

    def __init__(
        self, commit: Commit, remaining: Callable[[], int], can_begin: Callable[[], bool], *, can_overlap: bool
    ) -> None:
        self._commit = commit
        self._remaining = remaining
        self._can_begin = can_begin
        self._can_overlap = can_overlap
        self._waiting: OrderedDict[_Waiting, None] = OrderedDict()
        self._rows = 0
        self._is_scheduled = False
        self._under_way: dict[asyncio.Task[None], list[_Waiting]] = {}
        self._closing = False
        self._failed = ThrottledLine(partial(_log.error, "a transaction of the ledger failed"))

    async def stop(self) -> None:
        """Finish the puts in progress; later puts are refused."""
        self._closing = True
        self.begin()
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def put(self, notification: IncomingNotification, is_wanted: Callable[[], bool]) -> PutReceipt:
        """Wait for the commit of one notification; as `Ledger.put`."""
        if self._closing:
            raise LedgerUnavailableError("the bridge is shutting down")
        is_large = notification.rows > _MAX_GROUP_ROWS
        notification.expires_at = time.monotonic() + MAX_PUT_SECONDS - (_REST_SECONDS if is_large else _COMMIT_SECONDS)
        waiting = _Waiting(notification, is_wanted)
        self._waiting[waiting] = None
        self._rows += notification.rows
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self.begin)
        try:
            async with asyncio.timeout(MAX_PUT_SECONDS):
                return await waiting.done
        except TimeoutError:
            raise LedgerUnavailableError(f"the ledger did not commit within {MAX_PUT_SECONDS:.0f} s") from None
        finally:
            self._forget(waiting)

    def begin(self) -> None:
        """Begin as many transactions as can be in progress."""
        self._is_scheduled = False
        while self._waiting and self._is_free():
            group = self._next_group()
            if not group:
                return
            wanted = _still_wanted(group)
            if wanted:
                self._begin_one(wanted)

    def _is_free(self) -> bool:
        """Say whether one more transaction may begin."""
        if not self._can_begin():
            return False
        if not self._under_way:
            return True
        return self._can_overlap and len(self._under_way) == 1 and self._rows >= _WORTH_ANOTHER

    def _forget(self, waiting: _Waiting) -> None:
        """Remove a notification from the queue, if it is still there."""
        if waiting in self._waiting:
            del self._waiting[waiting]
            self._rows -= waiting.notification.rows

    def _next_group(self) -> list[_Waiting]:
        """Take the notifications for the next transaction from the queue, in order, up to the first that must wait."""
        group: list[_Waiting] = []
        left, share = min(_MAX_GROUP_ROWS, self._rows_left()), self._share()
        for waiting in self._waiting:
            left -= waiting.notification.max_alerts
            if (left < 0 and (group or self._under_way)) or (share <= 0 and group):
                break
            group.append(waiting)
            share -= waiting.notification.rows
        for waiting in group:
            self._forget(waiting)
        return group

    def _share(self) -> int:
        """Return the maximum number of rows for the next transaction: half, so that a second one can be prepared."""
        if not self._can_overlap:
            return self._rows
        under_way = sum(waiting.notification.rows for group in self._under_way.values() for waiting in group)
        return max(_WORTH_ANOTHER, (self._rows + under_way) // 2)

    def _rows_left(self) -> int:
        """Return how many alerts the next transaction may have; each alert in progress may add an alarm, too."""
        if not self._under_way:
            return _MAX_GROUP_ROWS
        return self._remaining() - sum(
            waiting.notification.max_alerts for group in self._under_way.values() for waiting in group
        )

    def _begin_one(self, group: list[_Waiting]) -> None:
        task = asyncio.create_task(self._transaction(group), name="ledger-commit")
        self._under_way[task] = group
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self.begin()

    async def _transaction(self, group: list[_Waiting]) -> None:
        try:
            results: Sequence[Result] = await self._commit([waiting.notification for waiting in group])
        except Exception as error:  # noqa: BLE001 - each sender gets an answer, whatever the error is
            results = [_refusal(error)] * len(group)
            if not isinstance(error, LedgerUnavailableError):  # those are logged where webhooks are answered
                self._failed.add(error=str(results[0]), notifications=len(group))
        for waiting, result in zip(group, results, strict=True):
            waiting.finish(result)


def _refusal(error: Exception) -> LedgerUnavailableError:
    if isinstance(error, LedgerUnavailableError):
        return error
    name = str(error) if isinstance(error, WriterError) else type(error).__name__
    return LedgerUnavailableError(f"the ledger failed: {name}")


def _still_wanted(group: list[_Waiting]) -> list[_Waiting]:
    wanted = []
    for waiting in group:
        if waiting.is_wanted():
            wanted.append(waiting)
        else:
            waiting.finish(AbandonedError("the client disconnected before the commit; nothing was stored"))
    return wanted
