"""The command `aom-bridge alarms`: looks at the ledger beside the running bridge, and changes it by hand.

In: the command line and `store.url`. Out: a table or JSON, one sentence for each change, and an exit code: 1 when an
alarm was not there or could not be changed so. Part of the command line: it prints.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from rich.console import Console
from rich.table import Table

from bridge import config
from bridge.cli.terminal import pretty, printable, say
from bridge.clock import format_rfc3339
from bridge.errors import BridgeError, UnknownAlarmError
from bridge.event import Mapped
from bridge.ledger import EDITS, AlarmFilter, AlarmView, AlertContext, Edit, Edited, MapAnew, OfflineLedger
from bridge.web.handlers import as_json

_CUT = 60
"""Characters of a name or resource that the table shows."""


def _list(arguments: argparse.Namespace) -> int:
    settings = config.load(arguments.config_file, allow_unset=True).settings
    chosen = AlarmFilter(
        states=arguments.state or (), target=arguments.target, source=arguments.source, limit=arguments.limit
    )
    views = OfflineLedger(settings.store.url).list(chosen)
    if arguments.output == "json":
        say(*pretty([as_json(view) for view in views]))
    else:
        _print_table(views)
    return 0


def _show(arguments: argparse.Namespace) -> int:
    settings = config.load(arguments.config_file, allow_unset=True).settings
    try:
        view = OfflineLedger(settings.store.url).show(arguments.id)
    except UnknownAlarmError as error:
        say(f"aom-bridge: {arguments.id}: {error}", file=sys.stderr)
        return 1
    if arguments.output == "json":
        say(*pretty(as_json(view)))
        return 0
    for name, value in as_json(view).items():
        first, *others = [value] if isinstance(value, str) else pretty(value)
        say(f"{name}: {first}", *others)
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
                printable(text[:_CUT])
                for text in (metadata["event_name"], metadata["resource_id"], alarm.target, alarm.source)
            ),
            format_rfc3339(alarm.fired_at),
            alarm.reason or "",
        )
    wide = None if sys.stdout.isatty() else 200
    Console(width=wide, highlight=False, markup=False).print(table)


def _edit(edit: Edit, arguments: argparse.Namespace) -> int:
    settings = config.load(arguments.config_file, allow_unset=True).settings
    mapper = settings.mapper()

    def map_anew(source: str, context: AlertContext) -> Mapped:
        return mapper.map(source, context.alert, context.group).mapped

    outcomes = []
    for result in _results(edit, arguments, OfflineLedger(settings.store.url), map_anew):
        say(f"{result.id[:12]}: {result.text}", file=sys.stdout if result.done else sys.stderr)
        outcomes.append(result.done)
    if not outcomes:
        say("no alarm is rejected")
    return 0 if all(outcomes) else 1


def _results(edit: Edit, arguments: argparse.Namespace, ledger: OfflineLedger, map_anew: MapAnew) -> Iterable[Edited]:
    if not getattr(arguments, "all", False):
        if not arguments.ids:
            raise BridgeError("no alarm is named. Fix: give ids, or --all for every rejected alarm.")
        return ledger.edit(edit, arguments.ids, map_anew)
    if arguments.ids:
        raise BridgeError("both ids and --all are given. Fix: one of the two.")
    return ledger.retry_all(arguments.target, arguments.source, map_anew)


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "alarms list": _list,
    "alarms show": _show,
    **{f"alarms {edit}": partial(_edit, edit) for edit in EDITS},
}
