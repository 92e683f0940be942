"""One alarm as JSON, the same on the command line and over HTTP; pure."""

from __future__ import annotations

from typing import Any

import msgspec

from bridge.clock import format_duration, format_rfc3339
from bridge.ledger import AlarmView

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


def _time_or_value(name: str, value: object) -> object:
    if name == "refresh_due":
        return bool(value)  # SQLite has no booleans
    if name == "timeout" and isinstance(value, int):
        return format_duration(value)
    is_time = name.endswith(("_at", "_since", "_seen")) and isinstance(value, int)
    return format_rfc3339(value) if is_time and isinstance(value, int) else value
