"""Runs transactions off the event loop: all writes on one thread, one after the other; reads on a thread of their own.

In: a step to run on an open transaction. Out: its result once it is committed, or `LedgerUnavailableError` and nothing
of it was kept. Which step it is, is none of this module's business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from bridge.errors import LedgerUnavailableError
from bridge.ledger.database import Database

T = TypeVar("T")
Step = Callable[[Connection], T]


class Transactions:
    """The two threads on one database.

    Args:
        database: where the ledger lies.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

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
            raise

    async def close(self) -> None:
        """Finish what was begun, then leave the database."""
        await asyncio.to_thread(self._end_threads)
        await asyncio.to_thread(self._database.close)

    async def write(self, step: Step[T]) -> T:
        """Run one transaction.

        Raises:
            LedgerUnavailableError: it failed, and nothing of it was kept.
        """

        def transaction() -> T:
            with self._database.engine.begin() as connection:
                result = step(connection)
                self._database.before_commit()
                return result

        return await _guarded(self._on(self._writer, transaction))

    async def read(self, step: Step[T]) -> T:
        """Run one read beside the writes.

        Raises:
            LedgerUnavailableError: the database does not answer.
        """

        def transaction() -> T:
            with self._database.engine.connect().execution_options(read_only=True) as connection:
                return step(connection)

        return await _guarded(self._on(self._reader, transaction))

    def _end_threads(self) -> None:
        self._writer.shutdown()
        self._reader.shutdown()

    @staticmethod
    async def _on(executor: ThreadPoolExecutor, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, call)


async def _guarded(result: Awaitable[T]) -> T:
    try:
        return await result
    except SQLAlchemyError as error:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())
        raise LedgerUnavailableError(f"the ledger cannot be used now: {reason}") from error
