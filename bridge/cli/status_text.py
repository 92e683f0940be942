"""`aom-bridge status`: whether AOM is in step, in one sentence, then each target and source in a table.

In: the options of `bridge.cli.status`; a configuration, or a running bridge elsewhere. Out: text or data, and an exit
code: 0 in step, 1 not. The ledger is read beside the running bridge.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bridge.cli.beside import load_beside
from bridge.cli.output import print_value
from bridge.cli.remote import remote_of
from bridge.cli.table import ago
from bridge.cli.terminal import printable, say
from bridge.clock import Millis, format_rfc3339
from bridge.config import Settings
from bridge.errors import BridgeError
from bridge.ledger import LedgerStatus, OfflineLedger
from bridge.ledger.in_use import is_in_use
from bridge.reconcile.heartbeats import Verdict, of_all
from bridge.web.handlers.status import listed, shown
from bridge.web.status import Trouble, in_step, troubles

Status = Mapping[str, Any]


def run(arguments: argparse.Namespace) -> int:
    """Print the status; return the exit code."""
    remote = remote_of(arguments)
    status = _local(arguments.config_file) if remote is None else remote.get("/api/v1/status")["data"]
    if "sentence" not in status:
        raise BridgeError(f"{arguments.url}: this is not aom-bridge's answer. Fix: the address of the bridge itself.")
    if arguments.output != "table":
        print_value(status, arguments.output)
    else:
        _print(status)
    return 0 if status["in_step"] else 1


def _local(file: str) -> Status:
    """Return what the ledger says, in the form of ``/api/v1/status``."""
    settings = load_beside(file)
    every_source = settings.audit_settings.every_source
    status = OfflineLedger(settings.store.url).status(list(settings.targets), every_source)
    wrong = [*_unattended(settings), *_wrong(settings, status)]
    ledger = shown(msgspec.to_builtins(status))
    return {
        "at": format_rfc3339(status.at),
        "in_step": not wrong,
        "sentence": (wrong[0] if wrong else in_step(status)).text(),
        "wrong": [{"text": one.text()} for one in wrong],
        "targets": ledger["targets"],
        "sources": listed(ledger["sources"], settings.by_source),
    }


def _unattended(settings: Settings) -> list[Trouble]:
    """Return the trouble that no bridge runs on the ledger, where that can be seen."""
    if is_in_use(settings.store.url) is not False:
        return []
    return [Trouble("status_unattended", {}, "bad", "AomBridgeDown")]


def _wrong(settings: Settings, status: LedgerStatus) -> list[Trouble]:
    verdicts = of_all(settings.heartbeats, status.switches, status.at)
    late = [_late(one, status.at) for one in verdicts if one.is_late]
    intervals = {name: one.interval for name, one in settings.by_source.items()}
    return troubles(status, intervals, late)


def _late(one: Verdict, now: Millis) -> Trouble:
    age = None if one.row is None else now - one.row.seen_at
    return Trouble.of_heartbeat(one.sign.heartbeat, one.sign.by, one.state, age)


def _print(status: Status) -> None:
    say(status["sentence"], *(f"also: {one['text']}" for one in status["wrong"][1:]), "")
    _table(("TARGET", "STATES", "WAITING", "LAST ACCEPTED", "LAST AUDIT"), _targets(status))
    say("")
    _table(("SOURCE", "OPEN", "PEERS ANSWERED", "DIFFERENCES"), _sources(status))


def _targets(status: Status) -> list[Sequence[str]]:
    return [
        (
            name,
            _counts(one["states"], "{n} {name}"),
            str(one["waiting"]),
            ago(one["accepted_at"]),
            ago(one["audited_at"]),
        )
        for name, one in status["targets"].items()
    ]


def _sources(status: Status) -> list[Sequence[str]]:
    return [
        (
            name,
            str(one["open"]),
            ago(one["covered_at"]) if one.get("is_asked", one["covered_at"]) else "not asked",
            _counts(one["differences"], "{n} {name}"),
        )
        for name, one in status["sources"].items()
    ]


def _counts(counts: Mapping[str, int], form: str) -> str:
    return ", ".join(form.format(n=n, name=name) for name, n in sorted(counts.items()) if n) or "-"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    cells = [headings, *([printable(text) for text in row] for row in rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(headings))]
    for row in cells:
        say("  ".join(text.ljust(size) for text, size in zip(row, widths, strict=True)).rstrip())
