"""The command `aom-bridge demo`: shows how alerts become alarms, with an emulated AOM.

In: the command line. Out: a live view or plain lines, and an exit code: with `--once` 1 when AOM did not get the
expected alarms.
"""

from __future__ import annotations

import argparse
import sys

from bridge.cli.options import Commands, add_command


def register(commands: Commands) -> None:
    """Add the command."""
    text = "show how alerts become AOM alarms: no account, no configuration"
    demo = add_command(commands, "demo", _run, text, codes={1: "with --once: AOM did not get the expected alarms"})
    demo.add_argument(
        "--once", action="store_true", help="end after the replay; exit code 0 if AOM has the expected alarms"
    )


def _run(arguments: argparse.Namespace) -> int:
    import asyncio

    from rich.console import Console

    from bridge import log
    from bridge.cli.signals import stop_event
    from bridge.demo import Demo

    log.configure("error", "logfmt")
    demo = Demo(Console(), is_live=sys.stdout.isatty(), once=arguments.once)

    async def run() -> int:
        return await demo.run(stop_event())

    return asyncio.run(run())
