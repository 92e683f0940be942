"""One alarm as JSON, the same on the command line and over HTTP; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import asdict

from bridge.clock import format_duration, format_rfc3339
from bridge.ledger import AlarmDetail, AlarmView, timeline_of, unpack_ids

_INTERNAL = (
    "seq",
    "digest",
    "claimed_by",
    "newest_starts_at",
    "newest_fired_at",
    "earliest_at",
    "is_newest",
    "first_sent_start",
    "sent_start",
    "named_ids",
    "earlier_ids",
    "earlier_starts",
    "phase",
)


def as_json(view: AlarmView) -> dict[str, Any]:
    """Return one alarm with its times as RFC 3339, without empty fields."""
    row = {name: getattr(view.alarm, name) for name in view.alarm.__struct_fields__ if name not in _INTERNAL}
    shown = {name: _time_or_value(name, value) for name, value in row.items() if value not in (None, False)}
    event = {"metadata": view.event.metadata, "annotations": view.event.annotations}
    context = msgspec.to_builtins(view.context)
    return {**shown, "event": event, "labels": context["alert"]["labels"], "group": context["group"]}


def detail_as_json(detail: AlarmDetail) -> dict[str, Any]:
    """Return one alarm with the steps of its history and its timeline."""
    entries = [
        {
            "at": format_rfc3339(entry.at),
            "kind": entry.kind,
            **({} if entry.after is None else {"after": format_duration(entry.after)}),
            "values": _shown(entry.values),
        }
        for entry in timeline_of(detail.view.alarm, detail.steps)
    ]
    steps = [{**_shown(asdict(step)), "at": format_rfc3339(step.at)} for step in detail.steps]
    ids = list(unpack_ids(detail.view.alarm.named_ids))
    return {**as_json(detail.view), **({"aom_ids": ids} if ids else {}), "steps": steps, "timeline": entries}


def _shown(values: Mapping[str, object]) -> dict[str, object]:
    return {name: _time_or_value(name, value) for name, value in values.items() if value is not None}


def _time_or_value(name: str, value: object) -> object:
    if name == "refresh_due":
        return bool(value)  # SQLite has no booleans
    if name == "timeout" and isinstance(value, int):
        return format_duration(value)
    is_time = name.endswith(("_at", "_since", "_seen")) and isinstance(value, int)
    return format_rfc3339(value) if is_time and isinstance(value, int) else value
