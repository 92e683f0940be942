"""The command `aom-bridge demo`: shows in six acts what the bridge is for, with an emulated AOM.

In: the command line, and keys of a terminal. Out: a live view or plain lines, and an exit code: with `--once` 1 when an
act did not keep its promise.
"""

from __future__ import annotations

import argparse

from bridge.cli.options import Commands, add_command

_MIN_SPEED, _MAX_SPEED = 0.1, 100.0
_KEYS = """keys on a terminal:
  space  pause, and resume
  n      play the rest of the act without pauses
  s, f   halve the speed, double it
  q      quit"""


def register(commands: Commands) -> None:
    """Add the command."""
    text = "show in six acts how alerts become AOM alarms: no account, no configuration"
    demo = add_command(commands, "demo", _run, text, codes={1: "with --once: an act did not keep its promise"})
    demo.epilog = f"{demo.epilog}\n\n{_KEYS}"
    demo.add_argument(
        "--once", action="store_true", help="end after the acts; exit code 0 if each of them kept its promise"
    )
    demo.add_argument(
        "--speed",
        type=_speed,
        metavar="FACTOR",
        help="2 is twice as fast; default: 1 on a terminal, without pauses elsewhere and with --once",
    )


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not _MIN_SPEED <= speed <= _MAX_SPEED:
        raise argparse.ArgumentTypeError(f"write a number from {_MIN_SPEED:g} to {_MAX_SPEED:g}, such as 2")
    return speed


def _run(arguments: argparse.Namespace) -> int:
    import asyncio
    import signal

    from rich.console import Console

    from bridge import log
    from bridge.cli.signals import stop_event
    from bridge.demo import Demo

    log.configure("error", "logfmt")
    demo = Demo(Console(), speed=arguments.speed, once=arguments.once)

    async def run() -> int:
        stopped = stop_event()
        # Where the terminal is closed, the bridge of the demo would be left.
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, stopped.set)
        return await demo.run(stopped)

    return asyncio.run(run())
