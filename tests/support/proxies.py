"""What stands between a client and a server: TLS with a CA of its own, and a proxy that asks for a password."""

import asyncio
import base64
import contextlib
import ssl

import trustme


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
