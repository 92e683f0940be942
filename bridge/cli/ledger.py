"""The command `aom-bridge ledger`: backs a ledger up, or moves it to another database. It prints.

In: a file, or two addresses. Out: one sentence, and an exit code. Addresses with passwords are refused: they would
stand in the process list.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from bridge import config
from bridge.cli.terminal import say
from bridge.clock import system_clock
from bridge.ledger.backup import back_up
from bridge.ledger.copy import check_address, copy


def _back_up(arguments: argparse.Namespace) -> int:
    settings = config.load(arguments.config_file, allow_unset=True).settings
    count = back_up(settings.store.url, arguments.file)
    say(f"{count} alarm(s) copied to {arguments.file}; the bridge may run on.")
    return 0


def _copy(arguments: argparse.Namespace) -> int:
    for url in (arguments.source, arguments.destination):
        check_address(url)
    count = copy(arguments.source, arguments.destination, system_clock())
    say(f"{count} alarm(s) copied. Now set store.url to the new address, and start serve.")
    return 0


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {"ledger backup": _back_up, "ledger copy": _copy}
