"""The command `aom-bridge alarms`: lists, shows and changes alarms in the ledger beside the running bridge.

In: the command line and `store.url`. Out: a table or JSON, one sentence for each change, and an exit code: 1 when an
alarm does not exist or could not be changed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from functools import partial

from rich.console import Console
from rich.table import Table

from bridge import config
from bridge.cli.caller import caller
from bridge.cli.options import Commands, add_command, add_config_file, add_group
from bridge.cli.terminal import complain, pretty, printable, say
from bridge.cli.timeline import timeline_lines
from bridge.clock import format_rfc3339
from bridge.errors import BridgeError, UnknownAlarmError
from bridge.event import Mapped
from bridge.ledger import STATES, AlarmFilter, AlarmView, AlertContext, Edit, Edited, MapAnew, OfflineLedger
from bridge.web.handlers import as_json, detail_as_json

_MAX_CELL_CHARACTERS = 60
"""What the table shows of a name or resource."""

_DEFAULT_LIMIT = 1_000
_ID_HELP = "id of the alarm, the beginning of it, or the fingerprint of an alert, for its newest alarm"

_EDITS: dict[Edit, str] = {
    "retry": "send rejected alarms again, with their reports mapped by the present rules; send waiting alarms at once",
    "clear": "clear alarms in AOM as if their alerts had resolved now",
    "discard": "discard alarms without sending anything to AOM",
}

_OPENINGS = {
    "missing": "raised: no webhook",
    "remapped": "raised: no longer dropped",
    "heartbeat": "raised: no sign of it",
    "adopted": "taken over from AOM",
    "canary": "sent on order",
}


def register(commands: Commands) -> None:
    """Add the command with its sub-commands."""
    actions = add_group(commands, "alarms", "list, show and change the alarms in the ledger")
    listing = add_command(actions, "list", _list, "list alarms, the newest first")
    add_config_file(listing)
    listing.add_argument("--state", action="append", choices=STATES, help="only in this state; may be repeated")
    listing.add_argument("--target", help="only of this target")
    listing.add_argument("--source", help="only of this source")
    listing.add_argument(
        "--limit", type=int, default=_DEFAULT_LIMIT, help=f"maximum number of alarms; default: {_DEFAULT_LIMIT}"
    )
    show = add_command(actions, "show", _show, "show all fields of one alarm, and what happened to it")
    add_config_file(show)
    show.add_argument("id", metavar="ID", help=_ID_HELP)
    for command in (listing, show):
        command.add_argument("-o", dest="output", choices=("table", "json"), default="table", help="default: table")
    for edit, text in _EDITS.items():
        _register_edit(actions, edit, text)


def _register_edit(actions: Commands, edit: Edit, text: str) -> None:
    command = add_command(actions, edit, partial(_edit, edit), text)
    add_config_file(command)
    command.add_argument("ids", nargs="+" if edit != "retry" else "*", metavar="ID", help=_ID_HELP)
    if edit == "retry":
        command.add_argument("--all", action="store_true", help="every rejected alarm")
        command.add_argument("--target", help="with --all: only of this target")
        command.add_argument("--source", help="with --all: only of this source")


def _list(arguments: argparse.Namespace) -> int:
    settings = config.load(arguments.config_file, allow_unset=True).settings
    chosen = AlarmFilter(
        states=arguments.state or (), target=arguments.target, source=arguments.source, limit=arguments.limit
    )
    views = list(OfflineLedger(settings.store.url).each(chosen))
    if arguments.output == "json":
        say(*pretty([as_json(view) for view in views]))
    else:
        _print_table(views)
    return 0


def _show(arguments: argparse.Namespace) -> int:
    settings = config.load(arguments.config_file, allow_unset=True).settings
    try:
        detail = OfflineLedger(settings.store.url).show(arguments.id)
    except UnknownAlarmError as error:
        complain(f"aom-bridge: {arguments.id}: {error}")
        return 1
    if arguments.output == "json":
        say(*pretty(detail_as_json(detail)))
        return 0
    for name, value in as_json(detail.view).items():
        first, *others = [value] if isinstance(value, str) else pretty(value)
        say(f"{name}: {first}", *others)
    say("timeline:", *timeline_lines(detail))
    return 0


def _print_table(views: Sequence[AlarmView]) -> None:
    table = Table(box=None, pad_edge=False, header_style="")
    for heading in ("ID", "STATE", "SEVERITY", "EVENT", "RESOURCE", "TARGET", "SOURCE", "SINCE", "REASON"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("ID", "STATE", "SINCE"))
    for view in views:
        alarm, metadata = view.alarm, view.event.metadata
        table.add_row(
            alarm.id[:12],
            alarm.state,
            alarm.severity,
            *(
                printable(text[:_MAX_CELL_CHARACTERS])
                for text in (metadata["event_name"], metadata["resource_id"], alarm.target, alarm.source)
            ),
            format_rfc3339(alarm.fired_at),
            alarm.reason or alarm.ended_by or _OPENINGS.get(alarm.opened_by or "", ""),
        )
    width = None if sys.stdout.isatty() else 200
    Console(width=width, highlight=False, markup=False).print(table)


def _edit(edit: Edit, arguments: argparse.Namespace) -> int:
    settings = config.load(arguments.config_file, allow_unset=True).settings
    mapper = settings.mapper()

    def map_anew(source: str, context: AlertContext) -> Mapped:
        return mapper.map(source, context.alert, context.group).mapped

    outcomes = []
    for result in _results(edit, arguments, OfflineLedger(settings.store.url), map_anew):
        write = say if result.done else complain
        write(f"{result.id[:12]}: {result.text}")
        outcomes.append(result.done)
    if not outcomes:
        say("no alarm is rejected")
    return 0 if all(outcomes) else 1


def _results(edit: Edit, arguments: argparse.Namespace, ledger: OfflineLedger, map_anew: MapAnew) -> Iterable[Edited]:
    if not getattr(arguments, "all", False):
        if not arguments.ids:
            raise BridgeError("no alarm is named. Fix: give ids, or --all for every rejected alarm.")
        return ledger.edit(edit, arguments.ids, map_anew, caller())
    if arguments.ids:
        raise BridgeError("both ids and --all are given. Fix: one of the two.")
    return ledger.retry_all(arguments.target, arguments.source, map_anew, caller())
