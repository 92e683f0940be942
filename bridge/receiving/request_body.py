"""Bodies in flight: read within a size, a time and a memory that all of them share.

In: a request whose headers have been read. Out: its body, or an error that says why not. What a body holds counts as it
arrives, so that nobody takes room by announcing much and sending nothing.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from bridge.errors import BridgeError

MAX_SECONDS = 30
"""For one body; Alertmanager itself gives up after 10 s at the earliest."""

_CODINGS = ("", "identity", "gzip", "deflate")
"""What aiohttp decodes, and what needs no decoding."""

_MAX_WAIT_SECONDS = 5
"""For room."""


class BodyError(BridgeError):
    """A body that cannot be read.

    Attributes:
        status: of the answer.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Bodies:
    """What bodies in flight may hold together.

    The oldest may always go on, so that many large ones end one after the other instead of all waiting for each other:
    the most that is held is ``most`` and one body.

    Args:
        largest: bytes of one body.
        most: bytes of all.
    """

    def __init__(self, largest: int, most: int) -> None:
        self.largest = largest
        self._most = most
        self._used = 0
        self._open: dict[Body, None] = {}
        self._waiting: dict[Body, tuple[int, asyncio.Future[None]]] = {}

    def open(self) -> Body:
        """Return an empty body; close it when what it held has been let go."""
        body = Body(self)
        self._open[body] = None
        return body

    async def grow(self, body: Body, size: int) -> None:
        """Take room for so many more bytes.

        Raises:
            TimeoutError: there was none for a while.
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
        """Give all of its room back; whoever waits and fits goes on, the longest waiting first."""
        self._open.pop(body, None)
        self._used -= body.held
        body.held = 0
        for other, (size, granted) in list(self._waiting.items()):
            if not granted.done() and self._granted(other, size):
                granted.set_result(None)

    def _granted(self, body: Body, size: int) -> bool:
        if self._used + size > self._most and next(iter(self._open)) is not body:
            return False
        self._used += size
        body.held += size
        return True


class Body:
    """One body and the room that it holds."""

    __slots__ = ("_bodies", "held")

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = bodies
        self.held = 0

    async def read(self, request: web.Request) -> bytes:
        """Return a request's body, decompressed.

        Raises:
            BodyError: it is too long, too slow or not what its headers say, or there is no room.
        """
        coding = request.headers.get("Content-Encoding", "").lower()
        if coding not in _CODINGS:
            text = f"the body's Content-Encoding is {coding[:40]!r}, which is not read. Fix: send it plain, or by gzip"
            raise BodyError(400, text)
        length = request.content_length
        if length is not None and length > self._bodies.largest:
            raise self._too_long()
        try:
            content = request.content
            if content.is_eof():
                whole = content.read_nowait()
                await self._hold(len(whole))
                return whole
            async with asyncio.timeout(MAX_SECONDS):
                return await self._read_on(request)
        except ConnectionError:
            raise BodyError(400, "the sender hung up before the end of the body") from None
        except web.RequestPayloadError as error:
            raise BodyError(400, f"the body is not what its headers say: {error}") from None
        except TimeoutError:
            raise BodyError(408, f"the body did not arrive within {MAX_SECONDS} s") from None

    def close(self) -> None:
        """Give the room back."""
        self._bodies.close(self)

    async def _read_on(self, request: web.Request) -> bytes:
        parts = bytearray()
        while part := await request.content.readany():
            await self._hold(len(part))
            parts += part
        return bytes(parts)

    async def _hold(self, size: int) -> None:
        if self.held + size > self._bodies.largest:
            raise self._too_long()
        try:
            await self._bodies.grow(self, size)
        except TimeoutError:
            text = "too many bodies are in flight (web.max_body_in_flight); nothing was kept"
            raise BodyError(503, text) from None

    def _too_long(self) -> BodyError:
        limit = self._bodies.largest
        return BodyError(413, f"the body is over {limit} bytes (web.max_body), and nothing of it was kept")
