"""``/config``: what runs, as YAML without secrets, and how the last reload went; reads only.

In: a request, the configuration in use. Out: the page.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from aiohttp import web

from bridge.web.handlers.config import LoadedConfig
from bridge.web.pages.page import Pages


class ConfigPage:
    """The handler of ``/config``.

    Args:
        pages: makes pages.
        loaded: returns the configuration in use.
    """

    right: Literal["status"] = "status"

    def __init__(self, pages: Pages, loaded: Callable[[], LoadedConfig]) -> None:
        self._pages = pages
        self._loaded = loaded

    def routes(self) -> list[web.RouteDef]:
        """Return the route of this handler."""
        return [web.get("/config", self.show)]

    async def show(self, request: web.Request) -> web.Response:
        """Answer with the page."""
        return self._pages.of(request).render("config.html", loaded=self._loaded())
