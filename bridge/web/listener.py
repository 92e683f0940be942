"""One address that the bridge listens on; its socket stays open while the TLS context changes.

In: an application and a TLS context. Out: connections. When the context changes, a server with the new one takes over
the same socket: no connection is refused meanwhile, and open connections stay open.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from bridge.errors import BridgeError, of_listening
from bridge.rate_limit import PeerRateLimiter
from bridge.web.errors import ServerLog
from bridge.web.guard import is_loopback
from bridge.web.handshakes import logging_failures

BACKLOG = 4_096
"""Connections that may wait to be accepted: a storm of single-alert groups opens thousands at once."""

KEEPALIVE_SECONDS = 75
"""Time limit for the headers of each request of a connection, the first one included."""

HANDSHAKE_SECONDS = 10
_UNREAD_SECONDS = 30


@dataclass(frozen=True, slots=True)
class _Socket:
    """What a listener has once it listens.

    Attributes:
        runner: runs the application.
        servers: accept the connections, with the present TLS context.
        port: the port, also where any free one was wanted.
    """

    runner: web.AppRunner
    servers: list[asyncio.Server]
    port: int


class Listener:
    """Listens on one address.

    Args:
        host: the address; empty for all.
        port: 0 takes any free one.
        flag: the command line's option that gave the address.
    """

    def __init__(self, host: str, port: int, flag: str) -> None:
        self._host = host
        self._port = port
        self._flag = flag
        self._started: _Socket | None = None

    @property
    def is_on_loopback(self) -> bool:
        """Whether it can be reached from this machine only."""
        return self._host == "localhost" or is_loopback(self._host)

    @property
    def authority(self) -> str:
        """Host and port for an address of our own; valid after `start`."""
        host = f"[{self._host}]" if ":" in self._host else self._host or "127.0.0.1"
        return f"{host}:{self.port}"

    @property
    def port(self) -> int:
        """The port that it listens on; valid after `start`."""
        return self._socket.port

    @property
    def _socket(self) -> _Socket:
        if self._started is None:
            raise RuntimeError("not started")
        return self._started

    async def start(self, application: web.Application, tls: ssl.SSLContext | None, shutdown_seconds: float) -> None:
        """Listen.

        Raises:
            BridgeError: the address cannot be listened on.
        """
        runner = web.AppRunner(
            application,
            logger=ServerLog(PeerRateLimiter(asyncio.get_running_loop().time)),
            access_log=None,
            keepalive_timeout=KEEPALIVE_SECONDS,
            shutdown_timeout=shutdown_seconds,
        )
        await runner.setup()
        try:
            server = await _serve(runner, tls, {"host": self._host or None, "port": self._port})
        except OSError as error:
            await runner.cleanup()
            what, fix = of_listening(error, self._port)
            text = f"{self._host or '*'}:{self._port} cannot be listened on: {what}"
            raise BridgeError(f"{text}. Fix: {fix} {self._flag}.") from None
        self._started = _Socket(runner, [server], int(server.sockets[0].getsockname()[1]))
        for duplicate in _duplicated_sockets(self._started.servers):
            with duplicate:
                # Connections inherit the option: a client that never reads an answer is disconnected after this time.
                duplicate.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_SECONDS * 1000)

    async def prepare(self, tls: ssl.SSLContext | None) -> list[asyncio.Server]:
        """Return servers for the same sockets with another TLS context; they do not serve yet.

        Raises:
            OSError: a server could not be made; the others are closed again.
        """
        runner, duplicates = self._socket.runner, _duplicated_sockets(self._socket.servers)
        starting = [_serve(runner, tls, {"sock": duplicate, "start_serving": False}) for duplicate in duplicates]
        results = await asyncio.gather(*starting, return_exceptions=True)
        servers = [result for result in results if not isinstance(result, BaseException)]
        failures = [result for result in results if isinstance(result, BaseException)]
        if failures:
            for server in servers:
                server.close()
            raise failures[0]
        return servers

    async def reconfigure(self, servers: list[asyncio.Server]) -> None:
        """Let prepared servers accept all new connections; open connections stay open."""
        before = self._socket
        self._started = replace(before, servers=servers)
        for server in servers:
            await server.start_serving()
        for server in before.servers:
            server.close()

    async def stop(self) -> None:
        """Accept no new connection, and give requests in progress a moment to end; before `start`, do nothing."""
        if self._started is not None:
            for server in self._started.servers:
                server.close()
            await self._started.runner.cleanup()


def _duplicated_sockets(servers: list[asyncio.Server]) -> list[socket.socket]:
    """Return duplicates of the listening sockets: closing one of the two leaves the other open and listening."""
    listening = (own for server in servers for own in server.sockets)
    return [socket.socket(fileno=os.dup(own.fileno())) for own in listening]


async def _serve(runner: web.AppRunner, tls: ssl.SSLContext | None, where: dict[str, Any]) -> asyncio.Server:
    protocols: Any = runner.server  # aiohttp types it as a callable, create_server as a protocol factory
    if protocols is None:
        raise RuntimeError("the runner is not set up")
    if tls is not None:
        where |= {"ssl": logging_failures(tls), "ssl_handshake_timeout": HANDSHAKE_SECONDS, "ssl_shutdown_timeout": 1}
    loop = asyncio.get_running_loop()
    server: asyncio.Server = await loop.create_server(protocols, backlog=BACKLOG, **where)
    return server
