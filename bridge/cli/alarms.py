"""The command `aom-bridge alarms`: lists, shows and changes alarms, of the ledger beside it or of a bridge elsewhere.

In: the command line. Out: the exit code. Here are the options; what they do is in `alarm_commands` and `alarm_edits`,
which are imported when one of them runs.
"""

from __future__ import annotations

import argparse
from functools import partial

from bridge.cli.options import Commands, add_command, add_config_file, add_group
from bridge.cli.output import add_output
from bridge.cli.parser import Parser
from bridge.cli.remote_options import add_remote
from bridge.ledger.states import ORDERS, STATE_GROUPS, STATES, Edit

_DEFAULT_LIMIT = 1_000
_SEVERITIES = ("Critical", "Major", "Minor", "Info")  # those of bridge.event, which takes long to import
_CODES = {0: "done", 1: "an alarm does not exist or could not be changed", 2: "nothing could be read or asked"}
_EDITS: dict[Edit, str] = {
    "retry": "send rejected alarms again, with their reports mapped by the present rules; send waiting alarms at once",
    "clear": "clear alarms in AOM as if their alerts had resolved now",
    "discard": "discard alarms without sending anything to AOM",
}
_ALL_HELP: dict[Edit, str] = {
    "retry": "all that are rejected, and all that wait",
    "clear": "all whose alerts still fire",
    "discard": "all that are rejected",
}
_ALERTMANAGERS_WORDS = {"firing": "open", "active": "open", "resolved": "cleared", "pending": "waiting"}
ID_HELP = "id of the alarm, the beginning of it, or the fingerprint of an alert, for its newest alarm"


def register(commands: Commands) -> None:
    """Add the command with its sub-commands."""
    actions = add_group(commands, "alarms", "list, show and change alarms")
    listing = add_command(actions, "list", _list, "list alarms, the worst first", codes=_CODES)
    add_config_file(listing)
    add_remote(listing)
    add_search(listing, on_word="did you mean '--text {word}'?")
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
    show = add_command(actions, "show", _show, "show all fields of one alarm, and what happened to it", codes=_CODES)
    add_config_file(show)
    add_remote(show)
    show.add_argument("id", metavar="ID", help=ID_HELP)
    add_output(show, ("table", "json", "yaml"))
    for edit, text in _EDITS.items():
        _register_edit(actions, edit, text)


def _register_edit(actions: Commands, edit: Edit, text: str) -> None:
    command = add_command(actions, edit, partial(_edit, edit), text, codes=_CODES)
    add_config_file(command)
    add_remote(command)
    command.add_argument("ids", nargs="*", metavar="ID", help=ID_HELP)
    command.add_argument("--all", action="store_true", help=_ALL_HELP[edit])
    command.add_argument("--dry-run", action="store_true", help="show what would be changed, and change nothing")
    command.add_argument("--yes", "-y", action="store_true", help="do not ask")
    add_search(command, on_word="all ids stand together, before or after the options")


def add_search(command: Parser, on_word: str) -> None:
    """Add the options that choose alarms; ``on_word``: as for `Parser.advise`."""
    command.advise(other_words=_ALERTMANAGERS_WORDS, on_word=on_word)
    command.add_argument(
        "--filter", action="append", default=[], metavar="MATCHER", help="only with such labels; may be repeated"
    )
    command.add_argument(
        "--state", action="append", choices=(*STATES, *STATE_GROUPS), help="only in this state; may be repeated"
    )
    command.add_argument("--all-states", action="store_true", help="finished ones, too")
    command.add_argument("--severity", choices=_SEVERITIES, help="only of this severity")
    command.add_argument("--target", help="only of this target")
    command.add_argument("--source", help="only of this source")
    command.add_argument("--event-name", help="only with exactly this event name")
    command.add_argument("--text", help="only with this text in event name or resource")
    command.add_argument("--since", metavar="WHEN", help="only taken in since then: 12h, or 2026-11-27T06:00 (UTC)")
    command.add_argument("--until", metavar="WHEN", help="only taken in before then")


def _list(arguments: argparse.Namespace) -> int:
    from bridge.cli.alarm_commands import list_alarms

    return list_alarms(arguments)


def _show(arguments: argparse.Namespace) -> int:
    from bridge.cli.alarm_commands import show_alarm

    return show_alarm(arguments)


def _edit(edit: Edit, arguments: argparse.Namespace) -> int:
    from bridge.cli.alarm_edits import change

    return change(edit, arguments)
