"""``/alarms``: the ledger's alarms, searched, sorted and paged; reads only.

In: a request whose address holds every filter. Out: the page with up to 50 alarms, or with a sentence that says what is
wrong with a filter. A page takes a second at most, and says how far it has looked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from aiohttp import web

from bridge.errors import BridgeError, LedgerUnavailableError
from bridge.event import SEVERITIES
from bridge.ledger import STATE_GROUPS, STATES, AlarmPage, AlarmRecords
from bridge.web.alarm_query import PARAMETERS, read_alarm_query
from bridge.web.pages.page import Page, Pages

PAGE_SIZE = 50
_MORE = ("target", "source", "since", "until", "order")
"""The filters that are folded up on a phone, unless one of them is set."""

_FIRST_ORDER = "newest"
_EMPTY = AlarmPage([], None, None)
_Names = Callable[[], tuple[Sequence[str], Sequence[str]]]


class AlarmsPage:
    """The handler of ``/alarms``.

    Args:
        pages: makes pages.
        records: the ledger's.
        names: returns the names of the targets and the sources.
    """

    right: Literal["status"] = "status"

    def __init__(self, pages: Pages, records: AlarmRecords, names: _Names) -> None:
        self._pages = pages
        self._records = records
        self._names = names

    def routes(self) -> list[web.RouteDef]:
        """Return the route of this handler."""
        return [web.get("/alarms", self.show)]

    async def show(self, request: web.Request) -> web.Response:
        """Answer with the page; 400 with a sentence for a filter that cannot be used."""
        page = self._pages.of(request)
        try:
            chosen = read_alarm_query(request.query, page.now, PAGE_SIZE)
            found, problem, status = await self._records.search(chosen), "", 200
        except LedgerUnavailableError as error:
            found, problem, status = _EMPTY, str(error), 503
        except BridgeError as error:
            found, problem, status = _EMPTY, str(error), 400
        return self._rendered(page, request, found, problem, status)

    def _rendered(self, page: Page, request: web.Request, found: AlarmPage, problem: str, status: int) -> web.Response:
        targets, sources = self._names()
        query = {name: request.query.getall(name, []) for name in PARAMETERS if name != "page"}
        return page.render(
            "alarms.html",
            status=status,
            found=found,
            problem=problem,
            query=query,
            has_more=any(value not in ("", _FIRST_ORDER) for name in _MORE for value in query[name]),
            states=(*STATE_GROUPS, *STATES),
            severities=SEVERITIES,
            targets=targets,
            sources=sources,
            is_first="page" not in request.query,
        )
