"""Runs transactions: writes one after the other, reads beside them on a thread of their own.

In: a step to run on an open transaction. Out: its result once it is committed, or `LedgerUnavailableError` and nothing
of it was kept. Which step it is, is none of this module's business.

The steps of a storm can travel, and run in the writing process where there is one. Else a small write to a SQLite file
runs in the event loop, and only its commit, which waits for the disk, on the writing thread: two threads that take
turns at the interpreter's lock cost three times as much as one. Everything else, and whatever finds the file locked by
another process, runs on the writing thread as a whole.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from bridge.errors import LedgerUnavailableError
from bridge.ledger.database import Database, HeldConnection
from bridge.ledger.refusals import of_database
from bridge.ledger.writer import Steps, WriterGoneError, WritingProcess

T = TypeVar("T")
Step = Callable[[Connection], T]

MOST_ROWS = 1_000
"""Of a small write: some 50 ms, for which other webhooks wait."""


class Transactions:
    """The transactions of one process on one database.

    Args:
        database: where the ledger lies.
        elsewhere: the process where steps run that can travel, if there is one.
    """

    def __init__(self, database: Database, elsewhere: WritingProcess | None = None) -> None:
        self._database = database
        self._elsewhere = elsewhere
        self._turn = asyncio.Lock()
        self._travelling = 0
        self._all_back = asyncio.Event()
        self._all_back.set()
        self._held = HeldConnection(database)

    async def open(self) -> None:
        """Start the threads, and open the database on the one that writes.

        Raises:
            LedgerStartError: it cannot be used.
        """
        self._writer = ThreadPoolExecutor(1, "ledger-write")
        self._reader = ThreadPoolExecutor(1, "ledger-read")
        try:
            await self._on(self._writer, self._database.open)
        except BaseException:
            self._end_threads()
            self._database.close()
            raise
        if self._elsewhere is not None:
            await self._elsewhere.open(self._database.identity)

    async def close(self) -> None:
        """Finish what was begun, then leave the database."""
        async with self._alone():
            if self._elsewhere is not None:
                await self._elsewhere.close()
            self._held.let_go()
            await asyncio.to_thread(self._end_threads)
            await asyncio.to_thread(self._database.close)

    async def write(
        self,
        step: Step[T],
        rows: int = MOST_ROWS + 1,
        *,
        is_durable: bool = True,
        can_travel: bool = False,
        otherwise: Step[T] | None = None,
    ) -> T:
        """Run one transaction.

        Args:
            step: what to do in it.
            rows: about how many rows it writes.
            is_durable: it must survive a loss of power; without, the disk is not waited for, and it survives a crash.
            can_travel: another process can run it: pickle takes it, what it returns and what it raises.
            otherwise: what to do instead, before any other write, if the step fails and not the database.

        Raises:
            LedgerUnavailableError: it failed, and nothing of it was kept.
        """
        try:
            if can_travel and self._elsewhere is not None and self._elsewhere.is_there:
                steps = Steps(step, otherwise)
                return await self._there(self._elsewhere, steps, is_durable=is_durable, is_large=rows > MOST_ROWS)
            async with self._alone():
                try:
                    return await self._by_ourselves(step, rows, is_durable=is_durable)
                except Exception as error:
                    if otherwise is None or isinstance(error, OperationalError):
                        raise
                    return await self._by_ourselves(otherwise, rows, is_durable=is_durable)
        except SQLAlchemyError as error:
            raise _unavailable(error) from error

    async def read(self, step: Step[T]) -> T:
        """Run one read beside the writes.

        Raises:
            LedgerUnavailableError: the database does not answer.
        """

        def transaction() -> T:
            with self._database.reads.connect().execution_options(read_only=True) as connection:
                return step(connection)

        try:
            return await self._on(self._reader, transaction)
        except SQLAlchemyError as error:
            raise _unavailable(error) from error

    @contextlib.asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Wait until nothing else writes; SQLite itself would let us wait behind a storm until we gave up."""
        async with self._turn:
            await self._all_back.wait()
            yield

    async def _by_ourselves(self, step: Step[T], rows: int, *, is_durable: bool) -> T:
        if rows > MOST_ROWS or self._database.is_shared:
            return await self._on(self._writer, lambda: self._transaction(step))
        return await self._here(step, is_durable=is_durable)

    async def _there(self, elsewhere: WritingProcess, steps: Steps[T], *, is_durable: bool, is_large: bool) -> T:
        async with self._turn:
            self._travelling += 1
            self._all_back.clear()
        try:
            return await elsewhere.run(steps, is_durable=is_durable, is_large=is_large)
        except WriterGoneError:
            text = "the writing process ended; what it was doing may have been kept"
            raise LedgerUnavailableError(text) from None
        finally:
            self._travelling -= 1
            if not self._travelling:
                self._all_back.set()

    def _transaction(self, step: Step[T]) -> T:
        with self._database.engine.begin() as connection:
            result = step(connection)
            self._database.before_commit()
            return result

    async def _here(self, step: Step[T], *, is_durable: bool) -> T:
        """Run a write in the event loop; its commit on the writing thread if that waits for the disk."""
        connection = self._held.get(is_durable=is_durable, at_once=True)
        try:
            transaction = connection.begin()
        except OperationalError:  # another process writes: wait for it where nobody waits for us
            self._held.let_go()
            return await self._on(self._writer, lambda: self._transaction(step))
        try:
            result = step(connection)
            self._database.before_commit()
            if is_durable:
                await self._on(self._writer, transaction.commit)
            else:
                transaction.commit()
        except BaseException:
            self._held.let_go()
            raise
        return result

    def _end_threads(self) -> None:
        self._writer.shutdown()
        self._reader.shutdown()

    @staticmethod
    async def _on(executor: ThreadPoolExecutor, call: Callable[[], T]) -> T:
        """Run a call on a thread to its end, also when whoever waits for it is cancelled."""
        running = asyncio.get_running_loop().run_in_executor(executor, call)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise


def _unavailable(error: SQLAlchemyError) -> LedgerUnavailableError:
    return LedgerUnavailableError(f"the ledger cannot be used now: {of_database(error).what}")
