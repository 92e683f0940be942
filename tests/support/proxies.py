"""What stands between a client and a server: TLS with a CA of its own, a proxy with a password, one that holds back."""

import asyncio
import base64
import contextlib
import math
import ssl

import aiohttp
import trustme
from aiohttp import web
from http_server import serving_routes


async def _pump(reader, writer):
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _join(reader, writer, port):
    inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))


@contextlib.asynccontextmanager
async def tls_in_front_of(port, folder, name="localhost"):
    """Serve a plain server with TLS; give the new port and the file of its CA."""
    ca = trustme.CA()
    file = folder / "ca.pem"
    ca.cert_pem.write_to_path(str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(name).configure_cert(context)
    server = await asyncio.start_server(lambda r, w: _join(r, w, port), "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], file


class Proxy:
    """An HTTP proxy for CONNECT that asks for user and password."""

    def __init__(self, user, password):
        self._expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.asked = []

    async def serve(self, reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except asyncio.IncompleteReadError:  # somebody only looked whether we are there
            writer.close()
            return
        method, place, _ = head.split(" ", 2)
        self.asked.append((method, place))
        if f"proxy-authorization: {self._expected}".lower() not in head.lower():
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await _join(reader, writer, int(place.rpartition(":")[2]))


@contextlib.asynccontextmanager
async def proxy(user="u", password="p"):  # noqa: S107 - the test's own
    """Run a proxy; give its port and what it was asked for."""
    made = Proxy(user, password)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    async with server:
        made.port = server.sockets[0].getsockname()[1]
        yield made


class Gate:
    """An HTTP proxy that can hold back answers with one path, which it has already got from the server.

    Attributes:
        held: how many answers wait here.
        fetched: how many answers with the path it has got, those included.
    """

    def __init__(self, server, path):
        self._server, self._path = server, path
        self._passes = math.inf
        self._changed = asyncio.Condition()
        self.held = self.fetched = 0

    async def let(self, passes=math.inf):
        """Let so many more answers pass, and hold back those after them."""
        async with self._changed:
            self._passes = passes
            self._changed.notify_all()

    async def serve(self, request):
        try:
            async with aiohttp.ClientSession() as session, session.get(self._server + request.path_qs) as response:
                body, date = await response.read(), response.headers["Date"]
        except aiohttp.ClientError:
            return web.Response(status=502)
        if request.path == self._path:
            self.fetched += 1
            await self._hold()
        return web.Response(status=response.status, body=body, headers={"Date": date})

    async def _hold(self):
        self.held += 1
        try:
            async with self._changed:
                await self._changed.wait_for(lambda: self._passes > 0)
                self._passes -= 1
        finally:
            self.held -= 1


@contextlib.asynccontextmanager
async def gate(server, path):
    """Run a gate in front of a server; give it and its address."""
    made = Gate(server, path)
    async with serving_routes(web.get("/{path:.*}", made.serve)) as url:
        yield made, url
