"""The command `aom-bridge ledger`: backs a ledger up, or copies it into another database.

In: a file, or two addresses. Out: one sentence, and the exit code 0. Addresses with passwords are refused: they would
be visible in the process list.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from bridge import config
from bridge.cli.options import Commands, add_command, add_config_file, add_group
from bridge.cli.terminal import say

_CODES = {1: "the configuration is wrong"}


def register(commands: Commands) -> None:
    """Add the command with its sub-commands."""
    actions = add_group(commands, "ledger", "back a ledger up, or move it to another database")
    backup = add_command(
        actions,
        "backup",
        _back_up,
        "copy a SQLite ledger into a file while serve runs",
        codes=_CODES,
    )
    add_config_file(backup)
    backup.add_argument("file", type=Path, metavar="FILE", help="file to create; it must not exist")
    copying = add_command(actions, "copy", _copy, "copy a ledger into an empty database; stop serve first")
    copying.add_argument(
        "source", metavar="FROM", help="the present store.url: sqlite:///FILE or postgresql://USER@HOST/NAME"
    )
    copying.add_argument(
        "destination", metavar="TO", help="the future store.url; give passwords by PGPASSWORD or ~/.pgpass"
    )


def _back_up(arguments: argparse.Namespace) -> int:
    from bridge.cli.progress import counted
    from bridge.ledger.backup import back_up

    settings = config.load(arguments.config_file, allow_unset=True).settings
    with counted("backup") as on_copied:
        count = back_up(settings.store.url, arguments.file, on_copied)
    say(f"{count} alarm(s) copied to {arguments.file}; the bridge may run on.")
    return 0


def _copy(arguments: argparse.Namespace) -> int:
    from bridge.cli.progress import counted
    from bridge.clock import system_clock
    from bridge.ledger.copy import check_address, copy

    for url in (arguments.source, arguments.destination):
        check_address(url)
    with counted("copy") as on_copied:
        count = copy(arguments.source, arguments.destination, system_clock(), on_copied)
    say(f"{count} alarm(s) copied. Now set store.url to the new address, and start serve.")
    return 0
