"""The cheapest HTTP/1.1 server there is in pure asyncio: for the sink, which must not be what is measured."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable

MAX_HEAD_BYTES = 1 << 16
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")

Answer = Callable[[bytes, bytes, bytes], bytes]
"""Takes method, path and body, gives the whole answer."""


class RawHttp(asyncio.Protocol):
    """One connection, kept alive; bodies have a Content-Length.

    Args:
        answer: what is answered.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._received = bytearray()
        self._needed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.WriteTransport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._received += data
        while len(self._received) >= self._needed:
            head_ends = self._received.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES)
            if head_ends < 0:
                return
            head = bytes(self._received[:head_ends])
            found = _LENGTH.search(head)
            body_starts = head_ends + 4
            self._needed = body_starts + (int(found[1]) if found else 0)
            if len(self._received) < self._needed:
                return
            method, path, _ = head.split(b" ", 2)
            self._transport.write(self._answer(method, path, bytes(self._received[body_starts : self._needed])))
            del self._received[: self._needed]
            self._needed = 1


def answer(status: bytes, body: bytes = b"") -> bytes:
    """Return an answer with a JSON body."""
    head = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return (b"HTTP/1.1 %b\r\n\r\n" % status) if status.startswith(b"204") else head % (status, len(body)) + body


async def serve(answer_to: Answer) -> None:
    """Listen on a free port of loopback, say which on standard output, and serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(lambda: RawHttp(answer_to), "127.0.0.1", 0, backlog=4_096)
    sys.stdout.write(f"listening {server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()
