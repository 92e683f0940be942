"""The writing process: the transactions of a storm, on a core of their own.

In: steps from the bridge's process, over a socket. Out: what each returned once it was committed, or what it raised. It
serves one SQLite file, on one connection, and knows neither HTTP nor AOM. It ends with the bridge's process, also where
that is killed; where it ends before, the same steps run there.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import pickle
import resource
import signal
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Generic, NamedTuple, TypeVar

from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError

from bridge.ledger.database import HeldConnection, address
from bridge.ledger.sqlite import Identity, SqliteDatabase
from bridge.log import logger

T = TypeVar("T")
_HEAD = struct.Struct("<Q")
_FAREWELL_SECONDS = 5
_DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


_log = logger("ledger")


class WriterGoneError(Exception):
    """The writing process has ended; what it was doing was committed as a whole, or not at all."""


class Steps(NamedTuple, Generic[T]):
    """What to do in a transaction, and what to do in another one if that failed and not the database."""

    first: Callable[[Connection], T]
    otherwise: Callable[[Connection], T] | None = None


class WritingProcess:
    """The bridge's end. Make it before any thread or event loop: the other end is a fork of this process.

    Args:
        url: `store.url` of a SQLite file.

    Attributes:
        pid: of the process.
    """

    def __init__(self, url: str) -> None:
        self._socket, theirs = socket.socketpair()
        gc.freeze()  # what both share now stays shared, as far as it can
        context = multiprocessing.get_context("fork")
        self._process = context.Process(target=_serve, args=(theirs, self._socket, url), name="ledger-writer")
        self._process.start()
        theirs.close()
        self.pid = self._process.pid or 0
        self._waiting: deque[asyncio.Future[tuple[bool, Any]]] = deque()
        self._is_gone = True
        self._is_closing = False

    @property
    def is_there(self) -> bool:
        """Whether it takes steps."""
        return not self._is_gone

    async def open(self, identity: Identity | None) -> None:
        """Begin, on the file that was opened and migrated.

        Args:
            identity: which file that is.
        """
        loop = asyncio.get_running_loop()
        self._answers = _Answers(self._on_answer, self._on_end)
        self._transport, _ = await loop.create_unix_connection(lambda: self._answers, sock=self._socket)
        self._is_gone = False
        self._send(pickle.dumps(identity))

    async def run(self, steps: Steps[T], *, is_durable: bool, is_large: bool) -> T:
        """Run one transaction there.

        Args:
            steps: what to do in it; pickle can take them and their result.
            is_durable: as `Transactions.write`.
            is_large: packing it would hold up the event loop.

        Raises:
            WriterGoneError: the process has ended, before or meanwhile.
            Exception: what the step or the commit raised; nothing of it was kept.
        """
        request = (steps, is_durable)
        packed = await asyncio.to_thread(pickle.dumps, request) if is_large else pickle.dumps(request)
        if self._is_gone:
            raise WriterGoneError
        answer: asyncio.Future[tuple[bool, Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        self._send(packed)
        try:
            is_done, result = await asyncio.shield(answer)
        except asyncio.CancelledError:
            await asyncio.wait([answer])  # whoever writes next must not meet it
            raise
        if not is_done:
            raise result
        done: T = result
        return done

    async def close(self) -> None:
        """Let it finish what was begun, and end."""
        if self._is_gone:
            return
        self._is_closing = True
        self._transport.close()
        await self._answers.ended.wait()

    def end(self) -> None:
        """Wait for its end, or end it."""
        self._socket.close()
        self._process.join(_FAREWELL_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _send(self, packed: bytes) -> None:
        self._transport.write(_HEAD.pack(len(packed)) + packed)

    def _on_answer(self, answer: tuple[bool, Any]) -> None:
        waiting = self._waiting.popleft()
        if not waiting.done():
            waiting.set_result(answer)

    def _on_end(self) -> None:
        if not self._is_closing:
            _log.error("the writing process has ended; from now on this one does its work, slower", pid=self.pid)
        self._is_gone = True
        while self._waiting:
            self._on_answer((False, WriterGoneError()))


class _Answers(asyncio.Protocol):
    """Cuts what comes from the process into answers, which are in the order of the steps.

    Args:
        on_answer: is called with each.
        on_end: is called once, when there will be no more.
    """

    def __init__(self, on_answer: Callable[[tuple[bool, Any]], None], on_end: Callable[[], None]) -> None:
        self._on_answer = on_answer
        self._on_end = on_end
        self._received = bytearray()
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        """Take some bytes."""
        received = self._received
        received += data
        while len(received) >= _HEAD.size:
            end = _HEAD.size + int(_HEAD.unpack_from(received)[0])
            if len(received) < end:
                return
            answer = pickle.loads(received[_HEAD.size : end])  # noqa: S301 - it is our own other half
            del received[:end]
            self._on_answer(answer)

    def connection_lost(self, _error: Exception | None) -> None:
        """Take the end."""
        self._on_end()
        self.ended.set()


def writing_process(url: str) -> WritingProcess | None:
    """Return a process that writes the ledger of a `store.url`; None where several may write anyway.

    Raises:
        LedgerStartError: the address cannot be read.
    """
    return WritingProcess(url) if address(url).drivername == "sqlite" else None


def _serve(theirs: socket.socket, ours: socket.socket, url: str) -> None:
    ours.close()  # or the end of the bridge's process would not show on the socket
    _behave_as_a_part()
    database = SqliteDatabase(Path(address(url).database or ""))
    with theirs, theirs.makefile("rb") as requests:
        identity = _next(requests)
        if identity is not None:
            database.join(pickle.loads(identity))  # noqa: S301 - it is our own other half
            _run_all(requests, theirs, database)
    database.engine.dispose()


def _run_all(requests: BinaryIO, answers: socket.socket, database: SqliteDatabase) -> None:
    held = HeldConnection(database)
    with contextlib.suppress(ConnectionError):
        while (request := _next(requests)) is not None:
            steps, is_durable = pickle.loads(request)  # noqa: S301 - it is our own other half
            packed = _packed(_run(held, steps, is_durable=is_durable))
            answers.sendall(_HEAD.pack(len(packed)) + packed)
    held.let_go()


def _run(held: HeldConnection, steps: Steps[Any], *, is_durable: bool) -> tuple[bool, Any]:
    is_done, result = _transaction(held, steps.first, is_durable=is_durable)
    if is_done or steps.otherwise is None or isinstance(result, OperationalError):
        return is_done, result
    return _transaction(held, steps.otherwise, is_durable=is_durable)


def _transaction(held: HeldConnection, step: Callable[[Connection], Any], *, is_durable: bool) -> tuple[bool, Any]:
    try:
        with held.get(is_durable=is_durable, at_once=False).begin() as transaction:
            result = step(transaction.connection)
            held.database.before_commit()
    except Exception as error:  # noqa: BLE001 - whatever it was, the other half must hear of it
        held.let_go()
        return False, error
    return True, result


def _packed(answer: tuple[bool, Any]) -> bytes:
    try:
        return pickle.dumps(answer)
    except Exception:  # noqa: BLE001 - an error may hold anything
        return pickle.dumps((False, RuntimeError(repr(answer[1]))))


def _next(requests: BinaryIO) -> bytes | None:
    """Return the next request; None when there will be no more."""
    try:
        head = requests.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return None
        length: int
        (length,) = _HEAD.unpack(head)
        request = requests.read(length)
    except ConnectionError:
        return None
    return request if len(request) == length else None


def _behave_as_a_part() -> None:
    """Leave signals to the bridge's process, end with it, and leave no core dump: it would hold secrets."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - only here is it of any use

        ctypes.CDLL(None, use_errno=True).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
