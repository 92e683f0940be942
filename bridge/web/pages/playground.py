"""``/playground``: what alerts become, by the rules in use or by others that a person edits; nothing is kept or sent.

In: a form with the fields `webhook` and `mapping`, or an address that holds them. Out: the page with the loader's
messages, what each alert becomes, and the difference to the rules in use. The rules run in a process with limits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, NamedTuple
from urllib.parse import urlencode

import msgspec
from aiohttp import web
from multidict import MultiMapping

from bridge.errors import BridgeError, LedgerUnavailableError
from bridge.ledger import AlarmFilter, AlarmRecords, AlarmView
from bridge.mapping.explain import GroupedAlert
from bridge.mapping.playground.pasted import as_pasted
from bridge.mapping.playground.trial import RunningRules, TrialRequest, TrialResult
from bridge.web.handlers.playground import MAX_KEPT, Run, kept_alerts
from bridge.web.pages.page import Page, Pages

_MAX_ADDRESS_CHARACTERS = 6_000
"""Longer addresses are refused by many proxies, and by this server beyond 8,190."""

_DEFAULT_LAST = 100
_FIELDS = ("webhook", "mapping", "source", "last")
Listed = Callable[[str], Awaitable[str]]


class PlaygroundParts(NamedTuple):
    """What the page needs of the bridge.

    ``rules``: returns the rules in use. ``run``: runs a trial. ``listed``: returns what the Alertmanager of a source
    shows now, as a webhook. ``sources``: returns all sources, and those that have an Alertmanager.
    """

    rules: Callable[[], RunningRules]
    run: Run
    listed: Listed
    sources: Callable[[], tuple[Sequence[str], Sequence[str]]]


class _Taken(NamedTuple):
    """The alerts that are taken from somewhere, or why they could not be."""

    webhook: str = ""
    problem: str = ""


class PlaygroundPage:
    """The handlers of ``/playground``.

    Args:
        pages: makes pages.
        records: the ledger's.
        parts: what else it needs.
    """

    right: Literal["status"] = "status"

    def __init__(self, pages: Pages, records: AlarmRecords, parts: PlaygroundParts) -> None:
        self._pages = pages
        self._records = records
        self._parts = parts

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this handler."""
        return [web.get("/playground", self.show), web.post("/playground", self.try_out)]

    async def show(self, request: web.Request) -> web.Response:
        """Answer with the form; tried already if the address holds a field, or names where alerts are taken from."""
        taken = await self._taken(request.query)
        fields = {name: request.query[name] for name in _FIELDS if name in request.query}
        if taken is not None:
            fields["webhook"] = taken.webhook
        return await self._rendered(request, fields, taken.problem if taken else "")

    async def try_out(self, request: web.Request) -> web.Response:
        """Answer with the form and the result of the trial."""
        form = await request.post()
        fields = {name: value for name in _FIELDS if isinstance(value := form.get(name), str)}
        return await self._rendered(request, fields, "")

    async def _taken(self, query: MultiMapping[str]) -> _Taken | None:
        """Return the alerts that an address names: of an alarm, of the newest one, or of an Alertmanager."""
        try:
            if "alarm" in query:
                return _Taken(_pasted((await self._records.show(query["alarm"])).view))
            if "newest" in query:
                found = await self._records.search(AlarmFilter(limit=1))
                return _Taken("".join(map(_pasted, found.views)))
            if "listed" in query:
                return _Taken(await self._parts.listed(query["listed"]))
        except BridgeError as error:
            return _Taken(problem=str(error))
        return None

    async def _rendered(self, request: web.Request, fields: Mapping[str, str], problem: str) -> web.Response:
        page = self._pages.of(request)
        in_use = self._parts.rules().mapping
        mapping = _plain_lines(fields.get("mapping", "")) or in_use
        webhook = fields.get("webhook", "")
        result = None if problem or not (fields.keys() & {"webhook", "mapping"}) else await self._tried(fields, in_use)
        names, with_alertmanager = self._parts.sources()
        return page.render(
            "playground.html",
            webhook=webhook,
            mapping=mapping,
            source=fields.get("source", ""),
            sources=names,
            with_alertmanager=with_alertmanager,
            last=_number(fields.get("last")),
            most=MAX_KEPT,
            result=result,
            problem=problem,
            reports=_reports(result),
            link=_link(page, webhook, mapping if mapping != in_use else "", fields),
        )

    async def _tried(self, fields: Mapping[str, str], in_use: str) -> TrialResult:
        mapping = _plain_lines(fields.get("mapping", ""))
        is_edited = bool(mapping) and mapping != in_use
        try:
            kept: tuple[GroupedAlert, ...] = ()
            if is_edited:
                kept = await kept_alerts(self._records, _number(fields.get("last")))
        except LedgerUnavailableError as error:
            return TrialResult(error=str(error))
        source = fields.get("source") or None
        request = TrialRequest(fields.get("webhook", ""), mapping if is_edited else None, source, kept)
        return await self._parts.run(request)


def _pasted(view: AlarmView) -> str:
    """Return the webhook that brought the alert of an alarm."""
    return as_pasted(GroupedAlert(view.alarm.source, view.context.alert, view.context.group))


def _plain_lines(text: str) -> str:
    """Return a text with the line ends of a file: a form sends CRLF."""
    return text.replace("\r\n", "\n")


def _number(text: str | None) -> int:
    if text is None or not (text.isascii() and text.isdigit()):
        return _DEFAULT_LAST
    return min(int(text[:6]), MAX_KEPT)


def _reports(result: TrialResult | None) -> list[str]:
    """Return the event of each explanation as JSON; the empty text where there is none."""
    if result is None:
        return []
    return [
        msgspec.json.format(msgspec.json.encode(one.report), indent=2).decode() if one.report else ""
        for one in result.explanations
    ]


def _link(page: Page, webhook: str, mapping: str, fields: Mapping[str, str]) -> str:
    """Return the address that holds the fields; the empty text if it would be too long."""
    held = {"webhook": webhook, "mapping": mapping, "source": fields.get("source", ""), "last": fields.get("last", "")}
    query = {name: text for name, text in held.items() if text}
    return page.url("playground", **query) if len(urlencode(query)) <= _MAX_ADDRESS_CHARACTERS else ""
