"""The emulator's page for people: what is active, what was cleared, what is broken on purpose.

In: a snapshot, the armed faults and the time. Out: one HTML text without scripts, which renews itself. It
reads nothing else and escapes every value, because labels and messages are untrusted. The severities
are the four of [seed].
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any, Final

import msgspec

MAX_ROWS: Final = 200
_MAX_TEXT: Final = 300

_STYLE: Final = """
:root{color-scheme:light dark;--page:#f4f5f7;--card:#fff;--ink:#1c2330;--dim:#667085;--line:#e4e7ec}
@media(prefers-color-scheme:dark){:root{--page:#12151b;--card:#1b2029;--ink:#e6e9ef;--dim:#98a2b3;--line:#2c3340}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1180px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:22px;margin:0}h2{font-size:16px;margin:32px 0 10px}h2 small{color:var(--dim);font-weight:400}
p{margin:4px 0;color:var(--dim)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(128px,1fr));gap:12px;margin-top:20px}
.tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 14px}
.tile b{display:block;font-size:24px;line-height:1.2;font-variant-numeric:tabular-nums}
.tile span{color:var(--dim);font-size:13px}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;overflow-x:auto}
table{border-collapse:collapse;width:100%}
th{font-size:12px;text-align:left;color:var(--dim);font-weight:600}
th,td{padding:8px 14px;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child td{border-bottom:0}
td{overflow-wrap:anywhere}.time{white-space:nowrap;font-variant-numeric:tabular-nums}
.severity{display:inline-block;min-width:68px;text-align:center;border-radius:6px;padding:1px 8px}
.severity{font-size:13px;font-weight:600;color:#fff;background:#667085}
.Critical{background:#b42318}.Major{background:#c4500a}.Minor{background:#8a6100}.Info{background:#175cd3}
code{font:13px/1.5 ui-monospace,monospace}
.none{padding:14px;color:var(--dim)}
"""

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
_UNITS: Final = (("d", 86_400), ("h", 3_600), ("min", 60))


def page(snapshot: dict[str, Any], faults: list[dict[str, object]], now: int) -> str:
    """Draw the page; `now` is in epoch milliseconds, the snapshot's lists are oldest first."""
    active = len(snapshot["active"])
    sections = (
        _alarms("Active alarms", "Since", "starts_at", snapshot["active"], now),
        _alarms("Recently cleared", "Cleared", "ends_at", snapshot["history"], now),
        _alarms("Events", "Since", "starts_at", snapshot["events"], now),
        _section("Armed faults", ("Order",), [(_code(fault),) for fault in faults], len(faults)),
        _violations(snapshot["violations"], snapshot["violations_total"], now),
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="refresh" content="2">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>AOM emulator: {active} active</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>AOM emulator</h1><p>Huawei Cloud AOM and IAM, emulated on loopback. {_moment(now)} UTC</p>"
        f"{_tiles(snapshot['counts'], snapshot['violations_total'])}{''.join(sections)}</main></body></html>"
    )


def _tiles(counts: dict[str, int], violations: int) -> str:
    numbers = [(counts[name], text) for name, text in _TILES.items()] + [(violations, "violations")]
    tiles = (f'<div class="tile"><b>{number:,}</b><span>{text}</span></div>' for number, text in numbers)
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _alarms(title: str, when: str, field: str, rows: list[dict[str, Any]], now: int) -> str:
    newest = rows[: -MAX_ROWS - 1 : -1]
    cells = [_alarm(row, row[field], now) for row in newest]
    return _section(title, ("Severity", "Name", "Resource", when, "Message"), cells, len(rows))


def _alarm(row: dict[str, Any], at: int, now: int) -> tuple[str, ...]:
    metadata = row["metadata"]
    severity = escape(metadata["event_severity"])
    resource = " / ".join(metadata[name] for name in ("resource_provider", "resource_type", "resource_id"))
    return (
        f'<span class="severity {severity}">{severity}</span>',
        _text(metadata["event_name"]),
        _text(resource),
        _time(at, now),
        _text(row["annotations"].get("message", "")),
    )


def _violations(violations: list[dict[str, Any]], total: int, now: int) -> str:
    newest = violations[: -MAX_ROWS - 1 : -1]
    cells = [
        (_time(violation["time"], now), _text(violation["project"]), _text(violation["text"])) for violation in newest
    ]
    return _section("Violations", ("When", "Project", "What"), cells, total)


def _section(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], total: int) -> str:
    """Draw a table of cells that are HTML already."""
    shown = f"{total:,}" if total <= len(rows[:MAX_ROWS]) else f"newest {len(rows[:MAX_ROWS])} of {total:,}"
    heading = f"<h2>{title} <small>{shown}</small></h2>"
    if not rows:
        return f'{heading}<div class="card none">none</div>'
    heads = "".join(f"<th>{name}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows[:MAX_ROWS])
    return f'{heading}<div class="card"><table><tr>{heads}</tr>{body}</table></div>'


def _text(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return escape(text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "\u2026")


def _code(value: object) -> str:
    return f"<code>{_text(msgspec.json.encode(value).decode())}</code>"


def _time(at: int, now: int) -> str:
    return f'<span class="time" title="{_moment(at)} UTC">{_age(at, now)}</span>'


def _age(at: int, now: int) -> str:
    seconds = max(now - at, 0) // 1_000
    for name, length in _UNITS:
        if seconds >= length:
            return f"{seconds // length} {name} ago"
    return f"{seconds} s ago"


def _moment(at: int) -> str:
    try:
        return f"{datetime.fromtimestamp(at / 1_000, UTC):%Y-%m-%d %H:%M:%S}"
    except (OverflowError, ValueError, OSError):
        return escape(str(at))
