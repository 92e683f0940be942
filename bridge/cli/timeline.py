"""The timeline of one alarm as lines: when, how long after the line before it, and what happened.

In: an alarm with its history. Out: lines for people; programs read the JSON instead.
"""

from __future__ import annotations

from collections.abc import Mapping

from bridge.clock import format_duration, format_rfc3339
from bridge.ledger import AlarmDetail, TimelineEntry, TimelineKind, timeline_of

_SENTENCES: Mapping[TimelineKind, str] = {
    "fired": "the alert began to fire",
    "received": "the bridge received and kept it",
    "accepted": "AOM accepted the report",
    "accepted_again": "AOM accepted the last report",
    "repeated": "its last firing was received",
    "resolved": "its resolve was received",
    "doubted": "the outcome of a report became unknown",
    "cleared": "finished: cleared",
    "rejected": "finished: rejected",
    "expired": "finished: expired",
    "discarded": "finished: discarded",
    "sending": "it is being sent; the lease ends then",
    "next_try": "next try",
    "retry": "retried by hand",
    "clear": "cleared by hand",
    "discard": "discarded by hand",
    "refused": "refused",
    "failed": "failed",
    "audit": "AOM's list",
}
_AFTER_WIDTH = 9


def timeline_lines(detail: AlarmDetail) -> list[str]:
    """Return a line for each entry, the oldest first."""
    return [_line(entry) for entry in timeline_of(detail.view.alarm, detail.steps)]


def _line(entry: TimelineEntry) -> str:
    after = "" if entry.after is None else f"+{format_duration(entry.after)}"
    return f"  {format_rfc3339(entry.at)} {after:>{_AFTER_WIDTH}}  {_sentence(entry)}"


def _sentence(entry: TimelineEntry) -> str:
    values = dict(entry.values)
    text, who, origin = (values.pop(name, None) for name in ("text", "who", "origin"))
    words = _SENTENCES[entry.kind]
    if who is not None:
        words += f" ({who}, {origin})"
    if text is not None:
        words += f": {text}"
    shown = ", ".join(f"{name} {_value(name, value)}" for name, value in values.items())
    return f"{words}; {shown}" if shown else words


def _value(name: str, value: str | int) -> str:
    return format_rfc3339(value) if name.endswith("_at") and isinstance(value, int) else str(value)
