"""The columns of alarms, for a terminal and for `-o wide`: of a resource's id the end is kept, which tells most; pure.

In: alarms as the API's JSON has them, the width, the time. Out: lines. Nothing is printed here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bridge.cli.table import Column, Row, age, fitted, id_length, wide
from bridge.clock import Millis

_COLOURS = {"Critical": "1;31", "Major": "31", "Minor": "33", "Info": "34"}


def lines(rows: Sequence[Row], width: int, now: Millis, *, in_colour: bool) -> Iterator[str]:
    """Yield the headings and a line for each alarm, none wider than ``width`` cells."""
    colours = _COLOURS if in_colour else {}
    return fitted(rows, _columns(rows, now), width, lambda row: colours.get(row["severity"], ""))


def wide_lines(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the headings and a line for each alarm, as wide as they are."""
    return wide(rows, _wide_columns())


def _wide_columns() -> Sequence[Column]:
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


def _columns(rows: Sequence[Row], now: Millis) -> Sequence[Column]:
    length = id_length(row["id"] for row in rows)
    several = [name for name in ("target", "source") if len({row[name] for row in rows}) > 1]
    return (
        Column("SEVERITY", lambda row: row["severity"], 8),
        Column("AGE", lambda row: age(row["fired_at"], now), 5),
        Column("STATE", lambda row: row["state"], 10),
        Column("EVENT", _event),
        Column("RESOURCE", _resource, kept="end"),
        *(Column(name.upper(), lambda row, name=name: row[name], 12) for name in several),  # type: ignore[misc]  # mypy does not see the default
        Column("ID", lambda row: row["id"][:length], length),
    )


def _event(row: Row) -> str:
    return str(row["event"]["metadata"].get("event_name", ""))


def _resource(row: Row) -> str:
    return str(row["event"]["metadata"].get("resource_id", ""))
