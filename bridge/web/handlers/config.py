"""``/api/v1/status/config``: the configuration in use, as Prometheus shows its own; secrets are replaced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from aiohttp import web
from msgspec.structs import replace

from bridge.clock import Millis, format_rfc3339
from bridge.web.responses import answer


class LoadedConfig(msgspec.Struct, frozen=True):
    """The configuration in use.

    ``file``: its name. ``yaml``: without secrets. ``loaded_at``: when it was loaded. ``problems``: those of the last
    reload, line by line, if it failed.
    """

    file: str
    yaml: str
    loaded_at: Millis
    problems: Sequence[str] = ()


class ConfigView:
    """The handler of ``/api/v1/status/config``.

    Args:
        loaded: the configuration.

    Attributes:
        loaded: the configuration in use.
    """

    right: Literal["status"] = "status"

    def __init__(self, loaded: LoadedConfig) -> None:
        self.loaded = loaded

    def reconfigure(self, yaml: str, loaded_at: Millis) -> None:
        """Show another configuration from now on."""
        self.loaded = LoadedConfig(self.loaded.file, yaml, loaded_at)

    def failed(self, problems: Sequence[str]) -> None:
        """Show why a reload has failed, until the next one that does not."""
        self.loaded = replace(self.loaded, problems=problems)

    def routes(self) -> list[web.RouteDef]:
        """Return the route of this module."""
        return [web.get("/api/v1/status/config", self.show)]

    async def show(self, _request: web.Request) -> web.Response:
        """Answer with the configuration."""
        shown = {"yaml": self.loaded.yaml, "loaded_at": format_rfc3339(self.loaded.loaded_at)}
        problems = {"problems": self.loaded.problems} if self.loaded.problems else {}
        return answer({**shown, **problems})
