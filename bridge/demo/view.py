"""Draws the demo on a terminal: the caption, the path in numbers, AOM's alarms, and where else to look; pure.

In: a `Picture`. Out: what rich prints, as high as the terminal: with more lines, more of AOM's alarms are shown.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bridge.demo.bridge_api import Figures
from bridge.demo.pace import Pace
from bridge.event import SEVERITIES

_COLOURS = {"Critical": "bold red", "Major": "red", "Minor": "yellow", "Info": "cyan"}
_FIXED_LINES = 23
_CAPTION_LINES = 4
_SENTENCE_LINES = 2
_MAX_ROWS = 12
_BAR_ALARMS = 2
_CLUSTER = "clusterName=demo;"
_KEYS = "space pause · n next act · s slower · f faster · q quit"

_LOOK = """the bridge's pages   {bridge}/
AOM's page           {aom}/
aom-bridge alarms list --url {bridge}
aom-bridge status --url {bridge}"""

_AFTER = """{last}
Everything keeps running. Point an Alertmanager of your own at the bridge:
receivers: [{{name: aom, webhook_configs: [{{url: "{bridge}/webhook", send_resolved: true}}]}}]"""

_HINT = """Point an Alertmanager of your own at the bridge:

  receivers:
    - name: aom
      webhook_configs:
        - url: {bridge}/webhook
          send_resolved: true
          max_alerts: 0

Ctrl-C ends the demo."""


@dataclass(slots=True)
class Picture:
    """What is shown: texts, and the last figures.

    ``act``: the number of the act, from 1; 0 before and after all acts. ``figures``: None while the bridge does not
    answer. ``active``: AOM's active alarms. ``results``: a line for each act that has been played.
    """

    titles: Sequence[str]
    bridge: str = ""
    aom: str = ""
    act: int = 0
    caption: str = ""
    figures: Figures | None = None
    active: Sequence[dict[str, Any]] = ()
    results: list[str] = field(default_factory=list)

    def begin(self, act: int) -> None:
        """Show an act, by its number."""
        self.act, self.caption = act, ""

    def say(self, caption: str) -> None:
        """Show a caption."""
        self.caption = caption

    def end(self) -> None:
        """Show what can be done after the acts."""
        self.act = 0
        self.say(_AFTER.format(bridge=self.bridge, last=self.results[-1] if self.results else ""))

    @property
    def look(self) -> str:
        """Where else to look, line by line."""
        return _LOOK.format(bridge=self.bridge, aom=self.aom)

    @property
    def hint(self) -> str:
        """How to use the demo after its acts."""
        return _HINT.format(bridge=self.bridge)


def render(picture: Picture, pace: Pace, width: int, height: int) -> RenderableType:
    """Return the whole view for a terminal of ``width`` columns and ``height`` lines."""
    rows = min(_MAX_ROWS, max(0, height - _FIXED_LINES))
    return Group(
        _title(picture, pace),
        _caption(picture),
        _path(picture.figures),
        _sentence(picture.figures, width),
        _severities(picture.active),
        *([_worst(picture.active, rows)] if rows else []),
        Text(picture.look, style="dim"),
        Text(_KEYS, style="dim"),
    )


def _title(picture: Picture, pace: Pace) -> RenderableType:
    act = f"act {picture.act} of {len(picture.titles)}: {picture.titles[picture.act - 1]}" if picture.act else ""
    row = Table.grid(expand=True, padding=(0, 1))
    row.add_column(ratio=1)
    row.add_column(no_wrap=True)
    row.add_row(Text(act or "aom-bridge demo", style="bold"), Text(_pace(pace), style="dim"))
    return row


def _pace(pace: Pace) -> str:
    if pace.is_held:
        return "paused"
    if pace.is_skipping or pace.speed is None:
        return "without pauses"
    return f"speed {pace.speed:g}"


def _caption(picture: Picture) -> RenderableType:
    table = Table.grid(expand=True)
    table.add_row(Text(picture.caption, style="bold cyan"))
    return Panel(table, height=_CAPTION_LINES + 2)


def _path(figures: Figures | None) -> RenderableType:
    table = Table(expand=True, box=None, header_style="dim")
    for heading in ("received ▶", "waiting ▶", "in flight ▶", "open in AOM", "rejected"):
        table.add_column(heading, justify="center")
    if figures is None:
        table.add_row(*[Text("-", style="bold red")] * 5)
    else:
        table.add_row(*_numbers(figures))
    return table


def _sentence(figures: Figures | None, width: int) -> RenderableType:
    """Return what the bridge says, always in as many lines, so that what follows stays where it is."""
    says = "the bridge does not answer" if figures is None else f"the bridge says: {figures.sentence}"
    lines = textwrap.wrap(says, width, max_lines=_SENTENCE_LINES, placeholder=" …")
    lines += [""] * (_SENTENCE_LINES - len(lines))
    return Text("\n".join(lines), style="bold red" if figures is None else "", no_wrap=True, overflow="ellipsis")


def _numbers(figures: Figures) -> list[Text]:
    waits, is_rejected = figures.waiting > 0, figures.rejected > 0
    return [
        Text(str(figures.received), style="bold"),
        Text(str(figures.waiting), style="bold yellow" if waits else "bold"),
        Text(str(figures.in_flight), style="bold"),
        Text(str(figures.accepted), style="bold green"),
        Text(str(figures.rejected), style="bold red" if is_rejected else "bold"),
    ]


def _severities(active: Sequence[dict[str, Any]]) -> RenderableType:
    counts = Counter(event["metadata"]["event_severity"] for event in active)
    text = Text()
    for severity in SEVERITIES:
        bar = "█" * -(-counts[severity] // _BAR_ALARMS)
        text.append(f"{severity:<9}{counts[severity]:>4} {bar}\n", style=_COLOURS[severity])
    text.right_crop(1)
    text.no_wrap = True
    return Panel(text, title=f"AOM shows {len(active)} alarms")


def _worst(active: Sequence[dict[str, Any]], rows: int) -> RenderableType:
    """Return so many lines with alarms, the worst first and then the newest; what follows stays where it is."""
    table = Table(expand=True, box=None, show_header=False)
    for ratio in (3, 5, 6):
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=ratio)
    newest_first = reversed(active)
    worst = sorted(newest_first, key=lambda event: SEVERITIES.index(event["metadata"]["event_severity"]))[:rows]
    for event in worst:
        table.add_row(*_alarm(event))
    for _ in range(rows - len(worst)):
        table.add_row("")
    return table


def _alarm(event: dict[str, Any]) -> list[Text]:
    metadata, message = event["metadata"], str(event["annotations"].get("message", ""))
    style = _COLOURS[metadata["event_severity"]]
    resource = metadata["resource_id"].removeprefix(_CLUSTER)
    return [Text(metadata["event_name"], style=style), Text(resource), Text(" ".join(message.split()))]
