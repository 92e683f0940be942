"""Alarms as CSV, for spreadsheets; pure.

In: alarms as the API's JSON has them. Out: lines as RFC 4180 has them. A cell that a spreadsheet would take for a
formula is written as text: labels are untrusted.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""The first characters for which a spreadsheet runs a cell as a formula (OWASP, "CSV Injection")."""

_COLUMNS = (
    "id",
    "state",
    "severity",
    "event_name",
    "resource_provider",
    "resource_type",
    "resource_id",
    "target",
    "source",
    "rule",
    "fingerprint",
    "starts_at",
    "received_at",
    "reported_at",
    "ends_at",
    "finished_at",
    "reason",
    "detail",
    "opened_by",
    "ended_by",
    "labels",
)


def csv_headings() -> bytes:
    """Return the line of headings."""
    return _line(_COLUMNS)


def csv_line(row: Mapping[str, Any]) -> bytes:
    """Return the line of an alarm."""
    return _line([_cell(row, name) for name in _COLUMNS])


def as_text(value: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: such a one gets an apostrophe."""
    return f"'{value}" if value.startswith(_FORMULA) else value


def _cell(row: Mapping[str, Any], name: str) -> str:
    if name == "labels":
        return msgspec.json.encode(row["labels"]).decode()
    value = row.get(name, row["event"]["metadata"].get(name, ""))
    return as_text(str(value))


def _line(cells: Iterable[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().encode("utf-8", "replace")
