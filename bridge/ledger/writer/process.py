"""The ledger writer process itself: parses, maps and commits beside the bridge's process, on another core.

In: messages from the bridge's process, over a socket. Out: an answer to each, in their order. It serves one database on
one connection, and must know neither HTTP nor AOM. It exits with the bridge's process, also when that is killed.
`bridge.ledger.writer.client` is the other side.
"""

from __future__ import annotations

import contextlib
import gc
import pickle
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from typing import BinaryIO, Literal

from bridge.errors import LedgerUnavailableError
from bridge.ledger.incoming import NotificationReader
from bridge.ledger.storage.database import database
from bridge.ledger.writer.executor import DatabaseUnavailableError, Executor
from bridge.ledger.writer.messages import HEAD, Answer, Failed, Message, Start, UseReader, framed, read_message

_DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


def serve(theirs: socket.socket) -> None:
    """Answer the messages from a socket until it is closed; the first one is `Start`."""
    _behave_as_a_part()
    with theirs, theirs.makefile("rb") as messages, contextlib.suppress(ConnectionError):
        first = _next(messages)
        if first is None:
            return
        executor = _started(first)
        theirs.sendall(framed(None))
        while (packed := _next(messages)) is not None:
            theirs.sendall(_answer(executor, packed))
        executor.close()


def main(arguments: Sequence[str]) -> None:
    """Run the process for `python -m bridge.ledger SOCKET`; the socket is given as a file descriptor."""
    (number,) = arguments
    gc.set_threshold(20_000, 20, 20)  # as in the bridge's process
    serve(socket.socket(fileno=int(number)))


def _started(packed: bytes) -> Executor:
    start = read_message(packed)
    if not isinstance(start, Start):
        raise TypeError("the first message must be Start")
    ledger = database(start.url)
    ledger.join(start.identity)
    return Executor(ledger, _unpickled(start.reader))


def _answer(executor: Executor, packed: bytes) -> bytearray:
    """Return the frame of the answer; an error of one request must not end the process, which serves others."""
    try:
        return framed(_result(executor, read_message(packed)))
    except LedgerUnavailableError as error:
        kind: Literal["database", "unavailable"] = "unavailable"
        if isinstance(error, DatabaseUnavailableError):
            kind = "database"
        return framed(Failed(kind, str(error)))
    except Exception as error:  # noqa: BLE001 - each error is sent to the bridge's process
        return framed(Failed("internal", type(error).__name__))


def _result(executor: Executor, message: Message) -> Answer:
    if isinstance(message, UseReader):
        executor.reader = _unpickled(message.reader)
        return None
    if isinstance(message, Start):
        raise TypeError("the process was started before")
    return executor.execute(message)


def _unpickled(reader: bytes) -> NotificationReader:
    unpickled: NotificationReader = pickle.loads(reader)  # noqa: S301 - the data comes from our own parent process over a socketpair
    return unpickled


def _next(messages: BinaryIO) -> bytes | None:
    """Return the next message, packed; None when the socket is closed."""
    head = messages.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    length: int
    (length,) = HEAD.unpack(head)
    packed = messages.read(length)
    return packed if len(packed) == length else None


def _behave_as_a_part() -> None:
    """Leave signals to the bridge's process, exit with it, and disable core dumps, which would contain secrets."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - needed on Linux only, and here only

        ctypes.CDLL(None, use_errno=True).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
