"""The command `aom-bridge diff`: its options; what it does is in `differences`.

In: the command line. Out: the exit code.
"""

from __future__ import annotations

import argparse

from bridge.cli.options import Commands, add_command, add_config_file

_CODES = {
    0: "nothing differs whose time is up",
    1: "something does, or the configuration is wrong",
    2: "a peer, the ledger or AOM could not be asked",
}


def register(commands: Commands) -> None:
    """Add the command."""
    text = "show where Alertmanager, the ledger and AOM differ, and what will be done about it"
    command = add_command(
        commands,
        "diff",
        _run,
        text,
        codes=_CODES,
    )
    add_config_file(command)
    command.add_argument("-o", dest="output", choices=("table", "json"), default="table", help="default: table")


def _run(arguments: argparse.Namespace) -> int:
    from bridge.cli.differences import run

    return run(arguments)
