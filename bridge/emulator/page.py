"""The emulator's page for people: what is active, what was cleared, what is broken on purpose.

In: a snapshot, the armed faults and the time. Out: one HTML text without scripts. It reads nothing else; the severities
are the four of [seed].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from bridge.html import Environment, age, moment

MAX_ROWS: Final = 200
REFRESH_S: Final = 2

_TILES: Final = {
    "active": "active alarms",
    "cleared": "cleared",
    "by_timeout": "of them by age",
    "events_reported": "events reported",
    "events_cleared": "events to clear",
    "report": "report requests",
    "clear": "clear requests",
    "list": "list requests",
    "statistic": "statistic requests",
    "token": "token requests",
}
_ALARMS: Final = (
    ("Active alarms", "Since", "starts_at", "active"),
    ("Recently cleared", "Cleared", "ends_at", "history"),
    ("Events", "Since", "starts_at", "events"),
)
_pages = Environment(__package__)


def page(snapshot: dict[str, Any], faults: list[dict[str, object]], now: int) -> str:
    """Draw the page; `now` is in epoch milliseconds, the snapshot's lists are oldest first."""
    counts = snapshot["counts"]
    tiles = [(counts[name], text) for name, text in _TILES.items()]
    return _pages.render(
        "emulator.html",
        language="en",
        root="",
        active=len(snapshot["active"]),
        now=moment(now),
        tiles=[*tiles, (snapshot["violations_total"], "violations")],
        lists=[_alarms(title, when, field, snapshot[key], now) for title, when, field, key in _ALARMS],
        faults=[msgspec.json.encode(fault).decode() for fault in faults],
        violations=[
            (_time(violation["time"], now), violation["project"], violation["text"])
            for violation in _newest(snapshot["violations"])
        ],
        violations_total=snapshot["violations_total"],
    )


def _alarms(title: str, when: str, field: str, rows: list[dict[str, Any]], now: int) -> dict[str, object]:
    shown = [_alarm(row, row[field], now) for row in _newest(rows)]
    return {"title": title, "when": when, "rows": shown, "total": len(rows)}


def _alarm(row: dict[str, Any], at: int, now: int) -> dict[str, object]:
    metadata = row["metadata"]
    names = ("resource_provider", "resource_type", "resource_id")
    message = row["annotations"].get("message", "")
    return {
        "severity": metadata["event_severity"],
        "name": metadata["event_name"],
        "resource": " / ".join(metadata[name] for name in names),
        "time": _time(at, now),
        "message": message if isinstance(message, str) else msgspec.json.encode(message).decode(),
    }


def _newest(rows: Sequence[Any]) -> Sequence[Any]:
    return rows[: -MAX_ROWS - 1 : -1]


def _time(at: int, now: int) -> dict[str, str]:
    return {"age": f"{age(now - at)} ago", "moment": f"{moment(at)} UTC"}
