"""``POST /alarms/ID/retry``, ``clear`` and ``discard``: changes by hand from the page of an alarm.

In: a form's request that the guard has allowed. Out: a redirect to the alarm's page, which says what was done; or
that page with why it was not. The change itself is that of the API.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Literal

from aiohttp import web

from bridge.errors import LedgerUnavailableError
from bridge.ledger import EDITS, Edit, Edited
from bridge.web.pages.alarm import AlarmHandlers
from bridge.web.pages.page import Pages

Apply = Callable[[web.Request, Edit, Literal["api", "page"]], Awaitable[Edited]]


class PageEdits:
    """The handlers of the forms.

    Args:
        pages: makes pages.
        alarms: shows the page of an alarm.
        apply: changes the alarm that a request names.
    """

    right: Literal["admin"] = "admin"

    def __init__(self, pages: Pages, alarms: AlarmHandlers, apply: Apply) -> None:
        self._pages = pages
        self._alarms = alarms
        self._apply = apply

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this handler."""
        return [web.post(f"/alarms/{{id}}/{edit}", partial(self._edit, edit)) for edit in EDITS]

    async def _edit(self, edit: Edit, request: web.Request) -> web.Response:
        page = self._pages.of(request)
        try:
            result = await self._apply(request, edit, "page")
        except LedgerUnavailableError as error:
            return page.error(str(error), 503)
        if not result.found:
            return page.error(result.text, 404)
        if not result.done:
            return await self._alarms.show_refusal(request, result.text)
        address = page.url(f"alarms/{result.id}", done=edit)
        return web.Response(status=303, headers={"Location": address})
