"""The HTTP server: its listeners, the guard in front of every handler, and reloads of the web configuration.

In: handlers with their routes and the right that each requires. Out: answered requests. The web configuration is read
again when it, or a file that it refers to, changes; a broken file is logged, and the old policy stays.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from aiohttp import web
from multidict import CIMultiDict

from bridge.clock import Millis
from bridge.errors import of_listening
from bridge.file_watch import FileState, stat_files, watch
from bridge.log import logger
from bridge.metrics import Metrics
from bridge.rate_limit import PeerRateLimiter
from bridge.typed_yaml.problems import ConfigError
from bridge.web.accounts import Accounts
from bridge.web.errors import SAFE_HEADERS, ErrorPage, adding_headers, answering
from bridge.web.guard import ON_LOOPBACK, Guard, OnRefused
from bridge.web.handlers.description import query_parameters
from bridge.web.listener import Listener
from bridge.web.parameters import refusing_unknown
from bridge.web.policy import Policy, read_policy
from bridge.web.settings import Right

_log = logger("web")


class Handlers(Protocol):
    """A group of routes that require the same right."""

    @property
    def right(self) -> Right | None:
        """The right that a request needs; None: no authentication."""

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebOptions:
    """The options of the command line for the HTTP server.

    Attributes:
        config_file: `--web.config.file`; empty: no authentication and no TLS.
        admin_address: host and port of `--web.admin-listen-address`; None: all routes are served at one address.
        is_admin_open: `--web.enable-admin`.
    """

    config_file: str = ""
    admin_address: tuple[str, int] | None = None
    is_admin_open: bool = False


class WebServer:
    """The HTTP server of the bridge.

    Args:
        host: the address to listen on.
        port: the port; 0 takes any free one.
        options: the rest of the command line.
        metrics: where refusals are counted.
        error_page: makes the pages of errors.
        on_refused_webhook: called with each webhook that the guard refuses, and its answer.
    """

    def __init__(
        self,
        host: str,
        port: int,
        options: WebOptions,
        metrics: Metrics,
        *,
        error_page: ErrorPage,
        on_refused_webhook: OnRefused,
    ) -> None:
        self._error_page = error_page
        self._options = options
        self._metrics = metrics
        self._main = Listener(host, port, "--web.listen-address")
        self._admin = Listener(*options.admin_address, "--web.admin-listen-address") if options.admin_address else None
        self._log_limiter = PeerRateLimiter(time.monotonic)
        self._accounts = Accounts(Policy(), time.monotonic)
        self._guard = Guard(
            Policy(),
            self._accounts,
            metrics,
            time.monotonic,
            on_refused_webhook=on_refused_webhook,
            is_admin_open=options.is_admin_open,
        )
        self._set_policy(Policy())
        self._lock = asyncio.Lock()
        self._files: tuple[str, ...] = ()
        self._seen: FileState = ()
        self._must_retry = False
        self._watcher: asyncio.Task[None] | None = None

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
        self._set_policy(await self._read())
        self._seen = seen + stat_files(self._files[1:])

    async def start(self, handlers: Sequence[Handlers], shutdown_timeout: Millis) -> None:
        """Listen, as the web configuration says.

        Args:
            handlers: the routes that are served.
            shutdown_timeout: how long requests in progress may take at the stop.

        Raises:
            BridgeError: an address cannot be listened on.
        """
        self._metrics.web_config_successful.set(1)
        await self._listen(handlers, shutdown_timeout / 1000)
        self._log_posters()
        self._watcher = asyncio.create_task(self._watch(), name="web-config-watch")

    async def stop(self) -> None:
        """Accept no new request, and end the requests in progress; before `start`, do nothing."""
        if self._watcher is None:
            return
        async with self._lock:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        for listener in self._listeners():
            await listener.stop()
        self._accounts.stop()

    async def reload(self) -> list[str]:
        """Read the web configuration again; return its problems, line by line: if there are any, the old one stays."""
        if not self._options.config_file:
            return []
        async with self._lock:
            self._must_retry = False
            try:
                policy = await self._read()
                await self._reconfigure(policy)
            except ConfigError as error:
                return self._failed(error.lines())
            except OSError as error:
                self._must_retry = True
                return self._failed([f"the listeners could not change to it: {of_listening(error, 0).what}"])
            except Exception as error:  # noqa: BLE001 - a reload must not end the bridge; the next file may be right
                _log.exception("unexpected error while reloading the web configuration")
                return self._failed([f"the reload failed: {type(error).__name__}"])
            self._metrics.web_config_successful.set(1)
            _log.info("web configuration reloaded", file=self._options.config_file, holds=policy.summary)
            return []

    async def _reconfigure(self, policy: Policy) -> None:
        """Change all listeners and the guard to another policy; if one listener cannot change, none is changed."""
        ready: dict[Listener, list[asyncio.Server]] = {}
        try:
            for listener in self._listeners():
                ready[listener] = await listener.prepare(policy.tls)
        except BaseException:
            for server in chain(*ready.values()):
                server.close()
            raise
        self._set_policy(policy)
        for listener, servers in ready.items():
            await listener.reconfigure(servers)

    async def _listen(self, handlers: Sequence[Handlers], shutdown_seconds: float) -> None:
        main = [group for group in handlers if self._admin is None or group.right in (None, "webhook")]
        await self._main.start(self._application(main, self._main), self._policy.tls, shutdown_seconds)
        if self._admin is None:
            return
        admin = [group for group in handlers if group.right != "webhook"]
        try:
            await self._admin.start(self._application(admin, self._admin), self._policy.tls, shutdown_seconds)
        except BaseException:
            await self._main.stop()
            raise

    def _application(self, handlers: Sequence[Handlers], listener: Listener) -> web.Application:
        application = web.Application(middlewares=[answering(self._log_limiter, self._error_page)])
        application.on_response_prepare.append(adding_headers(lambda: self._headers))
        application[ON_LOOPBACK] = listener.is_on_loopback
        for group in handlers:
            for route in group.routes():
                right = group.right
                known = query_parameters().get((route.method, route.path))
                handle = route.handler if known is None else refusing_unknown(known, route.handler)
                handle = handle if right is None else self._guard.before(right, handle)
                web.RouteDef(route.method, route.path, handle, route.kwargs).register(application.router)
        return application

    def _set_policy(self, policy: Policy) -> None:
        self._policy = policy
        self._guard.reconfigure(policy)
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

    def _log_posters(self) -> None:
        """Log who may post notifications, with a fix where every client may and the port is not on loopback."""
        address, posters = self.url, self._policy.posters
        if posters or self._main.is_on_loopback:
            _log.info("listening", address=address, may_post=posters or "every program on this machine")
            return
        fix = "Fix: --web.config.file with users or tokens, or a network policy"
        _log.warning(f"everyone who reaches the port may post. {fix}", address=address)

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
