"""``/alarms/ID``: one alarm, from its timeline to the rules behind it; with forms for changes by hand.

In: a request, the ledger's records, an explanation by the present rules. Out: the page. It
changes nothing: a form asks, and `bridge.web.pages.edits` answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal

import msgspec
from aiohttp import web

from bridge.clock import Millis
from bridge.errors import LedgerUnavailableError, UnknownAlarmError
from bridge.ledger import (
    EDITS,
    STATES,
    Alarm,
    AlarmDetail,
    AlarmFilter,
    AlarmRecords,
    AlarmView,
    Edit,
    TimelineEntry,
    timeline_of,
)
from bridge.mapping.explain import ExplainedField, Explanation
from bridge.web.languages import Key, Language
from bridge.web.pages.page import Page, Pages
from bridge.web.responses import MAY_CHANGE

_EARLIER = 20
Explain = Callable[[AlarmView, Millis], Explanation]


class Field(msgspec.Struct, frozen=True):
    """One metadata field or annotation as AOM got it; ``origin``: the rule that gives it; empty if it gives another."""

    name: str
    value: str
    origin: str


class AlarmHandlers:
    """The handler of ``/alarms/ID``.

    Args:
        pages: makes pages.
        records: the ledger's.
        explain: explains by the present rules what an alert becomes.
    """

    right: Literal["status"] = "status"

    def __init__(self, pages: Pages, records: AlarmRecords, explain: Explain) -> None:
        self._pages = pages
        self._records = records
        self._explain = explain

    def routes(self) -> list[web.RouteDef]:
        """Return the route of this handler."""
        return [web.get("/alarms/{id}", self.show)]

    async def show(self, request: web.Request) -> web.Response:
        """Answer with the page; ``confirm`` names a change that is asked about, ``done`` one that was done."""
        return await self._shown(request, "", 200)

    async def show_refusal(self, request: web.Request, sentence: str) -> web.Response:
        """Answer with the page of the alarm that a form has named, and why it was not changed."""
        return await self._shown(request, sentence, 409)

    async def _shown(self, request: web.Request, refused: str, status: int) -> web.Response:
        page = self._pages.of(request)
        try:
            detail = await self._records.show(request.match_info["id"])
            earlier = await self._earlier(detail.view)
        except LedgerUnavailableError as error:
            return page.error(str(error), 503)
        except UnknownAlarmError as error:
            return page.error(str(error), 404)
        return self._rendered(page, request, detail, earlier, refused=refused, status=status)

    async def _earlier(self, view: AlarmView) -> list[AlarmView]:
        """Return the other alarms of the same alert, the newest first."""
        alarm = view.alarm
        same = AlarmFilter(source=alarm.source, fingerprint=alarm.fingerprint, limit=_EARLIER + 1)
        found = await self._records.search(same)
        return [one for one in found.views if one.alarm.seq != alarm.seq][:_EARLIER]

    def _rendered(
        self,
        page: Page,
        request: web.Request,
        detail: AlarmDetail,
        earlier: list[AlarmView],
        *,
        refused: str,
        status: int,
    ) -> web.Response:
        view, query = detail.view, request.query
        explanation = self._explain(view, page.now)
        confirm = query.get("confirm", "")
        return page.render(
            "alarm.html",
            status=status,
            view=view,
            alarm=view.alarm,
            alert=view.context.alert,
            group=view.context.group,
            entries=list(_entries(timeline_of(view.alarm, detail.steps), page.language)),
            fields=_with_origins(view.event.metadata, {one.name: one for one in explanation.fields}),
            annotations=_with_origins(view.event.annotations, {one.name: one for one in explanation.annotations}),
            is_sent=view.alarm.first_reported_at is not None,
            earlier=earlier,
            is_finished=STATES[view.alarm.state].is_finished,
            may_change=request.get(MAY_CHANGE, False),
            edits=_possible(view.alarm),
            confirm=confirm if confirm in EDITS else "",
            done=done if (done := query.get("done", "")) in EDITS else "",
            refused=refused,
        )


def _possible(alarm: Alarm) -> tuple[Edit, ...]:
    """Return what can be done with an alarm in its state; the ledger decides in the end."""
    if alarm.state == "rejected" or alarm.due_at is not None:
        return EDITS
    return ("clear",) if STATES[alarm.state].is_finished else ("clear", "discard")


def _with_origins(values: Mapping[str, str], explained: Mapping[str, ExplainedField]) -> list[Field]:
    """Return what AOM got, with the rule that gives each value; a rule that has changed since may give another one."""
    return [Field(name, value, _origin(explained.get(name), value)) for name, value in values.items()]


def _origin(explained: ExplainedField | None, value: str) -> str:
    return explained.origin if explained is not None and explained.value == value else ""


def _entries(timeline: list[TimelineEntry], language: Language) -> Iterator[dict[str, object]]:
    refused_at = {entry.at for entry in timeline if entry.kind == "refused"}
    for entry in timeline:
        if entry.kind == "rejected" and entry.at in refused_at:
            continue  # the step of the refusal says the same, and more
        yield {"at": entry.at, "after": entry.after, "kind": entry.kind, "text": entry_text(entry, language)}


def entry_text(entry: TimelineEntry, language: Language) -> str:
    """Return one entry of a timeline in words."""
    values = dict(entry.values)
    cause = values.get("opened_by") or values.get("ended_by")
    why = values.get("detail") or values.get("reason") or ""
    is_ahead = entry.kind == "next_try" and bool(why)
    key = f"event_{entry.kind}" + "_cause" * (cause is not None) + "_why" * is_ahead
    values = {
        "why": why,
        "who": "",
        "origin": "",
        "text": "",
        "detail": "",
        "reason": "",
        "rule": "",
        "target": "",
        **values,
    }
    action = language.word("action_of", str(values.get("action", "")))
    text = language.text(key, cause=Key(f"cause_{cause}") if cause else "", **{**values, "action": action})
    return f"{text}: {why}" if why and not is_ahead else text
