"""Changes by an operator over HTTP: retry, clear and discard alarms, reload the configuration.

In: ``POST /api/v1/alarms/ID/retry`` (or ``clear``, ``discard``), ``POST /api/v1/alarms/retry`` for all rejected ones,
``POST /-/reload``. Out: what was done, in the words of the command line, and a log line with the caller's name.
`bridge.web.guard` decides who may do it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec
from aiohttp import web

from bridge.errors import LedgerUnavailableError
from bridge.event import Mapped
from bridge.ledger import EDITS, AlarmRecords, AlertContext, Edit, Edited
from bridge.log import logger
from bridge.mapping import Mapper
from bridge.web.caller import caller
from bridge.web.responses import WHO, answer, failure

Handler = Callable[[web.Request], Awaitable[web.Response]]

_log = logger("admin")


class Admin:
    """The changing handlers of ``/api/v1/alarms``.

    Args:
        records: lists and changes alarms.
        mapper: maps a rejected alert anew.
        reload: reads the configuration again; returns its problems, line by line.
    """

    right: Literal["admin"] = "admin"

    def __init__(self, records: AlarmRecords, mapper: Mapper, reload: Callable[[], Awaitable[list[str]]]) -> None:
        self._records = records
        self._mapper = mapper
        self._reload = reload

    def reconfigure(self, mapper: Mapper) -> None:
        """Use other rules from now on."""
        self._mapper = mapper

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this handler."""
        edits = [web.post(f"/api/v1/alarms/{{id}}/{edit}", _answering_outages(self._handler(edit))) for edit in EDITS]
        return [
            web.post("/-/reload", _answering_outages(self.reload)),
            web.post("/api/v1/alarms/retry", _answering_outages(self.retry_all)),
            *edits,
        ]

    async def reload(self, request: web.Request) -> web.Response:
        """Reload the configuration; 500 with every mistake if it is wrong, and the old one stays."""
        _log.info("reload requested", **_caller(request))
        problems = await asyncio.shield(self._reload())  # a client that disconnects must not interrupt a reload
        if problems:
            return web.Response(status=500, text="\n".join(["the configuration was not reloaded:", *problems, ""]))
        return web.Response(text="the configuration was reloaded\n")

    async def retry_all(self, request: web.Request) -> web.Response:
        """Retry every rejected alarm, of one ``target`` or ``source`` where the query names it."""
        query = request.query
        results = await self._records.retry_all(
            query.get("target"), query.get("source"), self._map_anew, caller(request, "api")
        )
        done = sum(result.done for result in results)
        _log.info("rejected alarms retried", done=done, refused=len(results) - done, **_caller(request))
        return answer([msgspec.to_builtins(result) for result in results])

    async def edit(self, request: web.Request, edit: Edit, way: Literal["api", "page"]) -> Edited:
        """Change the alarm that the path of a request names, and log it.

        Args:
            request: the request.
            edit: what is done.
            way: the way that it came by, for the history: ``api`` or ``page``.

        Raises:
            LedgerUnavailableError: the ledger cannot commit now; nothing was changed.
        """
        by = caller(request, way)
        (result,) = await self._records.edit(edit, [request.match_info["id"]], self._map_anew, by)
        done = {"id": result.id, "done": result.done, "text": result.text}
        _log.info("alarm edited", edit=edit, **done, **_caller(request))
        return result

    def _handler(self, edit: Edit) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            result = await self.edit(request, edit, "api")
            if result.done:
                return answer({"id": result.id, "text": result.text})
            return failure(result.text, 409 if result.found else 404)

        return handle

    def _map_anew(self, source: str, context: AlertContext) -> Mapped:
        return self._mapper.map(source, context.alert, context.group).mapped


def _caller(request: web.Request) -> dict[str, str]:
    return {"who": request[WHO], "peer": request.remote or ""}


def _answering_outages(handle: Handler) -> Handler:
    """Return the handler with a 503 for a ledger that is unavailable."""

    async def answered(request: web.Request) -> web.Response:
        try:
            return await handle(request)
        except LedgerUnavailableError as error:
            return failure(str(error), 503)

    return answered
