"""The connection to one ledger writer process: sends messages, and gives each its answer.

In: messages. Out: a future for each answer; answers have the order of the messages. It must not know what a message
means, nor when a process is started or killed: `bridge.ledger.writer.client` does.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from typing import cast

from bridge.ledger.writer.messages import HEAD, Answer, Failed, framed, read_answer

GONE = Failed("gone", "")
"""The answer to a message that the process did not answer before it exited."""


class WriterConnection(asyncio.Protocol):
    """The connection to one process, from `open` to its end.

    Attributes:
        answered: the number of answers received.
        has_ended: set when the process has closed the connection, because it exited.
    """

    def __init__(self) -> None:
        self.answered = 0
        self.has_ended = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[asyncio.Future[Answer]] = deque()
        self._received = bytearray()

    @classmethod
    async def open(cls, ours: socket.socket) -> WriterConnection:
        """Return the connection over a socket whose other end the process has."""
        _, connection = await asyncio.get_running_loop().create_unix_connection(cls, sock=ours)
        return connection

    @property
    def is_waiting(self) -> bool:
        """Whether a message has no answer yet."""
        return bool(self._waiting)

    def send(self, message: object) -> asyncio.Future[Answer]:
        """Send a message; the returned future gets the answer, or `GONE` if the process exits before."""
        frame = framed(message)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        if self._transport is None or self.has_ended.is_set():
            self.abandon()
        else:
            self._transport.write(frame)
        return answer

    def abandon(self) -> None:
        """Give up on the answers that have not come: the process has exited."""
        while self._waiting:
            self._settle(GONE)

    def close(self) -> None:
        """Close the connection; the process then exits."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Split the bytes that the process sent into answers."""
        received = self._received
        received += data
        while len(received) >= HEAD.size:
            end = HEAD.size + int(HEAD.unpack_from(received)[0])
            if len(received) < end:
                return
            answer = read_answer(received[HEAD.size : end])
            del received[:end]
            self.answered += 1
            self._settle(answer)

    def connection_lost(self, _error: Exception | None) -> None:
        """Note that the connection is closed."""
        self.has_ended.set()

    def _settle(self, answer: Answer) -> None:
        waiting = self._waiting.popleft()
        if not waiting.done():  # done: it was cancelled
            waiting.set_result(answer)
