"""The bridge's side of the ledger writer process: sends it transactions, and restarts it when it exits.

In: the steps of transactions. Out: the result of each after its commit, or its exception. A process that exited is
started again; one that does not answer is killed first. Its last transaction was committed completely or not at all,
but which of the two is unknown. A step must not be retried here, because it may have caused the exit.

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
from collections import deque
from collections.abc import Callable
from multiprocessing.context import ForkProcess
from typing import Any, TypeVar

from bridge.ledger.storage.database import address
from bridge.ledger.storage.files import Identity
from bridge.ledger.writer.process import HEAD, Steps, serve
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


class WritingProcess:
    """The bridge's side. Create it before any thread or event loop: the process is a fork of this one.

    Args:
        url: `store.url` of a SQLite file.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._child, self._socket = _forked(url)
        self._waiting: deque[asyncio.Future[tuple[bool, Any]]] = deque()
        self._is_there = False
        self._is_ending = False
        self._max_still = MAX_STILL_SECONDS
        self._still = 0.0

    @property
    def pid(self) -> int:
        """The id of the process, or of the last one."""
        return self._child.pid or 0

    @property
    def is_there(self) -> bool:
        """Whether the process accepts transactions."""
        return self._is_there

    async def open(self, identity: Identity | None, on_return: Callable[[], None]) -> None:
        """Start on the files that were opened and migrated; called in the main thread, with which the process ends.

        Args:
            identity: the identity of these files.
            on_return: called when a restarted process accepts transactions.
        """
        self._identity = identity
        self._on_return = on_return
        hello = await self._connect()
        self._keeper = asyncio.create_task(self._keep(), name="ledger-writer")
        await hello

    async def run(self, steps: Steps[T], *, is_durable: bool, is_large: bool) -> T:
        """Run one transaction in the process.

        Args:
            steps: the operations; pickle must accept them and their result.
            is_durable: as in `Transactions.write`.
            is_large: pickling it takes so long that it is done on a thread.

        Raises:
            WriterGoneError: the process exited, before or meanwhile.
            Exception: the error of the step or of the commit; nothing was stored.
        """
        request = (steps, is_durable)
        packed = await asyncio.to_thread(pickle.dumps, request) if is_large else pickle.dumps(request)
        if not self._is_there:
            raise WriterGoneError
        answer = self._send(packed)
        try:
            is_done, result = await asyncio.shield(answer)
        except asyncio.CancelledError:
            await asyncio.wait([answer])  # the next write must not overlap with it
            raise
        if not is_done:
            raise result
        done: T = result
        return done

    def hurry(self, seconds: float) -> None:
        """Wait for an answer only for a part of this many seconds, and do not restart the process."""
        self._is_ending = True
        self._max_still = seconds * _PATIENCE_AT_THE_STOP

    async def close(self) -> None:
        """Finish the transactions in progress, and end the process."""
        self._is_ending = True
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        self._is_there = False
        self._transport.close()
        await asyncio.to_thread(self.end)

    def end(self) -> None:
        """Wait until the process exits; kill it if it does not."""
        self._socket.close()
        if not _has_ended(self._child, min(_MAX_FAREWELL_SECONDS, self._max_still)):
            self._child.kill()
            _has_ended(self._child, _MAX_FAREWELL_SECONDS)

    async def _connect(self) -> asyncio.Future[tuple[bool, Any]]:
        """Connect to a started process; the returned future is done when it accepts transactions."""
        loop = asyncio.get_running_loop()
        self._answers = _Answers(self._on_answer)
        self._transport, _ = await loop.create_unix_connection(lambda: self._answers, sock=self._socket)
        self._still = 0.0
        hello = self._send(pickle.dumps(self._identity))
        hello.add_done_callback(self._on_hello)
        return hello

    def _on_hello(self, hello: asyncio.Future[tuple[bool, Any]]) -> None:
        self._is_there = not hello.cancelled() and hello.result()[0]

    async def _keep(self) -> None:
        """Restart the process whenever it exits, with growing pauses if it exits soon after each start."""
        loop = asyncio.get_running_loop()
        pause = _MIN_PAUSE_SECONDS
        while True:
            started_at = loop.time()
            await self._until_its_end()
            if loop.time() - started_at > _MAX_PAUSE_SECONDS:
                pause = _MIN_PAUSE_SECONDS
            await asyncio.to_thread(_has_ended, self._child, _MAX_FAREWELL_SECONDS)
            if self._is_ending:
                return
            _log.error("the ledger writer process exited; restarting it", pid=self.pid, in_seconds=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _MAX_PAUSE_SECONDS)
            if not self._is_ending:
                await self._start_again()

    async def _start_again(self) -> None:
        try:
            self._child, self._socket = _started(self._url)
            hello = await self._connect()
        except OSError as error:
            _log.error("the ledger writer process cannot be started", error=error.strerror)
        else:
            hello.add_done_callback(lambda _: self._is_there and self._on_return())

    async def _until_its_end(self) -> None:
        """Wait until it exits; kill it if it does not answer. Time in which this process was stopped does not count."""
        while not self._answers.ended.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_SECONDS):
                    await self._answers.ended.wait()
            self._still = self._still + _TICK_SECONDS if self._waiting else 0.0
            if self._still >= (self._max_still if self._is_there else _MAX_START_SECONDS):
                _log.error("the ledger writer process does not answer; it is killed", pid=self.pid)
                self._child.kill()
                self._still = 0.0
        self._is_there = False
        while self._waiting:
            self._on_answer((False, WriterGoneError()))

    def _send(self, packed: bytes) -> asyncio.Future[tuple[bool, Any]]:
        answer: asyncio.Future[tuple[bool, Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self._transport.write(HEAD.pack(len(packed)) + packed)
        return answer

    def _on_answer(self, answer: tuple[bool, Any]) -> None:
        self._still = 0.0
        waiting = self._waiting.popleft()
        if not waiting.done():
            waiting.set_result(answer)


class _Answers(asyncio.Protocol):
    """Splits the bytes from the process into answers, which have the order of the requests.

    Args:
        on_answer: called with each answer.

    Attributes:
        ended: set when the connection is closed.
    """

    def __init__(self, on_answer: Callable[[tuple[bool, Any]], None]) -> None:
        self._on_answer = on_answer
        self._received = bytearray()
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        """Receive some bytes."""
        received = self._received
        received += data
        while len(received) >= HEAD.size:
            end = HEAD.size + int(HEAD.unpack_from(received)[0])
            if len(received) < end:
                return
            answer = pickle.loads(received[HEAD.size : end])  # noqa: S301 - the data comes from the bridge's own child process over a socketpair
            del received[:end]
            self._on_answer(answer)

    def connection_lost(self, _error: Exception | None) -> None:
        """Note that the connection is closed."""
        self.ended.set()


def writing_process(url: str) -> WritingProcess | None:
    """Return the writer process for a `store.url`; None for PostgreSQL, where several processes may write.

    Raises:
        LedgerStartError: the address cannot be read.
    """
    return WritingProcess(url) if address(url).drivername == "sqlite" else None


def _forked(url: str) -> tuple[Child, socket.socket]:
    ours, theirs = socket.socketpair()
    gc.freeze()  # GC must not write to (and unshare) the pages inherited by the fork
    child = multiprocessing.get_context("fork").Process(target=_serve, args=(theirs, ours, url), name="ledger-writer")
    child.start()
    theirs.close()
    return child, ours


def _serve(theirs: socket.socket, ours: socket.socket, url: str) -> None:
    ours.close()  # otherwise the socket would not close when the bridge's process exits
    serve(theirs, url)


def _started(url: str) -> tuple[Child, socket.socket]:
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-m", "bridge.ledger", str(theirs.fileno()), url]
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
