"""The columns of alerts that differ, for a terminal and for `-o wide`; pure.

In: rows of `bridge.cli.differences`, the width, the time. Out: lines. Nothing is printed here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bridge.cli.table import Column, Row, age, fitted, wide
from bridge.clock import Millis

_DUE_COLOUR = "31"


def lines(rows: Sequence[Row], width: int, now: Millis, *, in_colour: bool) -> Iterator[str]:
    """Yield the headings and a line for each alert, none wider than ``width`` cells."""
    return fitted(rows, _columns(rows, now), width, lambda row: _DUE_COLOUR if in_colour and row["is_due"] else "")


def wide_lines(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the headings and a line for each alert, with all that is known, as wide as they are."""
    columns = (
        Column("SOURCE", lambda row: row["source"]),
        Column("ALERT", _alert),
        Column("FINGERPRINT", lambda row: row["fingerprint"]),
        Column("ALERTMANAGER", lambda row: row["alertmanager"] or "-"),
        Column("LEDGER", lambda row: row["ledger"] or "-"),
        Column("AOM", lambda row: row["aom"] or "-"),
        Column("DIFFERENCE", lambda row: row["difference"]),
        Column("SINCE", lambda row: row["since"] or "-"),
        Column("NEXT", lambda row: row["next"]),
    )
    return wide(rows, columns)


def _columns(rows: Sequence[Row], now: Millis) -> Sequence[Column]:
    is_several = len({row["source"] for row in rows}) > 1
    asked = [name for name in ("alertmanager", "ledger", "aom") if any(row[name] for row in rows)]
    return (
        Column("DIFFERENCE", lambda row: row["difference"], 12, kept="start"),
        Column("AGE", lambda row: age(row["since"], now) if row["since"] else "-", 5),
        *([Column("SOURCE", lambda row: row["source"], 12)] if is_several else []),
        Column("ALERT", _alert),
        *(Column(name.upper(), lambda row, name=name: row[name] or "-", 12) for name in asked),  # type: ignore[misc]  # mypy does not see the default
        Column("NEXT", lambda row: row["brief"], kept="start"),
    )


def _alert(row: Row) -> str:
    """Return the alert's name; its fingerprint where a bridge elsewhere has not told its labels."""
    return str(row["labels"].get("alertname") or row["fingerprint"])
