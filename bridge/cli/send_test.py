"""The command `aom-bridge send-test`: its options; what it does is in `target_trial`.

In: the command line. Out: the exit code.
"""

from __future__ import annotations

import argparse

from bridge.cli.options import Commands, add_command, add_config_file

_CODES = {0: "every step works", 1: "a step failed, or the configuration is wrong"}


def register(commands: Commands) -> None:
    """Add the command."""
    text = "report, find and clear one test alarm, and show which steps work"
    command = add_command(
        commands,
        "send-test",
        _run,
        text,
        codes=_CODES,
    )
    add_config_file(command)
    command.add_argument("--target", action="append", help="only this target; may be repeated")
    command.add_argument(
        "--wait", type=_duration, metavar="DURATION", help="for how long AOM's list may lag; default: lookup_wait"
    )


def _duration(text: str) -> int:
    from bridge.typed_yaml.scalars import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _run(arguments: argparse.Namespace) -> int:
    from bridge.cli.target_trial import run

    return run(arguments)
