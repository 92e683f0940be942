"""The question of the list and of the statistic, and which rows answer it.

In: the query string's parts, the JSON body and the time. Out: a `Query`, the rows that match it, and one page of
them. It is pure and holds no row. Rules, all [sdk] (the request's and the body's models) unless marked:

- `type=active_alert` or `history_alert`; absent or anything else asks for everything; `limit` is 1,000 by
  default; `marker` starts at 0 and continues with `next_marker`, which the last page does not have;
- `time_range` is needed: `<start>.<end>.<minutes>`, -1 to have a bound computed, minutes above 0 and at
  least (end - start) / 60,000 - 1; an end later than now is cut to now;
- a marker is an offset into the list as it is now: what goes or comes between two pages moves the next one;
- minutes * 60 / period <= 1440; the period is `step`, in milliseconds and at least a minute, and a minute
  where it is absent;
- `metadata_relation`: AND all of them, OR one of them, NOT none of them; `sort` needs `order_by`;
- `enterprise-project-id: all_granted_eps` asks for every enterprise project.

The models speak of "the data of the last N minutes" and name no field: `starts_at` decides here, the first
time that a listed event has and the stricter choice for a client, whose alarm may be old. `search` looks
in metadata keys and values without regard to case; the models promise less, the mandatory values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from bridge.emulator.rows import Row
from bridge.emulator.validation import MINUTE_MS

ALL_ENTERPRISE_PROJECTS: Final = "all_granted_eps"
MAX_PERIODS: Final = 1_440
DEFAULT_LIMIT: Final = 1_000

_RANGE: Final = re.compile(r"(-1|\d{1,16})\.(-1|\d{1,16})\.(\d{1,9})")
_NUMBER: Final = re.compile(r"\d{1,9}")
_RELATIONS: Final = ("AND", "OR", "NOT")
_STATES: Final = {"active_alert": "active", "history_alert": "history"}
_TIMES: Final = ("starts_at", "ends_at", "arrives_at", "timeout")


@dataclass(frozen=True, kw_only=True, slots=True)
class Relation:
    """One condition: the metadata entry `key` has one of `values`; without values: the key is there."""

    key: str
    values: tuple[str, ...]
    relation: str

    def holds(self, metadata: dict[str, str]) -> bool:
        """Return whether the metadata fulfils the condition, before AND, OR or NOT is applied."""
        return metadata.get(self.key) in self.values if self.values else self.key in metadata


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """One valid question; `start` and `end` are epoch milliseconds, both included, `step` is in milliseconds."""

    state: str | None
    start: int
    end: int
    step: int
    limit: int
    offset: int
    search: str
    relations: tuple[Relation, ...]
    order_by: tuple[str, ...]
    descending: bool

    def required(self) -> list[tuple[str, tuple[str, ...]]]:
        """Return the (key, values) of which every row of the answer must have one value each."""
        return [(item.key, item.values) for item in self.relations if item.relation == "AND" and item.values]


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """One page of the list's answer, in the form of its JSON."""

    events: list[dict[str, object]]
    page_info: dict[str, object]


def read_query(query: dict[str, str], body: object, now: int, *, first_value_only: bool) -> Query:
    """Read a request of the list or of the statistic.

    Raises:
        ValueError: what is wrong with which field.
    """
    if not isinstance(body, dict):
        raise ValueError("body: must be a JSON object")  # noqa: TRY004 - one exception for every wrong request
    step = _period(body.get("step"))
    start, end = _range(body.get("time_range"), step, now)
    order_by, descending = _sort(body.get("sort"))
    return Query(
        state=_STATES.get(query.get("type", "")),
        start=start,
        end=end,
        step=step,
        limit=_number(query, "limit", DEFAULT_LIMIT, min_value=1),
        offset=_number(query, "marker", 0, min_value=0),
        search=_text(body.get("search"), "search").casefold(),
        relations=_relations(body.get("metadata_relation"), first_value_only=first_value_only),
        order_by=order_by,
        descending=descending,
    )


def matching(query: Query, rows: Iterable[Row], enterprise_project: str, at: int) -> list[Row]:
    """Return those of `rows` that match, as an AOM that is as old as `at` (epoch milliseconds) shows them."""
    return [row for row in rows if _matches(query, row, enterprise_project, at)]


def answer(query: Query, rows: Iterable[Row], at: int) -> Page:
    """Make the list's answer of the rows that match the query; `at` as for `matching`."""
    seen = sorted(rows, key=lambda row: (*_sort_key(query.order_by, row), row.sn), reverse=query.descending)
    page = seen[query.offset : query.offset + query.limit]
    events = [row.listed(active=row.seen(at) == "active") for row in page]
    return Page(events=events, page_info=_page_info(query, len(page), len(seen)))


def _matches(query: Query, row: Row, enterprise_project: str, at: int) -> bool:
    state = row.seen(at)
    return (
        state != "unseen"
        and query.state in (None, state)
        and query.start <= row.starts_at <= query.end
        and enterprise_project in (ALL_ENTERPRISE_PROJECTS, row.enterprise_project)
        and _related(query.relations, row.metadata)
        and _contains(query.search, row.metadata)
    )


def _related(relations: Sequence[Relation], metadata: dict[str, str]) -> bool:
    results: dict[str, list[bool]] = {name: [] for name in _RELATIONS}
    for condition in relations:
        results[condition.relation].append(condition.holds(metadata))
    return all(results["AND"]) and (not results["OR"] or any(results["OR"])) and not any(results["NOT"])


def _contains(search: str, metadata: dict[str, str]) -> bool:
    return not search or any(search in text.casefold() for entry in metadata.items() for text in entry)


def _sort_key(order_by: tuple[str, ...], row: Row) -> tuple[object, ...]:
    return tuple(getattr(row, name) if name in _TIMES else row.metadata.get(name, "") for name in order_by)


def _page_info(query: Query, on_page: int, in_all: int) -> dict[str, object]:
    info: dict[str, object] = {"current_count": on_page}
    if query.offset:
        info["previous_marker"] = str(max(query.offset - query.limit, 0))
    if query.offset + on_page < in_all and on_page:
        info["next_marker"] = str(query.offset + on_page)
    return info


def _range(value: object, period: int, now: int) -> tuple[int, int]:
    matched = _RANGE.fullmatch(value) if isinstance(value, str) else None
    if matched is None:
        raise ValueError("time_range: must be <start ms>.<end ms>.<minutes>, -1 for a computed start or end")
    start, end, minutes = (int(part) for part in matched.groups())
    span = minutes * MINUTE_MS
    _check_minutes(minutes, period)
    if end == -1:
        end = now if start == -1 else start + span
    start = end - span if start == -1 else start
    if end < start or minutes < (end - start) / MINUTE_MS - 1:
        raise ValueError("time_range: the minutes must be at least (end - start) / 60000 - 1")
    return start, min(end, now)


def _period(step: object) -> int:
    period = MINUTE_MS if step is None else step
    if not isinstance(period, int) or isinstance(period, bool) or period < MINUTE_MS:
        raise ValueError(f"step: must be an integer of at least {MINUTE_MS} milliseconds")
    return period


def _check_minutes(minutes: int, period: int) -> None:
    if minutes < 1:
        raise ValueError("time_range: the minutes must be above 0")
    if minutes * MINUTE_MS > MAX_PERIODS * period:
        raise ValueError(f"time_range: {minutes} minutes are more than {MAX_PERIODS} steps of {period} ms")


def _sort(value: object) -> tuple[tuple[str, ...], bool]:
    if value is None:
        return ("starts_at",), True
    order_by = value.get("order_by") if isinstance(value, dict) else None
    if not isinstance(order_by, list) or not order_by or not all(isinstance(name, str) for name in order_by):
        raise ValueError("sort.order_by: must be a list of field names")
    order = value.get("order", "desc") if isinstance(value, dict) else None
    if order not in ("asc", "desc"):
        raise ValueError("sort.order: must be asc or desc")
    return tuple(order_by), order == "desc"


def _relations(value: object, *, first_value_only: bool) -> tuple[Relation, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ValueError("metadata_relation: must be a list")  # noqa: TRY004 - one exception for every wrong request
    return tuple(_relation(item, position, first_value_only=first_value_only) for position, item in enumerate(value))


def _relation(item: object, position: int, *, first_value_only: bool) -> Relation:
    where = f"metadata_relation[{position}]"
    if not isinstance(item, dict) or not isinstance(item.get("key"), str) or not item["key"]:
        raise ValueError(f"{where}.key: must be a string that is not empty")
    values = item.get("value", [])
    if not isinstance(values, list) or not all(isinstance(text, str) for text in values):
        raise ValueError(f"{where}.value: must be a list of strings")
    relation = item.get("relation", "AND")
    if relation not in _RELATIONS:
        raise ValueError(f"{where}.relation: must be AND, OR or NOT")
    return Relation(key=item["key"], values=tuple(values[:1] if first_value_only else values), relation=relation)


def _text(value: object, where: str) -> str:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{where}: must be a string")
    return value or ""


def _number(query: dict[str, str], name: str, default: int, *, min_value: int) -> int:
    text = query.get(name, str(default))
    if _NUMBER.fullmatch(text) is None or int(text) < min_value:
        raise ValueError(f"{name}: must be a whole number of at least {min_value}")
    return int(text)
