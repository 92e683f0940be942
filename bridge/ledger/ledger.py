"""The ledger: the only meeting point of the two halves of the bridge.

In: `put` from the webhook side, `claim` and `settle` from the dispatcher's. Out: outcomes, claims, counts. Promises:

- `put` returns after the commit (fsynced), or raises and has kept nothing of that notification;
- puts that wait at the same time share one transaction; when it fails, each of them gets one of its own, so that one
  failing notification never fails its neighbours; when the database itself does not serve, all are told so at once;
- arrivals are applied in the order in which `put` was called;
- one holder per alarm at a time, and per alert strictly the oldest alarm first;
- counts are kept, not counted.

All writes run on one thread, one transaction after the other; reads have a thread of their own.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from bridge.clock import Clock, Millis
from bridge.errors import LedgerStartError, LedgerUnavailableError
from bridge.ledger import read, work
from bridge.ledger.alarm import FINISHED, Action, Alarm, Arrival, Claim, Outcome, State
from bridge.ledger.engine import DatabaseFile, FileLock, create_engine, database_path, migrate
from bridge.ledger.put import Changes, Put, PutResult
from bridge.ledger.schema import counters
from bridge.ledger.settings import LedgerSettings
from bridge.ledger.tables import Codec
from bridge.ledger.work import Settlement
from bridge.log import logger

T = TypeVar("T")
_LARGEST_GROUP = 10_000
"""Alerts in one shared transaction; a single notification may be larger."""

_log = logger("ledger")


class AbandonedError(LedgerUnavailableError):
    """The sender had gone before the transaction began; it will send again what is still true."""


class _Waiting:
    """One notification on its way into a transaction."""

    def __init__(self, arrivals: Sequence[Arrival], is_wanted: Callable[[], bool]) -> None:
        self.arrivals = arrivals
        self.is_wanted = is_wanted
        self.done: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()

    def settle(self, result: list[Outcome] | Exception) -> None:
        if self.done.done():
            return
        if isinstance(result, Exception):
            self.done.set_exception(result)
        else:
            self.done.set_result(result)


class Ledger:
    """Keeps every alarm durably.

    Args:
        settings: the `store:` section.
        reassert_after: for each target, after how long a repeat is reported again.
        clock: the time.
    """

    def __init__(self, settings: LedgerSettings, reassert_after: Mapping[str, Millis], clock: Clock) -> None:
        self._settings = settings
        self._reassert_after = reassert_after
        self._clock = clock
        self._codec = Codec()
        self._waiting: list[_Waiting] = []
        self._arrived = asyncio.Event()
        self._closing = False
        self._counts: Counter[tuple[State, str]] = Counter()
        self._listeners: list[Callable[[], None]] = []

    async def open(self) -> None:
        """Lock, migrate, and make due again what an earlier process held.

        Raises:
            LedgerStartError: the ledger cannot be used; the text names the fix.
        """
        path = database_path(self._settings.url)
        self._file = DatabaseFile(path)
        self._lock = FileLock(path)
        self._lock.take()
        self._writer = ThreadPoolExecutor(1, "ledger-write")
        self._reader = ThreadPoolExecutor(1, "ledger-read")
        self._engine: Engine = create_engine(self._settings.url)
        try:
            await self._on(self._writer, lambda: migrate(self._engine))
            self._file.remember()
            await self.write(work.give_back)
            self._counts.update(await self.read(read.counts))
            self._check_targets()
        except BaseException:
            self._dispose()
            raise
        self._committer = asyncio.create_task(self._commit_groups(), name="ledger-commit")

    async def close(self) -> None:
        """Finish what was put, then close; puts from now on are refused."""
        self._closing = True
        self._arrived.set()
        await self._committer
        await asyncio.to_thread(self._dispose)

    def _check_targets(self) -> None:
        """Refuse to start without a target that still has alarms: they, and all behind them, would wait for ever."""
        for (state, target), count in self._counts.items():
            if state not in FINISHED and target not in self._reassert_after:
                text = f"the ledger holds {count} alarm(s) {state} of target {target!r}, which is not configured"
                raise LedgerStartError(f"{text}. Fix: put the target back until they are cleared.")

    def _dispose(self) -> None:
        self._writer.shutdown()
        self._reader.shutdown()
        self._engine.dispose()
        self._lock.release()

    def on_due(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` in the event loop after each commit that may have made something due."""
        self._listeners.append(listener)

    async def put(self, arrivals: Sequence[Arrival], is_wanted: Callable[[], bool] = lambda: True) -> list[Outcome]:
        """Keep the alerts of one notification; the outcomes are in its order.

        Args:
            arrivals: the alerts.
            is_wanted: asked just before the transaction; False leaves the notification out.

        Raises:
            LedgerFullError: it would have added an alarm to a full ledger.
            AbandonedError: it was no longer wanted.
            LedgerUnavailableError: the transaction failed, or the ledger is closing.
        """
        if self._closing:
            raise LedgerUnavailableError("the bridge is shutting down")
        waiting = _Waiting(arrivals, is_wanted)
        self._waiting.append(waiting)
        self._arrived.set()
        return await waiting.done

    async def claim(self, target: str, action: Action, holder: str, limit: int) -> list[Claim]:
        """Take up to ``limit`` alarms of a target that are due for an action, until the lease ends."""
        now = self._clock()
        return await self.write(
            lambda connection: work.claim(
                connection, target, action, holder=holder, lease=self._settings.lease, limit=limit, now=now
            )
        )

    async def settle(self, settlements: Sequence[Settlement]) -> list[Alarm]:
        """Apply what became of claimed alarms; return those whose claim still held, as they are now."""
        changed, changes = await self.write(lambda connection: work.settle(connection, settlements))
        self._count(changes)
        if any(alarm.due_at is not None for alarm in changed):
            self._wake()
        return changed

    async def give_back(self, holder: str) -> None:
        """Make due again what a worker that has stopped still holds."""
        await self.write(lambda connection: work.give_back(connection, holder))

    async def probe(self) -> None:
        """Write for real.

        Raises:
            LedgerUnavailableError: the ledger cannot commit now.
        """
        mark = sa.update(counters).where(counters.c.name == "probed_at").values(value=self._clock())
        await self.write(lambda connection: connection.execute(mark))

    def counts(self) -> Mapping[tuple[State, str], int]:
        """Return how many alarms there are in each (state, target)."""
        return self._counts

    async def waiting_since(self, targets: Iterable[str]) -> dict[str, Millis | None]:
        """Return since when the longest waiting alarm of each target is due."""
        names = tuple(targets)
        return await self.read(lambda connection: {name: read.waiting_since(connection, name) for name in names})

    async def next_due(self, target: str, action: Action) -> Millis | None:
        """Return when the next alarm of a target comes due for an action."""
        return await self.read(lambda connection: read.next_due(connection, target, action))

    async def write(self, step: Callable[[Connection], T]) -> T:
        """Run one transaction.

        Raises:
            LedgerUnavailableError: it failed, and nothing of it was kept.
        """

        def transaction() -> T:
            with self._engine.begin() as connection:
                result = step(connection)
                self._file.check()
                return result

        return await self._guarded(self._on(self._writer, transaction))

    async def read(self, step: Callable[[Connection], T]) -> T:
        """Run one read beside the writes.

        Raises:
            LedgerUnavailableError: the database does not answer.
        """

        def transaction() -> T:
            with self._engine.connect().execution_options(read_only=True) as connection:
                return step(connection)

        return await self._guarded(self._on(self._reader, transaction))

    @staticmethod
    async def _guarded(result: Awaitable[T]) -> T:
        try:
            return await result
        except SQLAlchemyError as error:
            reason = getattr(error, "orig", None) or error
            raise LedgerUnavailableError(f"the ledger cannot be used now: {reason}") from error

    @staticmethod
    async def _on(executor: ThreadPoolExecutor, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, call)

    async def _commit_groups(self) -> None:
        while not (self._closing and not self._waiting):
            await self._arrived.wait()
            if not self._closing:
                self._arrived.clear()
            while self._waiting:
                await self._commit_group(self._next_group())

    def _next_group(self) -> list[_Waiting]:
        size, count = 0, 0
        for waiting in self._waiting:
            size += len(waiting.arrivals)
            if count and size > _LARGEST_GROUP:
                break
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group

    async def _commit_group(self, group: list[_Waiting]) -> None:
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
        room = self._settings.max_open - self._open_count()
        now = self._clock()

        def step(connection: Connection) -> PutResult:
            put = Put(connection, self._codec, reassert_after=self._reassert_after, room=room, now=now)
            return put.run([waiting.arrivals for waiting in group])

        result = await self.write(step)
        for waiting, outcome in zip(group, result.outcomes, strict=True):
            waiting.settle(outcome)
        self._count(result.changes)
        self._wake()

    def _open_count(self) -> int:
        return sum(count for (state, _), count in self._counts.items() if state not in FINISHED)

    def _count(self, changes: Changes) -> None:
        for key, change in changes.items():
            self._counts[key] += change

    def _wake(self) -> None:
        for listener in self._listeners:
            listener()


def _still_wanted(group: list[_Waiting]) -> list[_Waiting]:
    wanted = []
    for waiting in group:
        if waiting.is_wanted():
            wanted.append(waiting)
        else:
            waiting.settle(AbandonedError("the sender has gone"))
    return wanted
