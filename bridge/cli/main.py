"""The command line: finds the command that was named, runs it, and turns errors into exit codes.

In: the command line. Out: text for people or JSON for programs on standard output, logs and errors on standard error,
and an exit code: 0 done, 1 the answer is no (a wrong configuration, an alarm that does not exist), 2 it could not run.
A command is a module of this package that offers `register`; it is listed here and nowhere else.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Sequence

from bridge import __version__
from bridge.cli import (
    alarms,
    check_alertmanager,
    check_config,
    completion,
    config,
    demo,
    diff,
    emulator,
    healthcheck,
    ledger,
    map,  # noqa: A004 - each module has the name of its command
    rule_tests,
    send_test,
    serve,
    status,
)
from bridge.cli.options import Commands, find_config
from bridge.cli.parser import Parser
from bridge.cli.remote_options import ASK_INSTEAD
from bridge.cli.terminal import complain

REGISTRY: tuple[Callable[[Commands], None], ...] = (
    serve.register,
    demo.register,
    emulator.register,
    config.register,
    check_config.register,
    check_alertmanager.register,
    healthcheck.register,
    map.register,
    rule_tests.register,
    send_test.register,
    alarms.register,
    diff.register,
    status.register,
    ledger.register,
    completion.register,
)
"""The commands in the order of the help."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    gc.set_threshold(20_000, 20, 20)  # imports and storms make many objects, and few cycles
    arguments = parser().parse_args(argv)
    try:
        is_needed = getattr(arguments, "needs_config", False) and not getattr(arguments, "url", None)
        if is_needed and arguments.config_file is None:
            arguments.config_file = find_config(*([ASK_INSTEAD] if hasattr(arguments, "url") else []))
        return int(arguments.run(arguments))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        code = _told(error)
        if code is None:
            raise
        return code


def _told(error: Exception) -> int | None:
    """Print an error that is meant for people, and return the exit code; None if it is a mistake of the bridge's."""
    from bridge.errors import BridgeError, of_file
    from bridge.typed_yaml.problems import ConfigError, UnreadableError

    if isinstance(error, ConfigError):
        complain(*error.lines(), *getattr(error, "__notes__", ()))
        return 2 if isinstance(error, UnreadableError) else 1
    if isinstance(error, BridgeError):
        complain(f"aom-bridge: {error}")
        return 2
    if isinstance(error, OSError):
        complain(f"aom-bridge: {f'{error.filename}: ' if error.filename else ''}{of_file(error)}")
        return 2
    return None


def parser() -> Parser:
    """Return the parser of all commands; what it parses carries the function of the command as ``run``."""
    root = Parser(
        prog="aom-bridge",
        description="Prometheus Alertmanager webhook bridge to Huawei Cloud AOM.",
        epilog="exit codes: 0 done, 1 the answer is no, 2 it could not run; COMMAND --help says more",
    )
    root.add_argument("--version", action="version", version=f"aom-bridge {__version__}")
    commands = root.add_commands()
    for register in REGISTRY:
        register(commands)
    return root
