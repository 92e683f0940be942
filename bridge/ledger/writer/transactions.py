"""Runs transactions: writes one after the other, reads beside them on a thread of their own.

In: a step to run on an open transaction. Out: its result after the commit, or `LedgerUnavailableError`, and then
nothing was stored. This module must not know what a step does.

Steps that can travel run in the ledger writer process, if there is one. Without one, a small write to a SQLite file
runs in the event loop, and only its commit, which waits for the disk, on the writing thread: two threads that compete
for the interpreter lock take three times as long as one. All other writes, and writes that find the file locked by
another process, run completely on the writing thread.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from bridge.errors import BridgeError, LedgerUnavailableError
from bridge.ledger.refusals import of_database
from bridge.ledger.storage.database import Database, WriteConnection, checked
from bridge.ledger.writer.client import WriterGoneError, WritingProcess
from bridge.ledger.writer.process import Steps

T = TypeVar("T")
Operation = Callable[[Connection], T]

MAX_ROWS = 1_000
"""The maximum size of a small write: it takes about 50 ms, in which other webhooks wait."""


_GRACE_SECONDS = 1.0
"""After the last requests of a shutdown, the time to store their results."""

_NOT_OPEN = "the ledger is not open"


class Transactions:
    """The transactions of one process on one database.

    Args:
        database: the ledger's database.
        elsewhere: the ledger writer process, which runs the steps that can travel; None if there is none.
    """

    def __init__(self, database: Database, elsewhere: WritingProcess | None = None) -> None:
        self._database = database
        self._elsewhere = elsewhere
        self._turn = asyncio.Lock()
        self._travelling = 0
        self._all_back = asyncio.Event()
        self._all_back.set()
        self._held = WriteConnection(database)
        self._is_hurried = False
        self._is_travelling = False
        self._refusal: BridgeError | None = LedgerUnavailableError(_NOT_OPEN)

    async def open(self) -> None:
        """Start the threads, and open the database on the writing thread; steps do not travel yet.

        Raises:
            LedgerStartError: it cannot be used.
            LedgerUnavailableError: it cannot be used now; a later try may succeed.
        """
        self._writer = ThreadPoolExecutor(1, "ledger-write")
        self._reader = ThreadPoolExecutor(1, "ledger-read")
        try:
            await self._on(self._writer, self._database.open)
        except BaseException as error:
            self._refusal = error if isinstance(error, BridgeError) else self._refusal
            self._end_threads()
            self._database.close()
            raise
        self._refusal = None

    async def travel(self, on_return: Callable[[], None]) -> None:
        """Let steps travel from now on.

        Args:
            on_return: called when a restarted ledger writer process accepts transactions.
        """
        if self._elsewhere is not None:
            await self._elsewhere.open(self._database.identity, on_return)
            self._is_travelling = True

    @property
    def has_writer(self) -> bool:
        """Whether steps that can travel run in the ledger writer process."""
        return self._elsewhere is not None

    def can_travel(self) -> bool:
        """Say whether a step that can travel would run now."""
        return self._elsewhere is None or self._elsewhere.is_there or self._refusal is not None

    def hurry(self, seconds: float) -> None:
        """Abort operations that make no progress for a part of this many seconds; the bridge is stopping."""
        self._is_hurried = True
        if self._elsewhere is not None:
            self._elsewhere.hurry(seconds)
        asyncio.get_running_loop().call_later(seconds + _GRACE_SECONDS, self._database.cut)

    async def close(self, reason: BaseException | None = None) -> None:
        """Finish the transactions in progress, then close the database; later calls are refused with this reason."""
        async with self._one_by_one():
            self._refusal = reason if isinstance(reason, BridgeError) else LedgerUnavailableError(_NOT_OPEN)
            if self._elsewhere is not None and self._is_travelling:
                await self._elsewhere.close()
            self._held.let_go()
            await asyncio.to_thread(self._end_threads)
            await asyncio.to_thread(self._database.close)

    async def write(
        self,
        step: Operation[T],
        rows: int = MAX_ROWS + 1,
        *,
        is_durable: bool = True,
        can_travel: bool = False,
        otherwise: Operation[T] | None = None,
    ) -> T:
        """Run one transaction.

        Args:
            step: the operation.
            rows: about how many rows it writes.
            is_durable: whether it must survive a loss of power; if not, the commit does not wait for the disk, and
                survives only a crash of the process.
            can_travel: whether another process can run it: pickle accepts it, its result and its exceptions.
            otherwise: the operation to run instead, before any other write, if the step fails and the database works.

        Raises:
            LedgerUnavailableError: it failed, and nothing was stored.
        """
        self._check()
        try:
            if can_travel and self._elsewhere is not None:
                steps = Steps(step, otherwise)
                return await self._there(self._elsewhere, steps, is_durable=is_durable, is_large=rows > MAX_ROWS)
            async with self._one_by_one():
                self._check()
                try:
                    return await self._by_ourselves(step, rows, is_durable=is_durable)
                except Exception as error:
                    if otherwise is None or isinstance(error, OperationalError):
                        raise
                    return await self._by_ourselves(otherwise, rows, is_durable=is_durable)
        except SQLAlchemyError as error:
            unavailable = _unavailable(error)
            if self._is_hurried:  # the next call would wait as long and fail in the same way
                self._refusal = unavailable
            raise unavailable from error

    async def read(self, step: Operation[T]) -> T:
        """Run one read beside the writes.

        Raises:
            LedgerUnavailableError: the database does not answer.
        """
        self._check()

        def transaction() -> T:
            with self._database.reads.connect().execution_options(read_only=True) as connection:
                return step(connection)

        try:
            return await self._on(self._reader, transaction)
        except SQLAlchemyError as error:
            raise _unavailable(error) from error

    @contextlib.asynccontextmanager
    async def _one_by_one(self) -> AsyncIterator[None]:
        """Wait until no other write runs; SQLite's own lock is not fair, so a wait for it could time out in a storm."""
        async with self._turn:
            await self._all_back.wait()
            yield

    def _check(self) -> None:
        if self._refusal is not None:
            raise LedgerUnavailableError(str(self._refusal))

    async def _by_ourselves(self, step: Operation[T], rows: int, *, is_durable: bool) -> T:
        if rows > MAX_ROWS or self._database.is_shared:
            return await self._on(self._writer, lambda: self._transaction(step))
        return await self._here(step, is_durable=is_durable)

    async def _there(self, elsewhere: WritingProcess, steps: Steps[T], *, is_durable: bool, is_large: bool) -> T:
        async with self._turn:
            self._travelling += 1
            self._all_back.clear()
        try:
            if not elsewhere.is_there:
                raise LedgerUnavailableError("the ledger writer process is being restarted")
            return await elsewhere.run(steps, is_durable=is_durable, is_large=is_large)
        except WriterGoneError:
            text = "the ledger writer process exited; its last transaction may have been committed"
            raise LedgerUnavailableError(text) from None
        finally:
            self._travelling -= 1
            if not self._travelling:
                self._all_back.set()

    def _transaction(self, step: Operation[T]) -> T:
        """Run a write, and retry it once if the cause of its failure could be removed."""
        try:
            return self._once(step)
        except (OperationalError, LedgerUnavailableError) as error:
            if not self._database.relieve(error):
                raise
        return self._once(step)

    def _once(self, step: Operation[T]) -> T:
        with self._database.engine.begin() as connection:
            return checked(self._database, step, connection)

    async def _here(self, step: Operation[T], *, is_durable: bool) -> T:
        """Run a write in the event loop, and its commit on the writing thread if that waits for the disk."""
        connection = self._held.get(is_durable=is_durable, at_once=True)
        try:
            transaction = connection.begin()
        except OperationalError:  # another process writes: wait for it on the thread
            self._held.let_go()
            return await self._on(self._writer, lambda: self._transaction(step))
        try:
            result = checked(self._database, step, connection)
            if is_durable:
                await self._on(self._writer, transaction.commit)
            else:
                transaction.commit()
        except (OperationalError, LedgerUnavailableError) as error:
            self._held.let_go()
            if not await self._on(self._writer, partial(self._database.relieve, error)):
                raise
            return await self._on(self._writer, lambda: self._once(step))
        except BaseException:
            self._held.let_go()
            raise
        return result

    def _end_threads(self) -> None:
        self._writer.shutdown()
        self._reader.shutdown()

    @staticmethod
    async def _on(executor: ThreadPoolExecutor, call: Callable[[], T]) -> T:
        """Run a call on a thread until it ends, even if the waiting task is cancelled."""
        running = asyncio.get_running_loop().run_in_executor(executor, call)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise


def _unavailable(error: SQLAlchemyError) -> LedgerUnavailableError:
    return LedgerUnavailableError(f"the ledger cannot be used now: {of_database(error).what}")
