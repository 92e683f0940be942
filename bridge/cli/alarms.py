"""The command `aom-bridge alarms`: looks at the ledger beside the running bridge, and changes it by hand.

In: the command line and `store.url`. Out: a table or JSON, one sentence for each change, and an exit code: 1 when an
alarm was not there or could not be changed so. Part of the command line: it prints.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from rich.console import Console
from rich.table import Table

from bridge import config
from bridge.cli.terminal import pretty, printable, say
from bridge.clock import format_rfc3339, system_clock
from bridge.errors import BridgeError, UnknownAlarmError
from bridge.event import Mapped
from bridge.ledger import EDITS, AlarmView, AlertContext, Edit, Edited, Editor, editing, looking_at, rejected, trace
from bridge.ledger.operations import queries
from bridge.web.handlers import as_json

_CUT = 60
"""Characters of a name or resource that the table shows."""


def _list(arguments: argparse.Namespace) -> int:
    settings = config.load(arguments.config_file, allow_unset=True).settings
    with looking_at(settings.store.url) as connection:
        views = queries.listing(
            connection,
            states=arguments.state or (),
            target=arguments.target,
            source=arguments.source,
            limit=arguments.limit,
        )
    if arguments.output == "json":
        say(*pretty([as_json(view) for view in views]))
    else:
        _print_table(views)
    return 0


def _show(arguments: argparse.Namespace) -> int:
    settings = config.load(arguments.config_file, allow_unset=True).settings
    try:
        with looking_at(settings.store.url) as connection:
            view = queries.show(connection, arguments.id)
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
    results: list[Edited] = []

    def map_anew(source: str, context: AlertContext) -> Mapped:
        return mapper.map(source, context.alert, context.group).mapped

    with editing(settings.store.url) as engine:
        for names in _names(arguments, engine):
            with engine.begin() as connection:
                now = system_clock()
                some = Editor(connection, map_anew, now).run(edit, names)
                trace.keep(connection, edit, some, now, is_of_all=getattr(arguments, "all", False))
            for result in some:
                say(f"{result.id[:12]}: {result.text}", file=sys.stdout if result.done else sys.stderr)
            results += some
    if not results:
        say("no alarm is rejected")
    return 0 if all(result.done for result in results) else 1


def _names(arguments: argparse.Namespace, engine: Any) -> Iterator[Sequence[str | int]]:  # noqa: ANN401 - SQL's own word
    """Give what names the alarms of one transaction after the other."""
    if not getattr(arguments, "all", False):
        if not arguments.ids:
            raise BridgeError("no alarm is named. Fix: give ids, or --all for every rejected alarm.")
        yield arguments.ids
        return
    if arguments.ids:
        raise BridgeError("both ids and --all are given. Fix: one of the two.")
    after = 0
    while True:
        with engine.connect().execution_options(read_only=True) as connection:
            found = rejected(connection, target=arguments.target, source=arguments.source, after=after)
        if not found:
            return
        yield found
        after = found[-1]


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "alarms list": _list,
    "alarms show": _show,
    **{f"alarms {edit}": partial(_edit, edit) for edit in EDITS},
}
