"""The emulated routes: IAM's token, AOM's report, clear, list and statistic.

In: HTTP requests. Out: the documented answers. A request passes the armed faults, the gateway's limit, the
credentials, the project and the validation, in this order. It keeps no alarm and no token itself. Rules:

- `PUT`, and `POST` too [old], on `/v2/{project_id}/push/events`, 204 without a body, `action=clear` clears
  and anything else reports, `Content-Type: application/json` is mandatory, `enterprise-project-id` is "0"
  by default [seed];
- `POST /v2/{project_id}/events` takes the same header, and `all_granted_eps` in it [sdk];
- `POST /v2/{project_id}/events/statistic` needs the same right and takes the same query and body [sdk];
- a body over 12 MB is 413 `APIGW.0201`, an unknown path, method or project is 404 `APIGW.0101` [gw];
- one bad event refuses the whole request with 400 `AOM.0400`, which does not say which one [seed];
- `POST /v3/auth/tokens` [iam].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from bridge.emulator.access import Access, Received
from bridge.emulator.alarms import Alarms, ProjectScope
from bridge.emulator.answers import PARSE_FAILED, RefusedError, json_response, no_such_api, refused, usual
from bridge.emulator.distortion import distorted
from bridge.emulator.faults import Faults, Operation
from bridge.emulator.interference import interfered
from bridge.emulator.journal import Entry, Journal
from bridge.emulator.options import Options
from bridge.emulator.query import ALL_ENTERPRISE_PROJECTS, Query, matching, read_query
from bridge.emulator.query import answer as list_answer
from bridge.emulator.rows import Row
from bridge.emulator.statistic import statistic
from bridge.emulator.validation import MAX_BODY_BYTES, Event, read_events, read_json

_Answer = Callable[[Received, Entry], web.Response]


@dataclass(kw_only=True, slots=True)
class Memory:
    """All that an emulator remembers; a reset puts new parts in the place of the old ones."""

    access: Access
    alarms: Alarms
    faults: Faults
    journal: Journal


class Api:
    """The services behind the routes, on one memory; `now` returns epoch milliseconds UTC."""

    def __init__(self, options: Options, now: Callable[[], int], memory: Memory) -> None:
        self._options = options
        self._now = now
        self._memory = memory

    async def token(self, request: web.Request) -> web.StreamResponse:
        """Serve IAM's `POST /v3/auth/tokens`."""
        return await self._serve(request, "token", self._issue)

    async def push(self, request: web.Request) -> web.StreamResponse:
        """Serve AOM's `/v2/{project_id}/push/events`, which reports or clears."""
        operation: Operation = "clear" if request.query.get("action") == "clear" else "report"
        scope = scope_of(request)

        def answer(received: Received, entry: Entry) -> web.Response:
            return self._push(received, entry, scope, operation)

        return await self._serve(request, operation, answer)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Serve AOM's `POST /v2/{project_id}/events`."""
        scope = scope_of(request)

        def answer(received: Received, entry: Entry) -> web.Response:
            return self._list(received, entry, scope)

        return await self._serve(request, "list", answer)

    async def statistic(self, request: web.Request) -> web.StreamResponse:
        """Serve AOM's `POST /v2/{project_id}/events/statistic`."""
        scope = scope_of(request)
        if self._options.statistic_scope == "project":
            scope = ProjectScope(scope.project, ALL_ENTERPRISE_PROJECTS)

        def answer(received: Received, entry: Entry) -> web.Response:
            return self._count(received, entry, scope)

        return await self._serve(request, "statistic", answer)

    async def unknown(self, request: web.Request) -> web.StreamResponse:
        """Answer every other path and method as the gateway does."""
        entry = self._memory.journal.arrived("unknown", self._now(), request.method, request.path_qs)
        entry.status = 404
        return refused(no_such_api())

    async def _serve(self, request: web.Request, operation: Operation, answer: _Answer) -> web.StreamResponse:
        entry = self._memory.journal.arrived(operation, self._now(), request.method, request.path_qs)
        received = await _received(request)

        def properly() -> web.Response:
            return self._answered(answer, received, entry, operation)

        response, entry.status = await interfered(request, operation, self._memory.faults, properly)
        return response

    def _answered(self, answer: _Answer, received: Received | None, entry: Entry, operation: Operation) -> web.Response:
        if received is None or len(received.body) > MAX_BODY_BYTES:
            return refused(usual(413, None, None), iam=operation == "token")
        try:
            return answer(received, entry)
        except RefusedError as error:
            return refused(error, iam=operation == "token")

    def _issue(self, received: Received, _entry: Entry) -> web.Response:
        try:
            body = read_json(received.body)
        except ValueError as error:
            raise RefusedError(400, "IAM.0011", "Request body is invalid.") from error
        issued = self._memory.access.issue(body, self._now())
        return json_response(issued.body, 201, {"X-Subject-Token": issued.token})

    def _push(self, received: Received, entry: Entry, scope: ProjectScope, operation: Operation) -> web.Response:
        self._admit(received, scope)
        events = self._events(received, scope, operation)
        if operation == "clear":
            self._clear(scope, events)
        else:
            self._memory.alarms.report(scope, events, self._now())
        entry.events = len(events)
        self._memory.journal.counts["events_cleared" if operation == "clear" else "events_reported"] += len(events)
        return web.Response(status=204)

    def _events(self, received: Received, scope: ProjectScope, operation: Operation) -> list[Event]:
        now = self._now()
        events, violations = read_events(received.body, clearing=operation == "clear", now=now)
        if not received.headers.get("Content-Type", "").lower().startswith("application/json"):
            violations.append("Content-Type: must be application/json")
        for text in violations:
            self._memory.journal.violated(now, scope.project, f"{operation}: {text}")
        if violations or self._memory.faults.poisoned(operation, [event.text for event in events]):
            raise RefusedError(400, "AOM.0400", PARSE_FAILED)
        return events

    def _clear(self, scope: ProjectScope, events: list[Event]) -> None:
        unknown = self._memory.alarms.unknown(scope, events, self._now())
        self._memory.journal.counts["unknown_ids"] += len(unknown)
        if unknown and self._options.unknown_id == 400:
            raise RefusedError(400, "AOM.0400", PARSE_FAILED)
        self._memory.alarms.clear(scope, events, self._now())

    def _list(self, received: Received, entry: Entry, scope: ProjectScope) -> web.Response:
        at = self._now() - self._options.list_lag_ms
        query, rows = self._found(received, scope, "list", at)
        page = distorted(list_answer(query, rows, at), query, self._memory.faults.distorting())
        entry.events = len(page.events)
        return json_response(page)

    def _count(self, received: Received, entry: Entry, scope: ProjectScope) -> web.Response:
        query, rows = self._found(received, scope, "statistic", self._now() - self._options.list_lag_ms)
        entry.events = len(rows)
        return json_response(statistic(query, rows, with_summary=self._options.statistic_summary))

    def _found(self, received: Received, scope: ProjectScope, operation: Operation, at: int) -> tuple[Query, list[Row]]:
        self._admit(received, scope)
        now = self._now()
        query = self._query(received, scope, operation, now)
        self._memory.alarms.expire(now)
        rows = self._memory.alarms.find(scope.project, query.required())
        return query, matching(query, rows, scope.enterprise_project, at)

    def _query(self, received: Received, scope: ProjectScope, operation: Operation, now: int) -> Query:
        first_value_only = self._options.relation_values == "one"
        try:
            body = read_json(received.body)
            return read_query(dict(received.query), body, now, first_value_only=first_value_only)
        except ValueError as error:
            self._memory.journal.violated(now, scope.project, f"{operation}: {error}")
            raise RefusedError(400, "AOM.0400", PARSE_FAILED) from error

    def _admit(self, received: Received, scope: ProjectScope) -> None:
        self._memory.access.check(received, self._now())
        if self._options.project_id not in (None, scope.project):
            raise no_such_api()


def scope_of(request: web.Request) -> ProjectScope:
    """Return the project of a request's path, with the enterprise project of its header."""
    header = request.headers.get("enterprise-project-id", "").strip()
    # aiohttp keeps bytes that are no UTF-8 as surrogates, which no answer could hold.
    enterprise_project = header.encode(errors="replace").decode()
    return ProjectScope(request.match_info["project_id"], enterprise_project or "0")


async def _received(request: web.Request) -> Received | None:
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        return None
    return Received(
        method=request.method,
        path=request.rel_url.raw_path,
        query=list(request.query.items()),
        headers=request.headers,
        body=body,
    )
