"""The listeners, the guard before every room, and the web configuration, read again when it or what it names changes.

In: rooms with their routes and the right that each asks for. Out: a door that is open. A new file that is broken keeps
the old policy and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from aiohttp import web
from multidict import CIMultiDict

from bridge.clock import Millis
from bridge.errors import of_listening
from bridge.file_watch import stat_files, watch
from bridge.log import logger
from bridge.metrics import Metrics
from bridge.rate_limit import PeerRateLimiter
from bridge.typed_yaml.problems import ConfigError
from bridge.web.accounts import Accounts
from bridge.web.errors import SAFE_HEADERS, answering
from bridge.web.guard import ON_LOOPBACK, Guard
from bridge.web.listener import Listener
from bridge.web.policy import Policy, read_policy
from bridge.web.settings import Right

_log = logger("door")


class Handlers(Protocol):
    """What stands behind the door."""

    @property
    def right(self) -> Right | None:
        """What a visitor needs; None: nothing."""

    def routes(self) -> list[web.RouteDef]:
        """Return its routes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebOptions:
    """The command line's part.

    Attributes:
        config_file: `--web.config.file`; empty: nobody needs credentials, and there is no TLS.
        admin_address: host and port of `--web.admin-listen-address`; None: everything is at one address.
        is_admin_open: `--web.enable-admin`.
    """

    config_file: str = ""
    admin_address: tuple[str, int] | None = None
    is_admin_open: bool = False


class WebServer:
    """The way in.

    Args:
        host: the address to listen on.
        port: the port; 0 takes any free one.
        options: the rest of the command line.
        metrics: where refusals are counted.
    """

    def __init__(self, host: str, port: int, options: WebOptions, metrics: Metrics) -> None:
        self._options = options
        self._metrics = metrics
        self._main = Listener(host, port, "--web.listen-address")
        self._admin = Listener(*options.admin_address, "--web.admin-listen-address") if options.admin_address else None
        self._turn = asyncio.Lock()
        self._use(Policy())
        self._files: tuple[str, ...] = ()
        self._must_retry = False

    @property
    def url(self) -> str:
        """The address of webhooks; valid after `start`."""
        return self._url(self._main)

    @property
    def admin_url(self) -> str:
        """The address of everything else; valid after `start`."""
        return self._url(self._admin or self._main)

    @property
    def port(self) -> int:
        """The port of webhooks; valid after `start`."""
        return self._main.port

    async def prepare(self) -> None:
        """Read the web configuration.

        Raises:
            ConfigError: with every mistake.
        """
        seen = stat_files([self._options.config_file])
        self._use(await self._read())
        self._seen = seen + stat_files(self._files[1:])

    async def start(self, rooms: Sequence[Handlers], farewell: Millis) -> None:
        """Listen, as the web configuration says.

        Args:
            rooms: what stands behind the door.
            farewell: what requests under way get at the stop.

        Raises:
            BridgeError: an address cannot be listened on.
        """
        monotonic = asyncio.get_running_loop().time
        self._lines = PeerRateLimiter(monotonic)
        self._accounts = Accounts(self._policy, monotonic)
        self._guard = Guard(
            self._policy, self._accounts, self._metrics, monotonic, is_admin_open=self._options.is_admin_open
        )
        self._metrics.web_config_successful.set(1)
        await self._listen(rooms, farewell / 1000)
        self._watcher = asyncio.create_task(self._watch(), name="web-config-watch")

    async def stop(self) -> None:
        """Take no new request, and end what is under way."""
        async with self._turn:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        for listener in self._listeners():
            await listener.stop()
        self._accounts.stop()

    async def reload(self) -> list[str]:
        """Read the web configuration again; return what is wrong, line by line: then the old one stays."""
        if not self._options.config_file:
            return []
        async with self._turn:
            self._must_retry = False
            try:
                policy = await self._read()
                await self._go_over_to(policy)
            except ConfigError as error:
                return self._failed(error.lines())
            except OSError as error:
                self._must_retry = True
                return self._failed([f"the listeners could not go over to it: {of_listening(error, 0).what}"])
            except Exception as error:  # noqa: BLE001 - whatever it was, the next file may do better
                _log.exception("reload of the web configuration stumbled")
                return self._failed([f"the reload failed: {type(error).__name__}"])
            self._metrics.web_config_successful.set(1)
            _log.info("web configuration reloaded", file=self._options.config_file, holds=policy.summary)
            return []

    async def _go_over_to(self, policy: Policy) -> None:
        """Change all listeners and the guard, or nothing."""
        ready: dict[Listener, list[asyncio.Server]] = {}
        try:
            for listener in self._listeners():
                ready[listener] = await listener.prepare(policy.tls)
        except BaseException:
            for server in chain(*ready.values()):
                server.close()
            raise
        self._use(policy)
        self._guard.reconfigure(policy)
        for listener, servers in ready.items():
            await listener.reconfigure(servers)

    async def _listen(self, rooms: Sequence[Handlers], farewell_seconds: float) -> None:
        main = [room for room in rooms if self._admin is None or room.right in (None, "webhook")]
        await self._main.start(self._application(main, self._main), self._policy.tls, farewell_seconds)
        if self._admin is None:
            return
        rest = [room for room in rooms if room.right != "webhook"]
        try:
            await self._admin.start(self._application(rest, self._admin), self._policy.tls, farewell_seconds)
        except BaseException:
            await self._main.stop()
            raise

    def _application(self, rooms: Sequence[Handlers], listener: Listener) -> web.Application:
        application = web.Application(middlewares=[answering(lambda: self._headers, self._lines)])
        application[ON_LOOPBACK] = listener.is_on_loopback
        for room in rooms:
            for route in room.routes():
                right = room.right
                handle = route.handler if right is None else self._guard.before(right, route.handler)
                web.RouteDef(route.method, route.path, handle, route.kwargs).register(application.router)
        return application

    def _use(self, policy: Policy) -> None:
        self._policy = policy
        headers = {**SAFE_HEADERS, **policy.headers}
        self._headers = CIMultiDict({name: value for name, value in headers.items() if value})

    async def _read(self) -> Policy:
        if not self._options.config_file:
            return Policy()
        files: list[str] = []
        try:
            policy = await asyncio.to_thread(read_policy, self._options.config_file, files)
        finally:
            self._files = tuple(files)
        for problem in policy.doubts:
            _log.warning("doubtful web configuration", place=problem.line_of(self._options.config_file))
        return policy

    def _failed(self, lines: list[str]) -> list[str]:
        self._metrics.web_config_successful.set(0)
        for line in lines:
            _log.error("web configuration not reloaded; the old one stays", problem=line)
        return lines

    async def _watch(self) -> None:
        async for _ in watch(lambda: self._files, self._seen, lambda: self._must_retry):
            await self.reload()

    def _listeners(self) -> list[Listener]:
        return [self._main] if self._admin is None else [self._main, self._admin]

    def _url(self, listener: Listener) -> str:
        return f"{'http' if self._policy.tls is None else 'https'}://{listener.authority}"
