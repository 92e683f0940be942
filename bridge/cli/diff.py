"""The command `aom-bridge diff`: Alertmanager and the ledger side by side, and what will be done about each difference.

In: the command line, the configuration, the peers of each source, `store.url`. Out: a table or JSON, and an exit code:
0 nothing differs whose time is up, 1 something does, or no running bridge will do anything about it, 2 a peer or the
ledger could not be asked. It changes nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from rich.console import Console
from rich.table import Table

from bridge import config
from bridge.cli.options import Commands, add_command, add_config_file
from bridge.cli.terminal import complain, pretty, printable, say
from bridge.clock import format_rfc3339, system_clock
from bridge.ledger import OfflineLedger
from bridge.receiving.parsed_notification import AlertmanagerReader
from bridge.reconcile.heartbeats import name_of, of_all
from bridge.reconcile.heartbeats.states import Verdict
from bridge.reconcile.look import Differing, Look, look

_MAX_CELL_CHARACTERS = 60
_ACTIONS = {"vanished": "cleared", "unrouted": "cleared", "silenced": "cleared", "missing": "raised"}
_WAITS = {
    "coverage": "waits until every peer has answered for long enough",
    "webhook": "waits for its webhook",
    "heartbeat": "waits because a heartbeat is late, or was until now: the alert may be absent for the same reason",
}
_UNKNOWN = "no running bridge has told yet"


def register(commands: Commands) -> None:
    """Add the command."""
    text = "show where Alertmanager and the ledger differ, and what will be done about it"
    command = add_command(commands, "diff", _run, text)
    add_config_file(command)
    command.add_argument("-o", dest="output", choices=("table", "json"), default="table", help="default: table")


def _run(arguments: argparse.Namespace) -> int:
    settings = config.load(arguments.config_file, allow_unset=True).settings
    if not settings.by_source:
        complain("aom-bridge: no Alertmanager is configured. Fix: alertmanagers: [{urls: [http://HOST:9093]}].")
        return 2
    switches = settings.heartbeat_config.switches
    ledger, reader = OfflineLedger(settings.store.url), AlertmanagerReader(settings.mapper())
    looks = {
        name: asyncio.run(
            look(
                alertmanager,
                name,
                ledger,
                reader,
                system_clock,
                partial(switches.find, name),
                alarm_timeout=settings.alarm_timeout,
            )
        )
        for name, alertmanager in settings.by_source.items()
    }
    rows = [(name, one, each) for name, one in looks.items() for each in one.differing]
    if arguments.output == "json":
        say(*pretty([_as_json(*row) for row in rows]))
    elif rows:
        _print_table(rows)
    elif all(one.is_complete for one in looks.values()):
        say("nothing differs")
    complain(*_late_heartbeats(of_all(settings.heartbeats, ledger.switches(), system_clock())))
    for name, one in looks.items():
        complain(*(f"aom-bridge: source {name}: {notice.subject}: {notice.text}" for notice in one.notices))
        if one.differing and not one.is_compared:
            text = "no running bridge compares it with its Alertmanager, so nothing will be done about what differs."
            complain(f"aom-bridge: source {name}: {text} Fix: start aom-bridge serve with this configuration.")
    if not all(one.is_complete for one in looks.values()):
        return 2
    return 1 if any(_is_due(*row) for row in rows) else 0


def _late_heartbeats(verdicts: Iterable[Verdict]) -> Iterator[str]:
    """Yield a line for each switch that is late or missing: clears of absent alerts may wait for it."""
    for one in verdicts:
        since = f"its last sign came at {format_rfc3339(one.since)}" if one.row else "no sign of it has ever come"
        if one.is_late:
            yield f"aom-bridge: heartbeat {name_of(one.sign)} is {one.state}: {since}"


def _is_due(_source: str, one: Look, each: Differing) -> bool:
    if each.known is None or not one.is_compared:
        return not one.is_compared
    return each.known.due_at is not None and each.known.due_at <= one.at


def _as_json(source: str, one: Look, each: Differing) -> dict[str, Any]:
    row = {
        "source": source,
        "fingerprint": each.fingerprint,
        "labels": each.labels,
        "alertmanager": each.alertmanager,
        "ledger": each.alarm.state if each.alarm else None,
        "difference": each.kind,
        "since": format_rfc3339(each.known.since) if each.known else None,
        "next": _next(each),
        "is_due": _is_due(source, one, each),
    }
    return {name: value for name, value in row.items() if value is not None}


def _next(each: Differing) -> str:
    """Return what will be done, and when or what for it waits."""
    if each.known is None:
        return _UNKNOWN
    if each.known.due_at is None:
        return _WAITS.get(each.known.waits_for, each.known.waits_for)
    return f"{_ACTIONS[each.kind]} at {format_rfc3339(each.known.due_at)}"


def _print_table(rows: Sequence[tuple[str, Look, Differing]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="")
    for heading in ("SOURCE", "ALERT", "FINGERPRINT", "ALERTMANAGER", "LEDGER", "DIFFERENCE", "SINCE", "NEXT"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("FINGERPRINT", "SINCE"))
    for source, _, each in rows:
        table.add_row(
            printable(source),
            printable(each.labels.get("alertname", "")[:_MAX_CELL_CHARACTERS]),
            each.fingerprint,
            each.alertmanager,
            each.alarm.state if each.alarm else "-",
            each.kind,
            format_rfc3339(each.known.since) if each.known else "-",
            _next(each),
        )
    width = None if sys.stdout.isatty() else 200
    Console(width=width, highlight=False, markup=False).print(table)
