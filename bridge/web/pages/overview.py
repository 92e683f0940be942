"""``/``: whether AOM is in step, in one sentence, and everything behind it; and the files that all pages load.

In: a request. Out: the page, which refreshes itself. It reads only.
"""

from __future__ import annotations

from typing import Literal

from aiohttp import web

from bridge.html import asset, asset_names
from bridge.web.overviews import Overviews
from bridge.web.pages.page import REFRESH_SECONDS, Pages
from bridge.web.pages.plots import HEIGHT, WIDTH, plots

_SHOWN_WEBHOOKS = 20


class OverviewPage:
    """The handler of ``/``.

    Args:
        pages: makes pages.
        overviews: reads what is shown.
    """

    right: Literal["status"] = "status"

    def __init__(self, pages: Pages, overviews: Overviews) -> None:
        self._pages = pages
        self._overviews = overviews

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this handler."""
        return [web.get("/", self.show), *(web.get(f"/{name}", self._asset) for name in asset_names())]

    async def show(self, request: web.Request) -> web.Response:
        """Answer with the page; ``webhooks=all`` shows all notifications that are remembered."""
        overview = await self._overviews.read()
        page = self._pages.of(request, refresh=REFRESH_SECONDS)
        sights = overview.sights
        shown = len(sights.webhooks) if request.query.get("webhooks") == "all" else _SHOWN_WEBHOOKS
        return page.render(
            "overview.html",
            overview=overview,
            sights=sights,
            webhooks=sights.webhooks[:shown],
            plots=plots(sights.points, page.now, page.language),
            width=WIDTH,
            height=HEIGHT,
        )

    async def _asset(self, request: web.Request) -> web.Response:
        body, content_type = asset(request.path[1:])
        headers = {"Cache-Control": "max-age=3600"}
        return web.Response(body=body, content_type=content_type, headers=headers)
