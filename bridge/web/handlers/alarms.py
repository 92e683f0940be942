"""``/api/v1/alarms``: the ledger's alarms, searched and paged, and the OpenAPI description of all of ``/api/v1``.

In: requests whose address holds the search. Out: JSON. It reads only.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from aiohttp import web

from bridge.clock import Clock, format_rfc3339
from bridge.errors import BridgeError, LedgerUnavailableError, UnknownAlarmError
from bridge.ledger import AlarmPage, AlarmRecords
from bridge.web.alarm_query import QueryError, read_alarm_query
from bridge.web.handlers.alarm_json import as_json, detail_as_json
from bridge.web.handlers.description import description
from bridge.web.responses import answer, failure

_MAX_LISTED = 10_000
_DEFAULT_LISTED = "1000"


class AlarmsApi:
    """The reading handlers of ``/api/v1/alarms``.

    Args:
        records: searches and shows alarms.
        clock: the time.
    """

    right: Literal["status"] = "status"

    def __init__(self, records: AlarmRecords, clock: Clock) -> None:
        self._records = records
        self._clock = clock
        self._description = msgspec.json.encode(description())

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
        """Answer with one page of alarms, and the cursor of the next one."""
        try:
            chosen = read_alarm_query(request.query, self._clock(), _limit(request.query.get("limit", _DEFAULT_LISTED)))
            page = await self._records.search(chosen)
        except LedgerUnavailableError as error:
            return failure(str(error), 503)
        except BridgeError as error:
            return failure(str(error), 400)
        return answer([as_json(view) for view in page.views], **_rest(page))

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


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _MAX_LISTED):
        raise QueryError(f"limit must be 1 to {_MAX_LISTED}")
    return int(text)


def _rest(page: AlarmPage) -> dict[str, str]:
    """Return where to go on, and how far the search has looked if its time was up."""
    looked = {} if page.looked_until is None else {"looked_until": format_rfc3339(page.looked_until)}
    return ({} if page.next is None else {"next": page.next}) | looked
