"""``/api/v1/status/config``: the configuration in use, as Prometheus shows its own; secrets are replaced."""

from __future__ import annotations

from typing import Literal

from aiohttp import web

from bridge.web.responses import answer


class ConfigView:
    """The handler of ``/api/v1/status/config``.

    Args:
        shown: the configuration as YAML, without secrets.
    """

    right: Literal["status"] = "status"

    def __init__(self, shown: str) -> None:
        self._shown = shown

    def reconfigure(self, shown: str) -> None:
        """Show another configuration from now on."""
        self._shown = shown

    def routes(self) -> list[web.RouteDef]:
        """Return the route of this module."""
        return [web.get("/api/v1/status/config", self.show)]

    async def show(self, _request: web.Request) -> web.Response:
        """Answer with the configuration."""
        return answer({"yaml": self._shown})
