"""``/api/v1/differences``: the alerts whose alarm was not what Alertmanager said in the last round; reads only.

In: what the ledger has stored of the last round of each source. Out: JSON, without what is over since then. No peer
is asked: `aom-bridge diff` beside the bridge asks Alertmanager and AOM itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from aiohttp import web

from bridge.clock import Clock, format_rfc3339
from bridge.errors import LedgerUnavailableError
from bridge.ledger import OpenAlarms
from bridge.web.responses import answer, failure


class DifferencesApi:
    """The handler of ``/api/v1/differences``.

    Args:
        open_alarms: the ledger's.
        sources: returns the sources that are compared with an Alertmanager.
        clock: the time.
    """

    right: Literal["status"] = "status"

    def __init__(self, open_alarms: OpenAlarms, sources: Callable[[], Sequence[str]], clock: Clock) -> None:
        self._open_alarms = open_alarms
        self._sources = sources
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Return the route of this handler."""
        return [web.get("/api/v1/differences", self.show)]

    async def show(self, _request: web.Request) -> web.Response:
        """Answer with the differences of every source."""
        try:
            rows = [row for source in self._sources() for row in await self._of(source)]
        except LedgerUnavailableError as error:
            return failure(str(error), 503)
        return answer(rows)

    async def _of(self, source: str) -> list[dict[str, Any]]:
        stored = await self._open_alarms.differing(source)
        if not stored:
            return []
        held = {one.fingerprint: one for one in await self._open_alarms.held(source) if one.fingerprint in stored}
        labels = await self._open_alarms.labels([one.seq for one in held.values()])
        now = self._clock()
        return [
            {
                "source": source,
                "fingerprint": fingerprint,
                "labels": labels.get(held[fingerprint].seq, {}) if fingerprint in held else {},
                **({"ledger": held[fingerprint].state} if fingerprint in held else {}),
                "difference": one.kind,
                "since": format_rfc3339(one.since),
                **({} if one.due_at is None else {"due_at": format_rfc3339(one.due_at)}),
                "waits_for": one.waits_for,
                "is_due": one.due_at is not None and one.due_at <= now,
            }
            for fingerprint, one in stored.items()
        ]
