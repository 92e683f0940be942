"""`aom-bridge alarms list` and `show`.

In: the options of `bridge.cli.alarms`. Out: a table or data on standard output, and an exit code.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from bridge.cli.alarm_access import Row, access_of, nothing_fits, query_of
from bridge.cli.alarm_table import lines, wide_lines
from bridge.cli.output import is_in_colour, print_csv, print_table, print_value, terminal_width
from bridge.cli.terminal import complain, pretty, say
from bridge.cli.timeline import timeline_lines
from bridge.clock import format_rfc3339, system_clock
from bridge.errors import UnknownAlarmError

_DEFAULT_STATES = ("unfinished", "rejected")
"""What needs a look: whatever the bridge still works on, and what AOM has refused."""


def list_alarms(arguments: argparse.Namespace) -> int:
    """List alarms, once or again and again; return the exit code."""
    access = access_of(arguments)
    query = [*query_of(arguments, _DEFAULT_STATES), ("order", arguments.order)]
    if not arguments.watch:
        _print(list(access.search(query, arguments.limit)), arguments)
        return 0
    while True:  # until Ctrl-C
        rows = list(access.search(query, arguments.limit))
        say_clear()
        say(f"{format_rfc3339(system_clock())}, again every {arguments.watch:g} s")
        _print(rows, arguments)
        time.sleep(arguments.watch)


def say_clear() -> None:
    """Clear the terminal, if it is one, before a list is shown again."""
    if is_in_colour():
        print("\x1b[H\x1b[2J", end="", flush=True)  # noqa: T201 - `say` would write the escape as text


def _print(rows: Sequence[Row], arguments: argparse.Namespace) -> None:
    output = arguments.output
    if output in ("json", "yaml"):
        print_value(rows, output)
    elif output == "csv":
        print_csv(rows)
    elif not rows:
        say(nothing_fits(arguments, _DEFAULT_STATES))
    elif output == "wide":
        say(*wide_lines(rows))
    else:
        print_table(lines(rows, terminal_width(), system_clock(), in_colour=is_in_colour()))


def show_alarm(arguments: argparse.Namespace) -> int:
    """Show one alarm; return the exit code."""
    try:
        row = access_of(arguments).show(arguments.id)
    except UnknownAlarmError as error:
        complain(f"aom-bridge: {arguments.id}: {error}")
        return 1
    if arguments.output != "table":
        print_value(row, arguments.output)
        return 0
    for name, value in row.items():
        if name not in ("steps", "timeline"):
            first, *others = [value] if isinstance(value, str) else pretty(value)
            say(f"{name}: {first}", *others)
    say("timeline:", *timeline_lines(row["timeline"]))
    return 0
