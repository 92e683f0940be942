"""The health and readiness probes that every Prometheus component has.

Healthy: the process runs. Ready: the configuration is loaded and the ledger has committed a test write, in the same way
as for a webhook. An outage of AOM does not make the bridge unready: Alertmanager must be able to post meanwhile.
"""

from __future__ import annotations

import asyncio

from aiohttp import web

from bridge.errors import LedgerUnavailableError
from bridge.ledger import Ledger

_MAX_PROBE_SECONDS = 5


class HealthHandlers:
    """The handlers of ``/-/healthy`` and ``/-/ready``.

    Args:
        ledger: the readiness probe commits to it.
    """

    right: None = None

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._probing: asyncio.Task[str] | None = None

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this module."""
        return [web.get("/-/healthy", self.healthy), web.get("/-/ready", self.ready)]

    async def healthy(self, _request: web.Request) -> web.Response:
        """Answer 200 while the process runs."""
        return web.Response(text="aom-bridge is Healthy.\n")

    async def ready(self, _request: web.Request) -> web.Response:
        """Answer 200 when the ledger has just committed, else 503 with the reason.

        Concurrent probes share one commit: the endpoint is unauthenticated and commits are expensive.
        """
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._probe())
        probing = self._probing
        done, _ = await asyncio.wait({probing}, timeout=_MAX_PROBE_SECONDS)
        problem = probing.result() if done else "the ledger did not commit in time"
        if problem:
            return web.Response(status=503, text=f"aom-bridge is not ready: {problem}\n")
        return web.Response(text="aom-bridge is Ready.\n")

    async def _probe(self) -> str:
        try:
            await self._ledger.probe()
        except LedgerUnavailableError as error:
            return str(error)
        return ""
