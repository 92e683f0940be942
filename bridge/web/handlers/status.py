"""``/api/v1/status``: every figure of the status page as JSON; reads only.

In: a request. Out: whether AOM is in step, what is wrong, and everything behind it. What only this replica knows stands
below ``replica``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

import msgspec
from aiohttp import web

from bridge.clock import format_duration, format_rfc3339
from bridge.notification import OWN_SOURCES
from bridge.web.overview import Overview
from bridge.web.overviews import Overviews
from bridge.web.responses import answer
from bridge.web.status import Trouble

_TIMES = ("at", "since")
_SPANS = ("took", "every", "interval")


class StatusApi:
    """The handler of ``/api/v1/status``.

    Args:
        overviews: reads what is shown.
    """

    right: Literal["status"] = "status"

    def __init__(self, overviews: Overviews) -> None:
        self._overviews = overviews

    def routes(self) -> list[web.RouteDef]:
        """Return the route of this handler."""
        return [web.get("/api/v1/status", self.show)]

    async def show(self, _request: web.Request) -> web.Response:
        """Answer with the overview; also while the ledger is unavailable, and then it says so."""
        return answer(as_json(await self._overviews.read()))


def as_json(overview: Overview) -> dict[str, Any]:
    """Return an overview with its times as RFC 3339 and its durations as Prometheus writes them."""
    ledger: dict[str, Any] = shown(msgspec.to_builtins(overview.ledger))
    return {
        "at": format_rfc3339(overview.at),
        "in_step": overview.is_in_step,
        "sentence": overview.sentence.text(),
        "wrong": [_trouble(one) for one in overview.wrong],
        "stages": shown(msgspec.to_builtins(overview.stages)),
        "open": dict(overview.open),
        "targets": ledger["targets"],
        "sources": listed(ledger["sources"], {one.name for one in overview.sights.sources if one.interval}),
        "replica": shown(msgspec.to_builtins(overview.sights)),
    }


def listed(sources: Mapping[str, Any], asked: Collection[str]) -> dict[str, Any]:
    """Return the sources to list; those of the bridge's own alarms only while one is open.

    Args:
        sources: what the ledger says of each, as JSON.
        asked: those whose Alertmanager is asked, which each source says of itself as ``is_asked``.
    """
    return {
        name: {**one, "is_asked": name in asked}
        for name, one in sources.items()
        if name not in OWN_SOURCES or one["open"]
    }


def _trouble(trouble: Trouble) -> dict[str, str]:
    named = {"runbook": trouble.runbook, "state": trouble.state, "target": trouble.target}
    return {"text": trouble.text(), "level": trouble.level, **{name: text for name, text in named.items() if text}}


def shown(value: Any, name: str = "") -> Any:  # noqa: ANN401 - any JSON value, of which times and durations are written
    """Return a value of an API's answer; ``name``: of the field that holds it, which tells what a number means."""
    if isinstance(value, Mapping):
        return {key: shown(each, str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [shown(each) for each in value]
    if isinstance(value, int) and not isinstance(value, bool):
        if name in _TIMES or name.endswith(("_at", "_since", "_seen")):
            return format_rfc3339(value)
        return format_duration(value) if name in _SPANS else value
    return value
