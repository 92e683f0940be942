"""Times and spans as pages write them; pure.

In: milliseconds. Out: texts without words of a language: the unit is a key that the page's catalogue translates.
"""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000))
_COARSE = ("d", "h")
"""Units after which the next smaller one is written, too."""


def span_parts(span: int) -> list[tuple[int, str]]:
    """Return a span in milliseconds as numbers with their units: 4 s, 3 min, 2 h 5 min, 1 d 4 h."""
    remaining = max(span, 0)
    for index, (unit, length) in enumerate(_UNITS):
        if remaining >= length:
            parts = [(remaining // length, unit)]
            if unit in _COARSE:
                smaller, smaller_length = _UNITS[index + 1]
                parts.append((remaining % length // smaller_length, smaller))
            return [(count, name) for count, name in parts if count]
    return [(0, "s")]


def age(span: int) -> str:
    """Return a span as English text."""
    return " ".join(f"{count} {unit}" for count, unit in span_parts(span))


def moment(at: int) -> str:
    """Return a time in epoch milliseconds as ``2026-11-23 08:39:12``, in UTC; a number if no calendar has it."""
    try:
        return f"{datetime.fromtimestamp(at / 1_000, UTC):%Y-%m-%d %H:%M:%S}"
    except (OverflowError, ValueError, OSError):
        return str(at)
