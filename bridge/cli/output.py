"""`-o`: how commands print their data, with one spelling everywhere: table, wide, json, yaml or csv.

In: rows as the API's JSON has them. Out: lines on standard output, for people or programs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

FORMATS = ("table", "wide", "json", "yaml", "csv")
_DEFAULT_WIDTH = 80


def add_output(command: argparse.ArgumentParser, formats: Sequence[str] = FORMATS) -> None:
    """Add `-o`, which is read as ``output``."""
    command.add_argument("-o", "--output", dest="output", choices=formats, default="table", help="default: table")


def terminal_width() -> int:
    """Return the width of the terminal, or of $COLUMNS where it is set, also on a pipe."""
    return max(shutil.get_terminal_size((_DEFAULT_WIDTH, 24)).columns, 40)


def is_in_colour() -> bool:
    """Return whether standard output is a terminal for colours; $NO_COLOR turns them off (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def print_table(lines: Iterable[str]) -> None:
    """Print the lines of `bridge.cli.table.fitted`, which may have colours."""
    for line in lines:
        print(line, flush=True)  # noqa: T201 - its cells are printable, and `say` would write the colours as text


def print_value(value: object, output: str) -> None:
    """Print a value as JSON or YAML."""
    import msgspec
    import yaml

    from bridge.cli.terminal import pretty, say

    if output == "json":
        say(*pretty(value))
    else:
        plain = msgspec.to_builtins(value)
        sys.stdout.write(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))


def print_csv(rows: Iterable[Mapping[str, Any]]) -> None:
    """Print alarms as the export of the API does."""
    from bridge.web.alarm_csv import csv_headings, csv_line

    sys.stdout.buffer.write(csv_headings())
    for row in rows:
        sys.stdout.buffer.write(csv_line(row))
    sys.stdout.buffer.flush()
