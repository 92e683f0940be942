"""``/``: the landing page with links, as on every exporter; reads only."""

from __future__ import annotations

import html
from typing import Literal

from aiohttp import web

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>aom-bridge</title></head>
<body>
<h1>aom-bridge</h1>
<p>Prometheus Alertmanager webhook bridge to Huawei Cloud AOM, version {version}.</p>
<p>Alertmanager posts to <code>/webhook</code>.</p>
<ul>
<li><a href="metrics">Metrics</a></li>
<li><a href="-/healthy">Health</a></li>
<li><a href="-/ready">Readiness</a></li>
</ul>
</body>
</html>
"""


class LandingPage:
    """The handler of ``/``.

    Args:
        version: the bridge's version.
    """

    right: Literal["status"] = "status"

    def __init__(self, version: str) -> None:
        self._text = _PAGE.format(version=html.escape(version))

    def routes(self) -> list[web.RouteDef]:
        """Return the route of this module."""
        return [web.get("/", self.show)]

    async def show(self, _request: web.Request) -> web.Response:
        """Answer with the page."""
        return web.Response(text=self._text, content_type="text/html")
