"""Runs transactions: writes one after the other, reads beside them on a thread of their own.

In: a request, or an operation on an open transaction. Out: its result after the commit, or `LedgerUnavailableError`,
and then nothing was stored. This module must not know what an operation does.

Requests run in the ledger writer process. All other writes, which are rare, run on the writing thread of this process,
and so do requests where there is no such process, as in tests of the ledger alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from bridge.errors import BridgeError, LedgerUnavailableError
from bridge.ledger.incoming import NotificationReader
from bridge.ledger.storage.database import Database
from bridge.ledger.writer.client import WriterGoneError, WriterProcess
from bridge.ledger.writer.executor import DatabaseUnavailableError, Executor, explained
from bridge.ledger.writer.messages import Operation, Request

T = TypeVar("T")

_GRACE_SECONDS = 1.0
"""After the last requests of a shutdown, the time to store their results."""

_NOT_OPEN = "the ledger is not open"


class Transactions:
    """The transactions of one process on one database.

    Args:
        database: the ledger's database.
        process: the ledger writer process; None: requests run in this process.
        reader: parses and maps notifications.
    """

    def __init__(self, database: Database, process: WriterProcess | None, reader: NotificationReader) -> None:
        self._database = database
        self._process = process
        self._executor = Executor(database, reader)
        self._threads = _Threads()
        self._lock = asyncio.Lock()
        self._running_requests = 0
        self._no_request = asyncio.Event()
        self._no_request.set()
        self._is_hurried = False
        self._refusal: BridgeError | None = LedgerUnavailableError(_NOT_OPEN)

    async def open(self) -> None:
        """Open the database on the writing thread; requests run in this process until `start_process`.

        Raises:
            LedgerStartError: it cannot be used.
            LedgerUnavailableError: it cannot be used now; a later try may succeed.
        """
        self._threads = _Threads()
        try:
            await self._threads.write(self._database.open)
        except BaseException as error:
            self._refusal = error if isinstance(error, BridgeError) else self._refusal
            await self._close()
            raise
        self._refusal = None

    async def start_process(self, on_return: Callable[[], None]) -> None:
        """Start the ledger writer process on the open database, if there is one.

        Args:
            on_return: called when a restarted process accepts requests.
        """
        if self._process is not None:
            await self._process.open(self._database.identity, self._executor.reader, on_return)

    def use(self, reader: NotificationReader) -> None:
        """Parse and map notifications of later requests with another reader."""
        self._executor.reader = reader
        if self._process is not None:
            self._process.use(reader)

    def can_begin(self) -> bool:
        """Say whether a request would run now, or be refused at once."""
        return self._process is None or self._process.is_there or self._refusal is not None

    def hurry(self, seconds: float) -> None:
        """Abort operations that make no progress for a part of this many seconds; the bridge is stopping."""
        self._is_hurried = True
        if self._process is not None:
            self._process.hurry(seconds)
        asyncio.get_running_loop().call_later(seconds + _GRACE_SECONDS, self._database.cut)

    async def close(self, reason: BaseException | None = None) -> None:
        """Finish the transactions in progress, then close the database; later calls are refused with this reason."""
        async with self._exclusive():
            self._refusal = reason if isinstance(reason, BridgeError) else LedgerUnavailableError(_NOT_OPEN)
            if self._process is not None:
                await self._process.close()
            await self._close()

    async def execute(self, request: Request[T]) -> T:
        """Run one request; requests may overlap, and then run in their order.

        Raises:
            LedgerUnavailableError: it failed, and nothing was stored.
        """
        self._check()
        if self._process is None:
            return await self._exclusively(partial(self._executor.execute, request))
        async with self._lock:
            self._running_requests += 1
            self._no_request.clear()
        try:
            return await self._noting_refusals(self._in_process(self._process, request))
        finally:
            self._running_requests -= 1
            if not self._running_requests:
                self._no_request.set()

    async def write(self, operation: Operation[T]) -> T:
        """Run one transaction in this process, while no request runs.

        Raises:
            LedgerUnavailableError: it failed, and nothing was stored.
        """
        self._check()
        return await self._exclusively(partial(self._executor.run, operation))

    async def read(self, operation: Operation[T]) -> T:
        """Run one read beside the writes.

        Raises:
            LedgerUnavailableError: the database does not answer.
        """
        self._check()

        def transaction() -> T:
            reads, location = self._database.reads, self._database.location
            with explained(location), reads.connect().execution_options(read_only=True) as connection:
                return operation(connection)

        return await self._threads.read(transaction)

    async def _in_process(self, process: WriterProcess, request: Request[T]) -> T:
        if not process.is_there:
            raise LedgerUnavailableError("the ledger writer process is being restarted")
        try:
            return await process.execute(request)
        except WriterGoneError:
            text = "the ledger writer process exited; its last transaction may have been committed"
            raise LedgerUnavailableError(text) from None

    async def _exclusively(self, call: Callable[[], T]) -> T:
        async with self._exclusive():
            self._check()
            return await self._noting_refusals(self._threads.write(call))

    @contextlib.asynccontextmanager
    async def _exclusive(self) -> AsyncIterator[None]:
        """Wait until no other write runs; SQLite's own lock is not fair, so a wait for it could time out in a storm."""
        async with self._lock:
            await self._no_request.wait()
            yield

    async def _noting_refusals(self, running: Coroutine[Any, Any, T]) -> T:
        """During shutdown, refuse later calls after one that the database refused: they would wait as long and fail."""
        try:
            return await running
        except DatabaseUnavailableError as error:
            if self._is_hurried:
                self._refusal = error
            raise

    def _check(self) -> None:
        if self._refusal is not None:
            raise LedgerUnavailableError(str(self._refusal))

    async def _close(self) -> None:
        with contextlib.suppress(SQLAlchemyError):
            await self._threads.write(self._executor.close)
        await asyncio.to_thread(self._threads.end)
        await asyncio.to_thread(self._database.close)


class _Threads:
    """A thread for writes and one for reads; each starts with its first call."""

    def __init__(self) -> None:
        self._write = ThreadPoolExecutor(1, "ledger-write")
        self._read = ThreadPoolExecutor(1, "ledger-read")

    async def write(self, call: Callable[[], T]) -> T:
        """Run a call on the writing thread until it ends, even if the waiting task is cancelled."""
        return await _to_end(self._write, call)

    async def read(self, call: Callable[[], T]) -> T:
        """Run a call on the reading thread until it ends, even if the waiting task is cancelled."""
        return await _to_end(self._read, call)

    def end(self) -> None:
        """Wait for the calls in progress, and end the threads."""
        self._write.shutdown()
        self._read.shutdown()


async def _to_end(thread: ThreadPoolExecutor, call: Callable[[], T]) -> T:
    running = asyncio.get_running_loop().run_in_executor(thread, call)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
