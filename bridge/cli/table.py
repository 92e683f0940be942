"""A table that fits a terminal: one line for each row; what does not fit loses its middle to an ellipsis; pure.

In: rows as the API's JSON has them, columns, the width. Out: lines. Nothing is printed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any, Literal, NamedTuple, TypeAlias

from rich.cells import cell_len, chop_cells, set_cell_size

from bridge.cli.terminal import printable
from bridge.clock import Millis, parse_rfc3339, system_clock
from bridge.html import span_parts

Row = Mapping[str, Any]
Kept: TypeAlias = Literal["ends", "end", "start"]
"""What a text that is cut keeps: both its ends, more of its end, or its start alone."""

_ID_CHARACTERS = 8
_ELLIPSIS = "…"
_GAP = "  "
_MIN_CELLS = 6
_UNITS = {"min": "m"}


class Column(NamedTuple):
    """One column; ``most``: its width at most, 0: it shares what the others leave."""

    heading: str
    text: Callable[[Row], str]
    most: int = 0
    kept: Kept = "ends"


def fitted(
    rows: Sequence[Row], columns: Sequence[Column], width: int, colour_of: Callable[[Row], str] = lambda _: ""
) -> Iterator[str]:
    """Yield the headings and a line for each row, none wider than ``width`` cells.

    Args:
        rows: the rows.
        columns: what they show.
        width: that of the terminal.
        colour_of: the terminal's number of the colour of a row's first cell, or nothing.
    """
    cells = [[printable(column.text(row)) for column in columns] for row in rows]
    widths = _widths(columns, cells, width)
    yield _line([column.heading for column in columns], columns, widths)
    for row, texts in zip(rows, cells, strict=True):
        line, colour = _line(texts, columns, widths), colour_of(row)
        size = len(cut(texts[0], widths[0], columns[0].kept))
        yield f"\x1b[{colour}m{line[:size]}\x1b[0m{line[size:]}" if colour else line


def wide(rows: Sequence[Row], columns: Sequence[Column]) -> Iterator[str]:
    """Yield the headings and a line for each row, as wide as they are."""
    cells = [[column.heading for column in columns]]
    cells += [[printable(column.text(row)) for column in columns] for row in rows]
    widths = [max(cell_len(row[index]) for row in cells) for index in range(len(columns))]
    for row in cells:
        yield _GAP.join(set_cell_size(text, size) for text, size in zip(row, widths, strict=True)).rstrip()


def id_length(ids: Iterable[str]) -> int:
    """Return how many characters of ids are shown, so that no two of these look alike: 8, or more where it must be."""
    distinct = set(ids)
    return next(size for size in count(_ID_CHARACTERS) if len({one[:size] for one in distinct}) == len(distinct))


def span(length: Millis) -> str:
    """Return a span of time in one unit: 4s, 12m, 3h, 5d; a negative one is 0s."""
    count, unit = span_parts(max(length, 0))[0]
    return f"{count}{_UNITS.get(unit, unit)}"


def age(at: str, now: Millis) -> str:
    """Return how long ago a time of the API was, as `span`."""
    return span(now - parse_rfc3339(at))


def ago(at: str | None) -> str:
    """Return the same in words, from now; a bridge whose clock is ahead of this machine's reads 0s ago."""
    return "never" if at is None else f"{age(at, max(system_clock(), parse_rfc3339(at)))} ago"


def cut(text: str, size: int, kept: Kept = "ends") -> str:
    """Return a text of at most ``size`` cells; a longer one loses what is not kept."""
    if cell_len(text) <= size:
        return text
    end = {"ends": (size - 1) // 2, "end": (size - 1) * 2 // 3, "start": 0}[kept]
    return f"{_first(text, size - 1 - end)}{_ELLIPSIS}{_first(text[::-1], end)[::-1]}"


def _first(text: str, size: int) -> str:
    return chop_cells(text, size)[0] if size > 0 and text else ""


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
        set_cell_size(cut(text, size, column.kept), size)
        for text, column, size in zip(cells, columns, widths, strict=True)
    )
    return _GAP.join(shown).rstrip()
