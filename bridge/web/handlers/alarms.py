"""``/api/v1/alarms``: the ledger's alarms, and the OpenAPI description of all of ``/api/v1``; reads only."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from typing import Literal

import msgspec
import yaml
from aiohttp import web

from bridge.errors import LedgerUnavailableError, UnknownAlarmError
from bridge.ledger import STATES, AlarmFilter, AlarmRecords, AlarmView
from bridge.web.handlers.alarm_json import as_json, detail_as_json
from bridge.web.responses import answer, failure

_MAX_LISTED = 10_000


class AlarmsApi:
    """The reading handlers of ``/api/v1/alarms``.

    Args:
        records: lists and shows alarms.
    """

    right: Literal["status"] = "status"

    def __init__(self, records: AlarmRecords) -> None:
        self._records = records
        self._description = msgspec.json.encode(yaml.safe_load((files(__package__) / "openapi.yaml").read_bytes()))

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this module."""
        return [
            web.get("/api/v1/alarms", self.listing),
            web.get("/api/v1/alarms/{id}", self.show),
            web.get("/api/v1/openapi.json", self.describe),
        ]

    async def describe(self, _request: web.Request) -> web.Response:
        """Answer with the OpenAPI description."""
        return web.Response(body=self._description, content_type="application/json")

    async def listing(self, request: web.Request) -> web.Response:
        """Answer with alarms, the newest first; ``state`` (may be repeated), ``target``, ``source`` and ``limit``."""
        query = request.query
        states = query.getall("state", [])
        unknown = [state for state in states if state not in STATES]
        if unknown:
            return failure(f"no state is called {unknown[0][:40]!r}; there are {', '.join(STATES)}", 400)
        limit = query.get("limit", "1000")
        if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= _MAX_LISTED):
            return failure(f"limit must be 1 to {_MAX_LISTED}", 400)
        try:
            views = await self._all(
                AlarmFilter(states=states, target=query.get("target"), source=query.get("source"), limit=int(limit))
            )
        except LedgerUnavailableError as error:
            return failure(str(error), 503)
        return answer([as_json(view) for view in views])

    async def _all(self, chosen: AlarmFilter) -> list[AlarmView]:
        page = await self._records.search(chosen)
        views = page.views
        while page.next is not None and len(views) < chosen.limit:
            page = await self._records.search(replace(chosen, after=page.next, limit=chosen.limit - len(views)))
            views += page.views
        return views

    async def show(self, request: web.Request) -> web.Response:
        """Answer with one alarm and its history, named by its id, its fingerprint or the beginning of its id."""
        own_id = request.match_info["id"]
        try:
            detail = await self._records.show(own_id)
        except LedgerUnavailableError as error:
            return failure(str(error), 503)
        except UnknownAlarmError as error:
            return failure(str(error), 404)
        return answer(detail_as_json(detail))
