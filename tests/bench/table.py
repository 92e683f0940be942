"""The benchmark's table: one row for each figure with its floor, and below it what the figures are made of."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure: what the bridge did, what it is compared with, and whether the floor is met."""

    figure: str
    floor: str
    bridge: str
    reference: str
    measured: str
    met: bool | None


@dataclass(kw_only=True)
class Findings:
    """What the measurements of one name gave: rows of the main table, and details as tables of text."""

    rows: list[Row] = field(default_factory=list)
    details: list[str] = field(default_factory=list)


def at_least(figure: str, unit: str, bridge: float, reference: float, least: float, aim: float = 0.0) -> Row:
    """Return a row for what should be large beside its reference."""
    return Row(
        figure=figure,
        floor=f"≥ {least:g} ×" + (f" (aim {aim:g} ×)" if aim else ""),
        bridge=f"{number(bridge)} {unit}",
        reference=f"{number(reference)} {unit}",
        measured=f"{bridge / reference:.2f} ×",
        met=bridge >= least * reference,
    )


def at_most(figure: str, unit: str, bridge: float, reference: float, most: float) -> Row:
    """Return a row for what should be small beside its reference."""
    return Row(
        figure=figure,
        floor=f"≤ {most:g} ×",
        bridge=f"{number(bridge)} {unit}",
        reference=f"{number(reference)} {unit}",
        measured=f"{bridge / reference:.2f} ×",
        met=bridge <= most * reference,
    )


def below(figure: str, unit: str, bridge: float, most: float) -> Row:
    """Return a row for what should be small by itself."""
    measured = f"{number(bridge)} {unit}"
    return Row(
        figure=figure, floor=f"≤ {most:g} {unit}", bridge=measured, reference="", measured=measured, met=bridge <= most
    )


def failed(name: str, error: Exception) -> Row:
    """Return the row of a measurement that did not come about."""
    text = " ".join(f"error: {error or type(error).__name__}".split())
    return Row(figure=name, floor="", bridge="", reference="", measured=text, met=None)


def render(rows: Sequence[Row], details: Sequence[str], *, rounds: int, small: bool) -> str:
    """Return the whole report as Markdown."""
    titles = ("figure", "floor", "bridge", "beside it", "measured", "met")
    words = {True: "yes", False: "**no**", None: "error"}
    lines = [(r.figure, r.floor, r.bridge, r.reference, r.measured, words[r.met]) for r in rows]
    parts = ["# aom-bridge: benchmark", _conditions(rounds, small=small), grid(titles, lines), *details]
    return "\n\n".join(parts) + "\n"


def grid(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table that reads well as text too."""
    widths = [max(len(line[column]) for line in (titles, *lines)) for column in range(len(titles))]
    spelled = [" | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in lines]
    head = " | ".join(text.ljust(width) for text, width in zip(titles, widths, strict=True))
    rule = " | ".join("-" * width for width in widths)
    return "\n".join(f"| {line} |" for line in (head, rule, *spelled))


def number(value: float) -> str:
    """Spell a figure with three digits that count."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def spread(values: Sequence[float]) -> str:
    """Spell the median of some rounds, and their range."""
    middle = number(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({number(min(values))} to {number(max(values))})"


def _conditions(rounds: int, *, small: bool) -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    machine = f"{os.cpu_count()} cores, {memory:.0f} GB of memory, {platform.machine()}"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    size = "; a smoke run (--small): the figures mean nothing" if small else ""
    turns = "one round" if rounds == 1 else f"medians of {rounds} alternating rounds"
    today = time.strftime("%Y-%m-%d", time.gmtime())
    return f"{today}; {machine}, {python}; bridge, relay, sink and load on this one machine; {turns}{size}."
