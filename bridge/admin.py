"""What changes something by hand, over HTTP: retry, clear and discard alarms, reload the configuration.

In: ``POST /api/v1/alarms/ID/retry`` (or ``clear``, ``discard``), ``POST /api/v1/alarms/retry`` for all rejected ones,
``POST /-/reload``. Out: what was done, as the command line says it. Only from loopback: who may reach the webhook may
not clear alarms.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from bridge.envelope import answer, failure
from bridge.errors import LedgerUnavailableError
from bridge.event import Mapped
from bridge.ledger import EDITS, Context, Edit, Ledger
from bridge.log import logger
from bridge.mapping import Mapper

Handler = Callable[[web.Request], Awaitable[web.Response]]

_log = logger("admin")


class Admin:
    """The changing handlers of ``/api/v1/alarms``.

    Args:
        ledger: what is changed.
        mapper: maps a rejected alert anew.
        reload: reads the configuration again; gives what is wrong with it, line by line.
    """

    def __init__(self, ledger: Ledger, mapper: Mapper, reload: Callable[[], Awaitable[list[str]]]) -> None:
        self._ledger = ledger
        self._mapper = mapper
        self._reload = reload

    def use(self, mapper: Mapper) -> None:
        """Map by other rules from now on."""
        self._mapper = mapper

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this room."""
        one = [web.post(f"/api/v1/alarms/{{id}}/{edit}", _guarded(self._handler(edit))) for edit in EDITS]
        every = [web.post("/api/v1/alarms/retry", _guarded(self.retry_all))]
        return [web.post("/-/reload", _guarded(self.reload)), *every, *one]

    async def reload(self, _request: web.Request) -> web.Response:
        """Reload; 500 with every mistake where the old configuration stays."""
        problems = await asyncio.shield(self._reload())  # a half reload is worse than a late answer
        if problems:
            return web.Response(status=500, text="\n".join(["the configuration was not reloaded:", *problems, ""]))
        return web.Response(text="the configuration was reloaded\n")

    async def retry_all(self, request: web.Request) -> web.Response:
        """Retry every rejected alarm, of one ``target`` or ``source`` where the query names it."""
        query = request.query
        results = await self._ledger.retry_all(query.get("target"), query.get("source"), self._map_anew)
        done = sum(result.done for result in results)
        _log.info("rejected alarms retried", done=done, refused=len(results) - done, peer=request.remote)
        return answer([msgspec.to_builtins(result) for result in results])

    def _handler(self, edit: Edit) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            (result,) = await self._ledger.edit(edit, [request.match_info["id"]], self._map_anew)
            _log.info("alarm edited", edit=edit, id=result.id, done=result.done, text=result.text, peer=request.remote)
            if result.done:
                return answer({"id": result.id, "text": result.text})
            return failure(result.text, 409 if result.found else 404)

        return handle

    def _map_anew(self, source: str, context: Context) -> Mapped:
        return self._mapper.map(source, context.alert, context.group).mapped


def _guarded(handle: Handler) -> Handler:
    async def guarded(request: web.Request) -> web.Response:
        problem = _stranger(request)
        if problem:
            _log.warning("an edit was refused", peer=request.remote, path=request.path[:200], reason=problem)
            return failure(problem, 403)
        try:
            return await handle(request)
        except LedgerUnavailableError as error:
            return failure(str(error), 503)

    return guarded


def _stranger(request: web.Request) -> str:
    """Say why a request may not change anything; empty when it may."""
    try:
        is_near = ipaddress.ip_address((request.remote or "").partition("%")[0]).is_loopback
    except ValueError:
        is_near = False
    if not is_near:
        return "changes are taken from loopback only. Fix: aom-bridge alarms on the bridge's own machine"
    origin = request.headers.get("Origin", "")
    if origin and origin.partition("://")[2] != request.host:
        return "a page of another site asked for this change"
    return ""
