"""Reads which alarms an address asks for: the same parameters for pages, exports and ``/api/v1/alarms``.

In: the query of an address. Out: an `AlarmFilter`, or `QueryError` that names the parameter and the fix. Matchers have
Alertmanager's syntax. Nothing is searched here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime

from multidict import MultiMapping

from bridge.clock import SECOND, Millis
from bridge.errors import BridgeError
from bridge.event import SEVERITIES
from bridge.ledger import ORDERS, STATE_GROUPS, STATES, AlarmFilter
from bridge.mapping.matcher import Matchers
from bridge.typed_yaml.scalars import parse_duration

PARAMETERS = (
    "filter",
    "state",
    "target",
    "source",
    "severity",
    "event_name",
    "text",
    "since",
    "until",
    "fingerprint",
    "order",
    "page",
)
"""What may be asked: `filter` and `state` may be repeated; `page` is the cursor of the page before."""


class QueryError(BridgeError):
    """A parameter of an address that cannot be used; the text names it, and the fix."""


def read_alarm_query(query: MultiMapping[str], now: Millis, limit: int) -> AlarmFilter:
    """Return which alarms a query asks for.

    Args:
        query: of the address; an empty value is as good as none, since forms send them.
        now: the time, from which durations count back.
        limit: the maximum number of alarms.

    Raises:
        QueryError: a parameter cannot be used.
    """
    given = {name: text for name in PARAMETERS if (text := query.get(name, "").strip())}
    states = [state for state in query.getall("state", []) if state]
    for state in states:
        _check("state", state, (*STATES, *STATE_GROUPS))
    _check("severity", given.get("severity"), SEVERITIES)
    _check("order", given.get("order"), ORDERS)
    return AlarmFilter(
        states=states,
        target=given.get("target"),
        source=given.get("source"),
        severity=given.get("severity"),
        event_name=given.get("event_name"),
        text=given.get("text"),
        labels=_labels([text for text in query.getall("filter", []) if text.strip()]),
        since=_time("since", given.get("since"), now),
        until=_time("until", given.get("until"), now),
        fingerprint=given.get("fingerprint"),
        order=next((one for one in ORDERS if one == given.get("order")), "newest"),
        after=given.get("page"),
        limit=limit,
    )


def _check(name: str, value: str | None, known: Collection[str]) -> None:
    if value is not None and value not in known:
        raise QueryError(f"{name}: no {name} is called {value[:40]!r}. Fix: one of {', '.join(known)}.")


def _labels(texts: list[str]) -> Callable[[Mapping[str, str]], bool] | None:
    try:
        every = [Matchers.parse(text) for text in texts]
    except ValueError as error:
        raise QueryError(f"filter: {error}") from None
    if not every:
        return None
    return lambda labels: all(one.failing(labels) is None for one in every)


def _time(name: str, text: str | None, now: Millis) -> Millis | None:
    """Return a time that is written as a duration back from now, or as a date with or without time and zone."""
    if text is None:
        return None
    try:
        return max(now - parse_duration(text), 0)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return int(moment.timestamp() * SECOND)
    except (ValueError, OverflowError):
        fix = "a duration such as 12h, which counts back from now, or a time such as 2026-11-27T06:00 (UTC)"
        raise QueryError(f"{name}: {text[:40]!r} is no duration and no time. Fix: write {fix}.") from None
