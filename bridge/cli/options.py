"""What several commands share: how a command is added, `--config.file`, addresses, and default names.

In: argparse's sub-commands, and words of the command line. Out: options and values. Nothing runs here and nothing is
printed; options of one command are in that command's module.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from typing import TypeAlias

from bridge.cli.parser import Parser

Commands: TypeAlias = "argparse._SubParsersAction[Parser]"  # noqa: SLF001 - argparse has no public name for it
"""What `argparse.ArgumentParser.add_subparsers` returns."""

CONFIG_FILES = ("bridge.yaml", "config/bridge.yaml", "/etc/aom-bridge/bridge.yaml")
"""Where the configuration is looked for, the first that is there."""

CONFIG_VARIABLE = "AOM_BRIDGE_CONFIG_FILE"
DEFAULT_CONFIG = f"${CONFIG_VARIABLE}, or the first of {', '.join(CONFIG_FILES)}"
DEFAULT_ADDRESS = ":9876"

_CODES = {0: "done", 2: "it could not run, as its error says"}


def add_command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    text: str,
    *,
    codes: Mapping[int, str] | None = None,
) -> Parser:
    """Add a command and return its parser.

    Args:
        commands: where to add it.
        name: its name on the command line.
        run: runs it with its arguments and returns the exit code.
        text: one line of help.
        codes: what its exit codes mean, where that is not only "done" and "it could not run".
    """
    lines = ("exit codes:", *(f"  {code}  {meaning}" for code, meaning in sorted((_CODES | dict(codes or {})).items())))
    command = commands.add_parser(name, help=text, description=text, epilog="\n".join(lines))
    command.set_defaults(run=run)
    return command


def add_group(commands: Commands, name: str, text: str) -> Commands:
    """Add a command that only has sub-commands; return what these are added to."""
    return commands.add_parser(name, help=text, description=text).add_commands()


def add_config_file(command: argparse.ArgumentParser) -> None:
    """Add `--config.file`, which is read as ``config_file``; `main` finds it where it is not given."""
    command.set_defaults(needs_config=True)
    command.add_argument(
        "--config.file",
        dest="config_file",
        metavar="FILE",
        help=f"the configuration; default: {DEFAULT_CONFIG}",
    )


def find_config(*fixes: str) -> str:
    """Return the configuration file that is used when the command line names none.

    Args:
        fixes: what else the command can do without one.

    Raises:
        BridgeError: none is there; the text names the files that were tried.
    """
    from bridge.errors import BridgeError

    named = os.environ.get(CONFIG_VARIABLE)
    found = named or next(filter(os.path.exists, CONFIG_FILES), None)
    if found is None:
        tried = ", ".join(map(os.path.abspath, CONFIG_FILES))
        fix = f"aom-bridge config init writes one; or name yours with --config.file or ${CONFIG_VARIABLE}"
        raise BridgeError(f"no configuration is found; tried {tried}. Fix: {'; or '.join((fix, *fixes))}.")
    return found


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``, ``:PORT`` or ``[IPv6]:PORT``; raises `BridgeError`."""
    from bridge.errors import BridgeError

    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65_535:
        raise BridgeError(f"{text!r} is not an address. Fix: write HOST:PORT, or :PORT for all addresses.")
    return host.strip("[]"), int(port)
