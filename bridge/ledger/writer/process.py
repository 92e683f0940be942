"""The ledger writer process itself: runs transactions beside the bridge's process, on another core.

In: steps from the bridge's process, over a socket. Out: the result of each after its commit, or its exception. It
serves one SQLite file on one connection, and must know neither HTTP nor AOM. It exits with the bridge's process, also
when that is killed. `bridge.ledger.writer.client` is the other side.
"""

from __future__ import annotations

import contextlib
import gc
import pickle
import resource
import signal
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Generic, NamedTuple, TypeVar

from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError

from bridge.errors import LedgerUnavailableError
from bridge.ledger.storage.database import WriteConnection, address, checked
from bridge.ledger.storage.sqlite import SqliteDatabase

T = TypeVar("T")
HEAD = struct.Struct("<Q")
"""The header of each request and answer: its length in bytes."""

_DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


class Steps(NamedTuple, Generic[T]):
    """The operation of a transaction, and another one that is run instead if the first fails and the database works."""

    first: Callable[[Connection], T]
    otherwise: Callable[[Connection], T] | None = None


def serve(theirs: socket.socket, url: str) -> None:
    """Run requests from a socket until it is closed; the first request is the identity of the ledger's files.

    Args:
        theirs: the socket.
        url: `store.url` of a SQLite file.
    """
    _behave_as_a_part()
    database = SqliteDatabase(Path(address(url).database or ""))
    with theirs, theirs.makefile("rb") as requests, contextlib.suppress(ConnectionError):
        identity = _next(requests)
        if identity is not None:
            database.join(pickle.loads(identity))  # noqa: S301 - the data comes from our own parent process over a socketpair
            _answer(theirs, (True, None))
            _run_all(requests, theirs, database)
    database.engine.dispose()


def main(arguments: Sequence[str]) -> None:
    """Run the process for `python -m bridge.ledger SOCKET URL`; the socket is given as a file descriptor."""
    number, url = arguments
    gc.set_threshold(20_000, 20, 20)  # as in the bridge's process
    serve(socket.socket(fileno=int(number)), url)


def _run_all(requests: BinaryIO, answers: socket.socket, database: SqliteDatabase) -> None:
    held = WriteConnection(database)
    while (request := _next(requests)) is not None:
        _answer(answers, _run(held, request))
    held.let_go()


def _run(held: WriteConnection, request: bytes) -> tuple[bool, Any]:
    steps: Steps[Any]
    try:
        steps, is_durable = pickle.loads(request)  # noqa: S301 - the data comes from our own parent process over a socketpair
    except Exception as error:  # noqa: BLE001 - a bad request must not end the process, which serves other requests
        return False, error
    is_done, result = _relieved(held, steps.first, is_durable=is_durable)
    if is_done or steps.otherwise is None or isinstance(result, OperationalError):
        return is_done, result
    return _relieved(held, steps.otherwise, is_durable=is_durable)


def _relieved(held: WriteConnection, step: Callable[[Connection], Any], *, is_durable: bool) -> tuple[bool, Any]:
    """Run a transaction, and retry it once if the cause of its failure could be removed."""
    is_done, result = _transaction(held, step, is_durable=is_durable)
    try:
        if is_done or not held.database.relieve(result):
            return is_done, result
    except LedgerUnavailableError as error:
        return False, error
    return _transaction(held, step, is_durable=is_durable)


def _transaction(held: WriteConnection, step: Callable[[Connection], Any], *, is_durable: bool) -> tuple[bool, Any]:
    try:
        with held.get(is_durable=is_durable, at_once=False).begin() as transaction:
            result = checked(held.database, step, transaction.connection)
    except Exception as error:  # noqa: BLE001 - each error is sent to the bridge's process
        held.let_go()
        return False, error
    return True, result


def _answer(answers: socket.socket, answer: tuple[bool, Any]) -> None:
    packed = _packed(answer)
    answers.sendall(HEAD.pack(len(packed)) + packed)


def _packed(answer: tuple[bool, Any]) -> bytes:
    try:
        return pickle.dumps(answer)
    except Exception:  # noqa: BLE001 - an error may contain objects that pickle does not accept
        return pickle.dumps((False, RuntimeError(repr(answer[1]))))


def _next(requests: BinaryIO) -> bytes | None:
    """Return the next request; None when the socket is closed."""
    head = requests.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    length: int
    (length,) = HEAD.unpack(head)
    request = requests.read(length)
    return request if len(request) == length else None


def _behave_as_a_part() -> None:
    """Leave signals to the bridge's process, exit with it, and disable core dumps, which would contain secrets."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - needed on Linux only, and here only

        ctypes.CDLL(None, use_errno=True).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
