"""What people and other programs do in the same project: alarms put in, alarms cleared in the console.

In: orders under `/emulator/alarms/{project_id}`. Out: what was put in, or how many were cleared. No fault, no
credentials and no count of the API has to do with these orders, so that a test can give them at any time. The rules of
an alarm are those of a report: whatever metadata other programs have, the mandatory ones are among them.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from bridge.emulator.answers import json_response
from bridge.emulator.api import Memory, scope_of
from bridge.emulator.validation import read_events


class ByHand:
    """The orders that change alarms past the API; `now` returns epoch milliseconds UTC."""

    def __init__(self, now: Callable[[], int], memory: Memory) -> None:
        self._now = now
        self._memory = memory

    async def put_in(self, request: web.Request) -> web.Response:
        """Serve `POST`: take a report's body as of another program; answer with the alarms as a list shows them."""
        events, wrong = read_events(await request.read(), clearing=False, now=self._now())
        if wrong:
            return json_response({"error": "; ".join(wrong)}, 400)
        rows = self._memory.alarms.report(scope_of(request), events, self._now())
        return json_response([row.listed() for row in rows])

    async def clear(self, request: web.Request) -> web.Response:
        """Serve `DELETE`: clear the active alarms with this metadata, or with this `id`, now."""
        if not request.query:
            return json_response({"error": "name the alarms by metadata or id, as in ?event_name=x."}, 400)
        project = request.match_info["project_id"]
        return json_response({"cleared": self._memory.alarms.clear_by_hand(project, request.query, self._now())})
