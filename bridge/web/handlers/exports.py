"""``/api/v1/alarms.csv`` and ``/api/v1/alarms.json``: every alarm that a search finds, streamed; reads only.

In: the parameters of ``/api/v1/alarms``. Out: a file of any length, one page of the search after the other, so that no
export takes more memory than a page. In CSV a cell that a spreadsheet would take for a formula is written as text.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

import msgspec
from aiohttp import web

from bridge.clock import Clock
from bridge.errors import BridgeError, LedgerUnavailableError
from bridge.ledger import AlarmFilter, AlarmRecords, AlarmView
from bridge.log import logger
from bridge.web.alarm_csv import csv_headings, csv_line
from bridge.web.alarm_query import read_alarm_query
from bridge.web.handlers.alarm_json import as_json
from bridge.web.responses import failure

_AT_ONCE = 200
_log = logger("web")


class Exports:
    """The handlers of the exports.

    Args:
        records: the ledger's.
        clock: the time.
    """

    right: Literal["status"] = "status"

    def __init__(self, records: AlarmRecords, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this handler."""
        return [web.get("/api/v1/alarms.csv", self.as_csv), web.get("/api/v1/alarms.json", self.as_json)]

    async def as_csv(self, request: web.Request) -> web.StreamResponse:
        """Answer with CSV as RFC 4180 has it, with one line of headings."""
        return await self._stream(request, "text/csv", "alarms.csv", csv_headings(), _csv_rows, b"")

    async def as_json(self, request: web.Request) -> web.StreamResponse:
        """Answer with the JSON of ``/api/v1/alarms``, of all alarms at once."""
        begin, end = b'{"status":"success","data":[', b"]}"
        return await self._stream(request, "application/json", "alarms.json", begin, _JsonRows(), end)

    async def _stream(
        self,
        request: web.Request,
        content_type: str,
        name: str,
        begin: bytes,
        rows: Callable[[Iterable[Mapping[str, Any]]], bytes],
        end: bytes,
    ) -> web.StreamResponse:
        try:
            chosen = read_alarm_query(request.query, self._clock(), _AT_ONCE)
            first = await self._records.search(chosen)
        except LedgerUnavailableError as error:
            return failure(str(error), 503)
        except BridgeError as error:
            return failure(str(error), 400)
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        response = web.StreamResponse(headers=headers)
        response.content_type, response.charset = content_type, "utf-8"
        response.enable_compression()
        await response.prepare(request)
        await response.write(begin + rows(map(as_json, first.views)))
        try:
            async for views in self._others(chosen, first.next):
                await response.write(rows(map(as_json, views)))
        except BridgeError as error:
            _log.warning("an export was broken off", error=str(error))
            if request.transport is not None:
                request.transport.abort()  # an end as usual would make half a file look whole
            return response
        await response.write(end)
        return response

    async def _others(self, chosen: AlarmFilter, after: str | None) -> AsyncIterator[list[AlarmView]]:
        while after is not None:
            page = await self._records.search(replace(chosen, after=after))
            yield page.views
            after = page.next


class _JsonRows:
    """Encodes rows of a JSON list, with a comma between two."""

    def __init__(self) -> None:
        self._is_first = True

    def __call__(self, rows: Iterable[Mapping[str, Any]]) -> bytes:
        encoded = b",".join(map(msgspec.json.encode, rows))
        comma = b"" if self._is_first or not encoded else b","
        self._is_first = self._is_first and not encoded
        return comma + encoded


def _csv_rows(rows: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(map(csv_line, rows))
