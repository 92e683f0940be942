"""The bridge's side of the ledger writer process: sends it requests, and restarts it when it exits.

In: requests. Out: the result of each after its commit, or its error. A process that exited is started again; one that
does not answer is killed first. Its last transaction was committed completely or not at all, but which of the two is
unknown. A request must not be retried here, because it may have caused the exit.

The first process is a fork of the bridge's, with which it shares memory (measured: 20 MB). Later ones are started in a
new interpreter, because a process with threads cannot be forked safely.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.context import ForkProcess
from typing import TypeVar, cast

from bridge.errors import LedgerUnavailableError
from bridge.ledger.incoming import NotificationReader
from bridge.ledger.storage.files import Identity
from bridge.ledger.writer.connection import GONE, WriterConnection
from bridge.ledger.writer.executor import DatabaseUnavailableError
from bridge.ledger.writer.messages import Answer, Failed, Request, Start, UseReader
from bridge.ledger.writer.process import serve
from bridge.log import logger

T = TypeVar("T")
Child = ForkProcess | subprocess.Popen[bytes]

MAX_STILL_SECONDS = 10.0
"""The process is killed after this time without an answer; transactions are shorter, since puts time out earlier."""

_MAX_START_SECONDS = 60.0
_MIN_PAUSE_SECONDS, _MAX_PAUSE_SECONDS = 1.0, 30.0
_TICK_SECONDS = 0.25
_MAX_FAREWELL_SECONDS = 5.0
_PATIENCE_AT_THE_STOP = 0.25
"""During shutdown, the part of `shutdown_timeout` that the process may take for an answer."""

_log = logger("ledger")


class WriterGoneError(Exception):
    """The process exited; its last transaction was committed completely or not at all."""


class WriterError(Exception):
    """A request failed in the process by an error of the bridge itself, whose type is the text; nothing was stored."""


_FAILURES = {
    "database": DatabaseUnavailableError,
    "unavailable": LedgerUnavailableError,
    "internal": WriterError,
    "gone": WriterGoneError,
}


class WriterProcess:
    """The ledger writer process. Create it before any thread or event loop: it is a fork of this process.

    Args:
        url: `store.url`.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._identity: Identity | None = None
        self._reader = b""
        self._on_return: Callable[[], None] = _do_nothing
        self._child, self._socket = _forked()
        self._connection: WriterConnection | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._is_there = False
        self._is_ending = False
        self._max_still = MAX_STILL_SECONDS

    @property
    def pid(self) -> int:
        """The id of the process, or of the last one."""
        return self._child.pid or 0

    @property
    def is_there(self) -> bool:
        """Whether the process accepts requests."""
        return self._is_there

    async def open(self, identity: Identity | None, reader: NotificationReader, on_return: Callable[[], None]) -> None:
        """Start on a database that was opened and migrated; called in the main thread, with which the process ends.

        Args:
            identity: the identity of its files.
            reader: parses and maps notifications.
            on_return: called when a restarted process accepts requests.
        """
        self._identity, self._reader, self._on_return = identity, pickle.dumps(reader), on_return
        connection = self._connection = await WriterConnection.open(self._socket)
        self._keeper = asyncio.create_task(self._keep(connection), name="ledger-writer")
        await self._start(connection)

    def use(self, reader: NotificationReader) -> None:
        """Parse and map notifications that are sent from now on with another reader."""
        self._reader = pickle.dumps(reader)
        if self._connection is not None:
            self._connection.send(UseReader(self._reader)).add_done_callback(self._check_reader)

    async def execute(self, request: Request[T]) -> T:
        """Run a request in the process.

        Raises:
            WriterGoneError: the process exited, before or meanwhile.
            LedgerUnavailableError: it failed; nothing was stored.
            WriterError: likewise, by an error of the bridge itself.
        """
        if self._connection is None or not self._is_there:
            raise WriterGoneError
        answer = self._connection.send(request)
        try:
            result = await asyncio.shield(answer)
        except asyncio.CancelledError:
            await asyncio.wait([answer])  # the next write must not overlap with it
            raise
        if isinstance(result, Failed):
            raise _FAILURES[result.kind](result.text)
        return cast("T", result)

    def hurry(self, seconds: float) -> None:
        """Wait for an answer only for a part of this many seconds, and do not restart the process."""
        self._is_ending = True
        self._max_still = seconds * _PATIENCE_AT_THE_STOP

    async def close(self) -> None:
        """Finish the requests in progress, and end the process; one that was not opened is left as it is."""
        if self._keeper is None or self._connection is None:
            return
        self._is_ending = True
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        self._is_there = False
        self._connection.close()
        await asyncio.to_thread(self.end)

    def end(self) -> None:
        """Wait until the process exits; kill it if it does not."""
        self._socket.close()
        if not _has_ended(self._child, min(_MAX_FAREWELL_SECONDS, self._max_still)):
            self._child.kill()
            _has_ended(self._child, _MAX_FAREWELL_SECONDS)

    def _start(self, connection: WriterConnection) -> asyncio.Future[Answer]:
        """Send the first message; the returned future is done when the process accepts requests, or has exited."""
        started = connection.send(Start(self._url, self._identity, self._reader))
        started.add_done_callback(self._on_started)
        return started

    def _on_started(self, started: asyncio.Future[Answer]) -> None:
        self._is_there = not started.cancelled() and started.result() is None

    def _check_reader(self, answer: asyncio.Future[Answer]) -> None:
        """End a process that cannot use the new rules: it must not map by the old ones."""
        if answer.result() not in (None, GONE):
            _log.error("the ledger writer process cannot use the new rules; it is killed", pid=self.pid)
            self._child.kill()

    async def _keep(self, connection: WriterConnection) -> None:
        """Restart the process whenever it exits, with growing pauses if it exits soon after each start."""
        loop = asyncio.get_running_loop()
        pause = _MIN_PAUSE_SECONDS
        while True:
            started_at = loop.time()
            await self._until_its_end(connection)
            if loop.time() - started_at > _MAX_PAUSE_SECONDS:
                pause = _MIN_PAUSE_SECONDS
            await asyncio.to_thread(_has_ended, self._child, _MAX_FAREWELL_SECONDS)
            if self._is_ending:
                return
            _log.error("the ledger writer process exited; restarting it", pid=self.pid, in_seconds=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _MAX_PAUSE_SECONDS)
            try:
                connection = await self._restarted()
            except OSError as error:
                _log.error("the ledger writer process cannot be started", error=error.strerror)

    async def _restarted(self) -> WriterConnection:
        self._child, self._socket = _spawned()
        connection = self._connection = await WriterConnection.open(self._socket)
        self._start(connection).add_done_callback(lambda _: self._is_there and self._on_return())
        return connection

    async def _until_its_end(self, connection: WriterConnection) -> None:
        """Wait until it exits; kill it if it does not answer. Time in which this process was stopped does not count."""
        still = 0.0
        while not connection.has_ended.is_set():
            answered = connection.answered
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_SECONDS):
                    await connection.has_ended.wait()
            is_still = connection.is_waiting and connection.answered == answered
            still = still + _TICK_SECONDS if is_still else 0.0
            if still >= (self._max_still if self._is_there else _MAX_START_SECONDS):
                _log.error("the ledger writer process does not answer; it is killed", pid=self.pid)
                self._child.kill()
                still = 0.0
        self._is_there = False
        connection.abandon()


def _do_nothing() -> None:
    pass


def _forked() -> tuple[Child, socket.socket]:
    ours, theirs = socket.socketpair()
    gc.freeze()  # GC must not write to (and unshare) the pages inherited by the fork
    child = multiprocessing.get_context("fork").Process(target=_serve, args=(theirs, ours), name="ledger-writer")
    child.start()
    theirs.close()
    return child, ours


def _serve(theirs: socket.socket, ours: socket.socket) -> None:
    ours.close()  # otherwise the socket would not close when the bridge's process exits
    serve(theirs)


def _spawned() -> tuple[Child, socket.socket]:
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-m", "bridge.ledger", str(theirs.fileno())]
        same_modules = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        child = subprocess.Popen(  # noqa: S603 - the command is this program itself, without input of users
            command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], env=same_modules
        )
    return child, ours


def _has_ended(child: Child, seconds: float) -> bool:
    """Wait up to ``seconds`` for the process to exit; say whether it has."""
    if isinstance(child, ForkProcess):
        child.join(seconds)
        return not child.is_alive()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(seconds)
    return child.returncode is not None
