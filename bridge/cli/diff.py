"""The command `aom-bridge diff`: its options; what it does is in `differences`.

In: the command line. Out: the exit code.
"""

from __future__ import annotations

import argparse

from bridge.cli.options import Commands, add_command, add_config_file
from bridge.cli.output import add_output
from bridge.cli.remote_options import add_remote

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
    add_remote(command)
    add_output(command, ("table", "wide", "json", "yaml"))


def _run(arguments: argparse.Namespace) -> int:
    from bridge.cli.differences import run

    return run(arguments)
