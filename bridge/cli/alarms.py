"""The command `aom-bridge alarms`: lists, shows and changes alarms, of the ledger beside it or of a bridge elsewhere.

In: the command line. Out: a table or data, one sentence for each change, and an exit code: 1 when an alarm does not
exist or could not be changed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from functools import partial

from bridge.cli.alarm_access import AlarmAccess, Query, Row, alarm_access
from bridge.cli.alarm_edits import EDITS, change, register_edit
from bridge.cli.alarm_table import lines, wide_lines
from bridge.cli.options import Commands, add_command, add_config_file, add_group
from bridge.cli.output import add_output, is_in_colour, print_csv, print_value, terminal_width
from bridge.cli.remote import add_remote, remote_of
from bridge.cli.terminal import complain, pretty, say
from bridge.cli.timeline import timeline_lines
from bridge.clock import system_clock
from bridge.errors import UnknownAlarmError
from bridge.event import SEVERITIES
from bridge.ledger import ORDERS, STATE_GROUPS, STATES, Edit

_DEFAULT_LIMIT = 1_000
_DEFAULT_STATES = ("unfinished", "rejected")
"""What needs a look: whatever the bridge still works on, and what AOM has refused."""

ID_HELP = "id of the alarm, the beginning of it, or the fingerprint of an alert, for its newest alarm"


def register(commands: Commands) -> None:
    """Add the command with its sub-commands."""
    actions = add_group(commands, "alarms", "list, show and change alarms")
    listing = add_command(actions, "list", _list, "list alarms, the worst first")
    add_config_file(listing)
    add_remote(listing)
    add_search(listing)
    listing.add_argument("--order", choices=ORDERS, default="worst", help="default: worst")
    listing.add_argument(
        "--limit", type=int, default=_DEFAULT_LIMIT, help=f"maximum number of alarms; default: {_DEFAULT_LIMIT}"
    )
    listing.add_argument(
        "--watch",
        type=float,
        nargs="?",
        const=2.0,
        metavar="SECONDS",
        help="list them again every 2 or so many seconds",
    )
    add_output(listing)
    show = add_command(actions, "show", _show, "show all fields of one alarm, and what happened to it")
    add_config_file(show)
    add_remote(show)
    show.add_argument("id", metavar="ID", help=ID_HELP)
    add_output(show, ("table", "json", "yaml"))
    for edit, text in EDITS.items():
        register_edit(actions, edit, text, partial(_edit, edit), add_search)


def add_search(command: argparse.ArgumentParser) -> None:
    """Add the options that choose alarms."""
    command.add_argument(
        "--filter", action="append", default=[], metavar="MATCHER", help="only with such labels; may be repeated"
    )
    command.add_argument(
        "--state", action="append", choices=(*STATES, *STATE_GROUPS), help="only in this state; may be repeated"
    )
    command.add_argument("--all-states", action="store_true", help="finished ones, too")
    command.add_argument("--severity", choices=SEVERITIES, help="only of this severity")
    command.add_argument("--target", help="only of this target")
    command.add_argument("--source", help="only of this source")
    command.add_argument("--event-name", help="only with exactly this event name")
    command.add_argument("--text", help="only with this text in event name or resource")
    command.add_argument("--since", metavar="WHEN", help="only taken in since then: 12h, or 2026-11-27T06:00 (UTC)")
    command.add_argument("--until", metavar="WHEN", help="only taken in before then")


def query_of(arguments: argparse.Namespace, default_states: Sequence[str]) -> Query:
    """Return the parameters of the API for the options of `add_search`."""
    states = arguments.state or (() if arguments.all_states else default_states)
    pairs = [*(("filter", text) for text in arguments.filter), *(("state", state) for state in states)]
    for name in ("severity", "target", "source", "event_name", "text", "since", "until"):
        value = getattr(arguments, name)
        pairs += [(name, value)] if value else []
    return pairs


def _list(arguments: argparse.Namespace) -> int:
    access = _access(arguments)
    query = [*query_of(arguments, _DEFAULT_STATES), ("order", arguments.order)]
    if not arguments.watch:
        _print(list(access.search(query, arguments.limit)), arguments.output)
        return 0
    while True:  # until Ctrl-C
        rows = list(access.search(query, arguments.limit))
        say_clear()
        _print(rows, arguments.output)
        time.sleep(arguments.watch)


def say_clear() -> None:
    """Clear the terminal, if it is one, before a list is shown again."""
    if is_in_colour():
        print("\x1b[H\x1b[2J", end="", flush=True)  # noqa: T201 - `say` would write the escape as text


def _print(rows: Sequence[Row], output: str) -> None:
    if output in ("json", "yaml"):
        print_value(rows, output)
    elif output == "csv":
        print_csv(rows)
    elif not rows:
        say("no alarms")
    elif output == "wide":
        say(*wide_lines(rows))
    else:
        shown = lines(rows, terminal_width(), system_clock(), in_colour=is_in_colour())
        for line in shown:
            print(line, flush=True)  # noqa: T201 - its cells are printable, and `say` would write the colours as text


def _show(arguments: argparse.Namespace) -> int:
    try:
        row = _access(arguments).show(arguments.id)
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


def _edit(edit: Edit, arguments: argparse.Namespace) -> int:
    return change(edit, arguments, _access(arguments), query_of)


def _access(arguments: argparse.Namespace) -> AlarmAccess:
    return alarm_access(arguments.config_file, remote_of(arguments))
