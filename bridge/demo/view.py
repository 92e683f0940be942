"""Draws the progress of the demo and AOM's state; pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bridge.demo.replay import ReplayStep
from bridge.event import SEVERITIES

_COLOURS = {"Critical": "bold red", "Major": "red", "Minor": "yellow", "Info": "cyan"}
_ROWS = 8
_MAX_NAME_CHARACTERS = 48

HINT = """
Both keep running. AOM's state: {aom}/
Point a real Alertmanager at the bridge:

  receivers:
    - name: aom
      webhook_configs:
        - url: {url}/webhook
          send_resolved: true
          max_alerts: 0

Ctrl-C ends the demo."""


@dataclass(slots=True)
class Progress:
    """What Alertmanager has sent so far."""

    total: int = 0
    done: int = 0
    firing: int = 0
    resolved: int = 0
    last: str = ""
    kept: Counter[str] = field(default_factory=Counter)

    def sent(self, step: ReplayStep, answer: str) -> None:
        """Note one webhook and the bridge's answer, such as ``kept: 3 new, 1 repeat``."""
        self.done += 1
        self.firing += step.firing
        self.resolved += step.resolved
        self.last = step.name
        for part in answer.removeprefix("kept: ").split(", "):
            count, _, word = part.partition(" ")
            if count.isdigit():
                self.kept[word] += int(count)


def render(progress: Progress, aom: dict[str, Any]) -> RenderableType:
    """Return the whole view: progress, sent alerts, AOM's alarms."""
    columns = Table.grid(expand=True, padding=(0, 1))
    for _ in range(3):
        columns.add_column(ratio=1)
    columns.add_row(_came_in(progress), _active(aom), _cleared(aom))
    return Group(_bar(progress), columns, _worst(aom))


def _bar(progress: Progress) -> RenderableType:
    row = Table.grid(expand=True, padding=(0, 1))
    row.add_column(ratio=1)
    row.add_column()
    bar = ProgressBar(total=max(1, progress.total), completed=progress.done)
    row.add_row(bar, Text(f"{progress.done} of {progress.total} webhooks"))
    return row


def _came_in(progress: Progress) -> Panel:
    lines = [f"{progress.firing} firing, {progress.resolved} resolved", f"last: {progress.last}", ""]
    lines += [f"{count:>5} {word}" for word, count in progress.kept.most_common()]
    return Panel(Text("\n".join(lines)), title="Alertmanager sent")


def _active(aom: dict[str, Any]) -> Panel:
    counts = Counter(event["metadata"]["event_severity"] for event in aom["active"])
    text = Text(f"{len(aom['active'])} active\n\n")
    for severity in SEVERITIES:
        text.append(f"{counts[severity]:>5} {severity}\n", style=_COLOURS[severity])
    return Panel(text, title="AOM holds")


def _cleared(aom: dict[str, Any]) -> Panel:
    counts = aom["counts"]
    text = Text(f"{len(aom['history'])} cleared\n\n")
    text.append(f"{counts['report']:>5} report requests\n{counts['clear']:>5} clear requests\n")
    text.append(f"{counts['list']:>5} look-ups\n{aom['violations_total']:>5} violations")
    return Panel(text, title="cleared, and how")


def _worst(aom: dict[str, Any]) -> Panel:
    table = Table(expand=True, box=None, header_style="dim")
    table.add_column("severity", no_wrap=True, min_width=8)
    for heading in ("event", "resource", "message"):
        table.add_column(heading, no_wrap=True)
    newest_first = reversed(aom["active"])
    worst_first = sorted(newest_first, key=lambda event: SEVERITIES.index(event["metadata"]["event_severity"]))
    for event in worst_first[:_ROWS]:
        metadata = event["metadata"]
        table.add_row(
            Text(metadata["event_severity"], style=_COLOURS[metadata["event_severity"]]),
            *(Text(_short(metadata[key])) for key in ("event_name", "resource_id")),
            Text(_short(str(event["annotations"].get("message", "")))),
        )
    return Panel(table, title="AOM's active alarms, the worst first")


def _short(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= _MAX_NAME_CHARACTERS else one_line[: _MAX_NAME_CHARACTERS - 1] + "…"
