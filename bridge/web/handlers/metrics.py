"""``/metrics``: the registry, in the format that the scraper accepts; reads only.

Gauges of the ledger come from counts that it maintains; a scrape counts no rows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Literal

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from bridge.aom import AomClient
from bridge.clock import Clock
from bridge.errors import LedgerUnavailableError
from bridge.event import SEVERITIES
from bridge.ledger import STATES, Ledger
from bridge.metrics import Metrics


class MetricsHandler:
    """The handler of ``/metrics``.

    Args:
        metrics: the registry.
        ledger: its counts and ages are shown.
        clients: the AOM client of each target, for the expiry of its token.
        clock: the time.
    """

    right: Literal["status"] = "status"

    def __init__(self, metrics: Metrics, ledger: Ledger, clients: Mapping[str, AomClient], clock: Clock) -> None:
        self._metrics = metrics
        self._ledger = ledger
        self._clients = clients
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Return the route of this module."""
        return [web.get("/metrics", self.scrape)]

    async def scrape(self, request: web.Request) -> web.Response:
        """Answer one scrape; while the ledger is unavailable, the ages keep their last value."""
        self._set_counts()
        with contextlib.suppress(LedgerUnavailableError):  # the operator needs the other metrics most during an outage
            await self._set_ages()
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        response = web.Response(body=encode(self._metrics.registry), headers={"Content-Type": content_type})
        response.enable_compression()
        return response

    def _set_counts(self) -> None:
        counts, open_counts = self._ledger.counts(), self._ledger.open_counts()
        for name, client in self._clients.items():
            for state in STATES:
                self._metrics.alarms.labels(state, name).set(counts.get((state, name), 0))
            for severity in SEVERITIES:
                self._metrics.open_alarms.labels(name, severity).set(open_counts.get((name, severity), 0))
            expires_at = client.credentials.expires_at
            self._metrics.token_expiry.labels(name).set(0 if expires_at is None else expires_at / 1000)

    async def _set_ages(self) -> None:
        waiting = await self._ledger.due.waiting_since(self._clients)
        self._metrics.ledger_bytes.set(await self._ledger.size())
        now = self._clock()
        for name, since in waiting.items():
            self._metrics.oldest_due_age.labels(name).set(0 if since is None else max(0, now - since) / 1000)
