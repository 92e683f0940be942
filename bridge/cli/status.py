"""The command `aom-bridge status`: its options; what it does is in `status_text`.

In: the command line. Out: the exit code.
"""

from __future__ import annotations

import argparse

from bridge.cli.options import Commands, add_command, add_config_file
from bridge.cli.output import add_output
from bridge.cli.remote_options import add_remote

_CODES = {0: "AOM is in step", 1: "it is not", 2: "nothing could be read or asked"}


def register(commands: Commands) -> None:
    """Add the command."""
    text = "say whether AOM is in step, what waits, and why"
    command = add_command(commands, "status", _run, text, codes=_CODES)
    add_config_file(command)
    add_remote(command)
    add_output(command, ("table", "json", "yaml"))


def _run(arguments: argparse.Namespace) -> int:
    from bridge.cli.status_text import run

    return run(arguments)
