"""HTTP connections that exist only in memory, for aiohttp's own client: what it writes is a request for somebody.

In: the bytes of aiohttp's client. Out: method, path and body of each request, and the answer's bytes back, or a
connection that breaks. It knows nothing of what is asked.
"""

import asyncio

import aiohttp


class Wire(asyncio.Transport):
    """The client's end of one connection, in memory."""

    def __init__(self, protocol, take):
        super().__init__()
        self._protocol, self._take = protocol, take
        self._written = b""
        self._is_closed = False
        protocol.connection_made(self)

    def write(self, data):
        self._written += bytes(data)
        head, end, body = self._written.partition(b"\r\n\r\n")
        if not end:
            return
        line, *headers = head.decode().split("\r\n")
        length = next(int(h.split(":")[1]) for h in headers if h.lower().startswith("content-length:"))
        if len(body) < length:
            return
        self._written = body[length:]
        method, path, _ = line.split(" ")
        self._take(self, method, path, body[:length])

    def writelines(self, parts):
        self.write(b"".join(parts))

    def answer(self, status, body, headers):
        """Let the client hear an answer."""
        if self._is_closed:
            return
        fields = {"Content-Type": "application/json"} | headers
        lines = [f"HTTP/1.1 {status} Simulated", *(f"{name}: {value}" for name, value in fields.items())]
        if status != 204:
            lines.append(f"Content-Length: {len(body)}")
        self._protocol.data_received("\r\n".join([*lines, "", ""]).encode() + (b"" if status == 204 else body))

    def half(self):
        """Let the client hear the beginning of an answer."""
        if not self._is_closed:
            self._protocol.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{")

    def cut(self, error=None):
        """Break the connection."""
        if not self._is_closed:
            self._is_closed = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, error)

    def is_closing(self):
        return self._is_closed

    def close(self):
        self.cut()

    abort = close

    def pause_reading(self):
        pass

    resume_reading = pause_reading

    def get_write_buffer_size(self):
        return 0


class SimulatedConnector(aiohttp.BaseConnector):
    """What aiohttp's client connects by in the simulation; the arguments of a real connector mean nothing.

    Args:
        connect: opens a connection, as `Aom.connect`.
    """

    def __init__(self, connect, **_):
        super().__init__()
        self._connect = connect
        self._wires = []

    async def _create_connection(self, req, traces, timeout):  # noqa: ARG002, ASYNC109 - aiohttp's own
        protocol = self._factory()
        await self._connect(protocol, req.connection_key)
        return protocol
