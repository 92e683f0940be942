"""The command `aom-bridge test-rules`: its options; what it does is in `rule_test_files`.

In: the command line. Out: the exit code.
"""

from __future__ import annotations

import argparse

from bridge.cli.options import Commands, add_command

_CODES = {0: "every test passes", 1: "a test fails, or a file is wrong", 2: "a file cannot be read"}


def register(commands: Commands) -> None:
    """Add the command."""
    command = add_command(
        commands,
        "test-rules",
        _run,
        "run unit tests of mapping rules",
        codes=_CODES,
    )
    command.add_argument("files", nargs="+", metavar="FILE", help="a file of tests; it names its configuration")
    command.add_argument("--junit", metavar="FILE", help="write a report that CI systems read")


def _run(arguments: argparse.Namespace) -> int:
    from bridge.cli.rule_test_files import run

    return run(arguments)
