"""Alarms as a table that fits a terminal: one line for each, the worst first, the end of a resource's id kept; pure.

In: alarms as the API's JSON has them, the width, the time. Out: lines. What does not fit loses its middle to an
ellipsis: of a resource's id the end tells most. Nothing is printed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from rich.cells import cell_len, chop_cells, set_cell_size

from bridge.cli.terminal import printable
from bridge.clock import Millis, parse_rfc3339, system_clock
from bridge.html import span_parts

Row = Mapping[str, Any]
_ELLIPSIS = "…"
_GAP = "  "
_MIN_CELLS = 6
_ID_CHARACTERS = 8
_UNITS = {"min": "m"}
_COLOURS = {"Critical": "1;31", "Major": "31", "Minor": "33", "Info": "34", "rejected": "31"}


class Column(NamedTuple):
    """One column; ``most``: its width at most, 0: it shares what the others leave."""

    heading: str
    text: Callable[[Row], str]
    most: int = 0
    is_end_kept: bool = False


def lines(rows: Sequence[Row], width: int, now: Millis, *, in_colour: bool) -> Iterator[str]:
    """Yield the headings and a line for each alarm, none wider than ``width`` cells."""
    columns = _columns(rows, now)
    cells = [[printable(column.text(row)) for column in columns] for row in rows]
    widths = _widths(columns, cells, width)
    yield _line([column.heading for column in columns], columns, widths).rstrip()
    for row in cells:
        line = _line(row, columns, widths).rstrip()
        yield _coloured(line, row[0]) if in_colour else line


def wide_columns() -> Sequence[Column]:
    """Return the columns of `-o wide`."""
    return (
        Column("ID", lambda row: row["id"]),
        Column("STATE", lambda row: row["state"]),
        Column("SEVERITY", lambda row: row["severity"]),
        Column("EVENT", _event),
        Column("RESOURCE", _resource),
        Column("TARGET", lambda row: row["target"]),
        Column("SOURCE", lambda row: row["source"]),
        Column("FINGERPRINT", lambda row: row["fingerprint"]),
        Column("RULE", lambda row: row["rule"]),
        Column("FIRED AT", lambda row: row["fired_at"]),
        Column("FINISHED AT", lambda row: row.get("finished_at", "-")),
        Column("TRIES", lambda row: str(row.get("attempts", 0))),
        Column("DETAIL", lambda row: row.get("detail") or row.get("reason") or row.get("ended_by") or ""),
    )


def wide_lines(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the headings and a line for each alarm, as wide as they are."""
    columns = wide_columns()
    cells = [[column.heading for column in columns]]
    cells += [[printable(column.text(row)) for column in columns] for row in rows]
    widths = [max(cell_len(row[index]) for row in cells) for index in range(len(columns))]
    for row in cells:
        yield _GAP.join(set_cell_size(text, size) for text, size in zip(row, widths, strict=True)).rstrip()


def age(at: str, now: Millis) -> str:
    """Return how long ago a time of the API was, in one unit: 4s, 12m, 3h, 5d."""
    count, unit = span_parts(max(now - parse_rfc3339(at), 0))[0]
    return f"{count}{_UNITS.get(unit, unit)}"


def ago(at: str | None) -> str:
    """Return the same in words, from now; a bridge whose clock is ahead of this machine's reads 0s ago."""
    return "never" if at is None else f"{age(at, max(system_clock(), parse_rfc3339(at)))} ago"


def cut(text: str, size: int, *, is_end_kept: bool = False) -> str:
    """Return a text of at most ``size`` cells: a longer one loses its middle or, to keep more of its end, its start."""
    if cell_len(text) <= size:
        return text
    end = (size - 1) * (2 if is_end_kept else 1) // (3 if is_end_kept else 2)
    begin = size - 1 - end
    return f"{_first(text, begin)}{_ELLIPSIS}{_first(text[::-1], end)[::-1]}"


def _first(text: str, size: int) -> str:
    return chop_cells(text, size)[0] if size > 0 and text else ""


def _columns(rows: Sequence[Row], now: Millis) -> Sequence[Column]:
    several = [name for name in ("target", "source") if len({row[name] for row in rows}) > 1]
    return (
        Column("SEVERITY", lambda row: row["severity"], 8),
        Column("AGE", lambda row: age(row["fired_at"], now), 5),
        Column("STATE", lambda row: row["state"], 10),
        Column("EVENT", _event),
        Column("RESOURCE", _resource, is_end_kept=True),
        *(Column(name.upper(), lambda row, name=name: row[name], 12) for name in several),  # type: ignore[misc]  # mypy does not see the default
        Column("ID", lambda row: row["id"][:_ID_CHARACTERS], _ID_CHARACTERS),
    )


def _event(row: Row) -> str:
    return str(row["event"]["metadata"].get("event_name", ""))


def _resource(row: Row) -> str:
    return str(row["event"]["metadata"].get("resource_id", ""))


def _widths(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return the width of each column: those with a limit take what they need, the others share the rest by need."""
    needs = [
        max([len(column.heading), *(cell_len(row[index]) for row in cells)]) for index, column in enumerate(columns)
    ]
    fixed = [min(need, column.most) if column.most else 0 for need, column in zip(needs, columns, strict=True)]
    left = width - sum(fixed) - len(_GAP) * (len(columns) - 1)
    shared = [index for index, column in enumerate(columns) if not column.most]
    for position, index in enumerate(sorted(shared, key=lambda index: needs[index])):
        part = max(left // (len(shared) - position), _MIN_CELLS)
        fixed[index] = min(needs[index], part)
        left -= fixed[index]
    return fixed


def _line(cells: Sequence[str], columns: Sequence[Column], widths: Sequence[int]) -> str:
    shown = (
        set_cell_size(cut(text, size, is_end_kept=column.is_end_kept), size)
        for text, column, size in zip(cells, columns, widths, strict=True)
    )
    return _GAP.join(shown)


def _coloured(line: str, severity: str) -> str:
    colour = _COLOURS.get(severity)
    return f"\x1b[{colour}m{line[: len(severity)]}\x1b[0m{line[len(severity) :]}" if colour else line
