"""The command `aom-bridge status`: whether AOM is in step, in one sentence, then each target and source in a table.

In: the command line, the configuration, `store.url`. Out: text or JSON, and an exit code: 0 in step, 1 not. It reads
the ledger beside the running bridge, and makes no request.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from bridge import config
from bridge.cli.options import Commands, add_command, add_config_file
from bridge.cli.terminal import pretty, printable, say
from bridge.clock import SECOND, Millis, format_duration
from bridge.config import Settings
from bridge.ledger import LedgerStatus, OfflineLedger
from bridge.reconcile.heartbeats import late_text, of_all
from bridge.web.status import Trouble, in_step, troubles


def register(commands: Commands) -> None:
    """Add the command."""
    text = "say whether AOM is in step, what waits, and why"
    command = add_command(commands, "status", _run, text)
    add_config_file(command)
    command.add_argument("-o", dest="output", choices=("table", "json"), default="table", help="default: table")


def _run(arguments: argparse.Namespace) -> int:
    settings = config.load(arguments.config_file, allow_unset=True).settings
    every_source = settings.audit_settings.every_source
    status = OfflineLedger(settings.store.url).status(list(settings.targets), every_source)
    wrong = _wrong(settings, status)
    first = wrong[0] if wrong else in_step(status)
    if arguments.output == "json":
        texts = [one.text() for one in wrong]
        say(*pretty({"sentence": first.text(), "wrong": texts, **msgspec.to_builtins(status)}))
    else:
        say(first.text(), *(f"also: {one.text()}" for one in wrong[1:]), "")
        _print(("TARGET", "STATES", "WAITING", "LAST ACCEPTED", "LAST AUDIT"), _targets(status))
        say("")
        _print(("SOURCE", "OPEN", "PEERS ANSWERED", "DIFFERENCES"), _sources(settings, status))
    return 1 if wrong else 0


def _wrong(settings: Settings, status: LedgerStatus) -> list[Trouble]:
    verdicts = of_all(settings.heartbeats, status.switches, status.at)
    late = [late_text(one) for one in verdicts if one.is_late]
    intervals = {name: one.interval for name, one in settings.by_source.items()}
    return troubles(status, intervals, late)


def _targets(status: LedgerStatus) -> Sequence[Sequence[str]]:
    return [
        (
            name,
            ", ".join(f"{count} {state}" for state, count in sorted(one.states.items())) or "-",
            str(one.waiting),
            _age(one.accepted_at, status.at),
            _age(one.audited_at, status.at),
        )
        for name, one in status.targets.items()
    ]


def _sources(settings: Settings, status: LedgerStatus) -> Sequence[Sequence[str]]:
    return [
        (
            name,
            str(one.open),
            _age(one.covered_at, status.at) if name in settings.by_source else "not asked",
            ", ".join(f"{count} {kind}" for kind, count in sorted(one.differences.items())) or "-",
        )
        for name, one in status.sources.items()
        if name in settings.all_sources or one.open
    ]


def _age(at: Millis | None, now: Millis) -> str:
    return "never" if at is None else f"{format_duration(max(now - at, 0) // SECOND * SECOND)} ago"


def _print(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*map(printable, row))
    Console(width=None if sys.stdout.isatty() else 120, highlight=False, markup=False).print(table)
