"""The command `aom-bridge check-alertmanager`: its options; what it does is in `alertmanager_check`.

In: the command line. Out: the exit code.
"""

from __future__ import annotations

import argparse

from bridge.cli.options import Commands, add_command

_CODES = {0: "nothing loses alerts", 1: "something does", 2: "the configuration cannot be read"}


def register(commands: Commands) -> None:
    """Add the command."""
    text = "show what in Alertmanager's own configuration loses alerts for the bridge"
    command = add_command(
        commands,
        "check-alertmanager",
        _run,
        text,
        codes=_CODES,
    )
    command.add_argument("name", metavar="FILE|URL", help="alertmanager.yml, or the base URL of an Alertmanager")
    command.add_argument(
        "--receiver",
        action="append",
        metavar="NAME",
        help="a receiver that sends to the bridge; may be repeated; default: receivers of the bridge's configuration,"
        " or else every receiver with a webhook that can be to the bridge",
    )
    command.add_argument(
        "--config.file",
        dest="config_file",
        metavar="FILE",
        help="the bridge's configuration: its receivers and alarm_timeout, and how its Alertmanagers are asked",
    )
    command.add_argument("--format", choices=("text", "json"), default="text", help="default: text")


def _run(arguments: argparse.Namespace) -> int:
    from bridge.cli.alertmanager_check import run

    return run(arguments)
