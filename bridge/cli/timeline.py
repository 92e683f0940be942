"""The timeline of one alarm as lines: when, how long after the line before it, and what happened.

In: the timeline as the API's JSON has it. Out: lines for people; programs read the JSON instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bridge.errors import without_stop
from bridge.ledger import TimelineKind

_SENTENCES: Mapping[TimelineKind | str, str] = {
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


def timeline_lines(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a line for each entry, the oldest first."""
    return [_line(entry) for entry in entries]


def _line(entry: Mapping[str, Any]) -> str:
    after = f"+{entry['after']}" if "after" in entry else ""
    return f"  {entry['at']} {after:>{_AFTER_WIDTH}}  {_sentence(entry)}"


def _sentence(entry: Mapping[str, Any]) -> str:
    values = dict(entry["values"])
    text, who, origin = (values.pop(name, None) for name in ("text", "who", "origin"))
    words = _SENTENCES.get(entry["kind"], entry["kind"])
    if who is not None:
        words += f" ({who}, {origin})"
    if text is not None:
        words += f": {text}"
    shown = [f"{name} {value}" for name, value in values.items()]
    return "; ".join([without_stop(words), _listed(shown)]) if shown else words


def _listed(texts: Sequence[str]) -> str:
    return ", ".join([*map(without_stop, texts[:-1]), *texts[-1:]])
