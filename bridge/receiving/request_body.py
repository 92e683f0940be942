"""Reads request bodies within a maximum size, a timeout, and a memory budget that all of them share.

In: a request whose headers have been read. Out: its body, or an error with the reason. Bytes count as they arrive, so
that a client cannot use up the budget by announcing a large body and sending nothing.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from bridge.errors import BridgeError

MAX_SECONDS = 30
"""For one body; Alertmanager itself gives up after 10 s at the earliest."""

_CODINGS = ("", "identity", "gzip", "deflate")
"""The values of Content-Encoding that aiohttp decodes, and those that need no decoding."""

_MAX_WAIT_SECONDS = 5
"""For free memory in the budget."""


class BodyError(BridgeError):
    """A body that cannot be read.

    Attributes:
        status: the HTTP status of the answer.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Bodies:
    """The memory budget of all bodies in flight.

    The oldest body may always grow, so that many large ones end one after the other instead of all waiting for each
    other: at most ``max_total_bytes`` and one body are held.

    Args:
        max_body_bytes: for one body.
        max_total_bytes: for all bodies together.
    """

    def __init__(self, max_body_bytes: int, max_total_bytes: int) -> None:
        self.max_body_bytes = max_body_bytes
        self._max_total_bytes = max_total_bytes
        self._reserved = 0
        self._open: dict[Body, None] = {}
        self._waiting: dict[Body, tuple[int, asyncio.Future[None]]] = {}

    def reserve(self) -> Body:
        """Return an empty body; the caller closes it when its memory is free again."""
        body = Body(self)
        self._open[body] = None
        return body

    async def grow(self, body: Body, size: int) -> None:
        """Reserve ``size`` more bytes; wait until the budget allows it.

        Raises:
            TimeoutError: the budget did not allow it in time.
        """
        if not self._granted(body, size):
            granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting[body] = (size, granted)
            try:
                async with asyncio.timeout(_MAX_WAIT_SECONDS):
                    await granted
            finally:
                self._waiting.pop(body, None)

    def close(self, body: Body) -> None:
        """Release all of its bytes; waiting bodies that fit now may grow, the longest waiting first."""
        self._open.pop(body, None)
        self._reserved -= body.reserved
        body.reserved = 0
        for other, (size, granted) in list(self._waiting.items()):
            if not granted.done() and self._granted(other, size):
                granted.set_result(None)

    def _granted(self, body: Body, size: int) -> bool:
        if self._reserved + size > self._max_total_bytes and next(iter(self._open)) is not body:
            return False
        self._reserved += size
        body.reserved += size
        return True


class Body:
    """One body and the bytes of the budget that are reserved for it."""

    __slots__ = ("_bodies", "reserved")

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self.reserved = 0

    async def read(self, request: web.Request) -> bytes:
        """Return a request's body, decompressed.

        Raises:
            BodyError: it is too large, too slow or not what its headers say, or the budget is used up.
        """
        coding = request.headers.get("Content-Encoding", "").lower()
        if coding not in _CODINGS:
            fix = "send it uncompressed or with gzip"
            raise BodyError(400, f"the body's Content-Encoding {coding[:40]!r} is not supported. Fix: {fix}")
        length = request.content_length
        if length is not None and length > self._bodies.max_body_bytes:
            raise self._too_long()
        try:
            content = request.content
            if content.is_eof():
                complete = content.read_nowait()
                await self._reserve(len(complete))
                return complete
            async with asyncio.timeout(MAX_SECONDS):
                return await self._read_parts(request)
        except ConnectionError:
            raise BodyError(400, "the client disconnected before the end of the body") from None
        except web.RequestPayloadError as error:
            raise BodyError(400, f"the body is not what its headers say: {error}") from None
        except TimeoutError:
            raise BodyError(408, f"the body did not arrive within {MAX_SECONDS} s") from None

    def close(self) -> None:
        """Release the reserved bytes."""
        self._bodies.close(self)

    async def _read_parts(self, request: web.Request) -> bytes:
        parts = bytearray()
        while part := await request.content.readany():
            await self._reserve(len(part))
            parts += part
        return bytes(parts)

    async def _reserve(self, size: int) -> None:
        if self.reserved + size > self._bodies.max_body_bytes:
            raise self._too_long()
        try:
            await self._bodies.grow(self, size)
        except TimeoutError:
            text = "too many bodies are in flight (web.max_body_in_flight); nothing was kept"
            raise BodyError(503, text) from None

    def _too_long(self) -> BodyError:
        limit = self._bodies.max_body_bytes
        return BodyError(413, f"the body is over {limit} bytes (web.max_body); nothing was kept")
