"""The command `aom-bridge completion`: prints what makes a shell complete commands, options and values.

In: the parser of all commands, and the name of a shell. Out: a script for that shell on standard output. The script
starts no program.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from bridge.cli.options import Commands, add_command
from bridge.cli.terminal import say

SHELLS = ("bash", "zsh", "fish")

_FILES = ("FILE", "FILE|URL", "OTHER.yaml", "PAYLOAD.json")
"""The words that stand for a file in the help."""

_HOW = """how to use it:
  bash  source <(aom-bridge completion bash)      in ~/.bashrc; or as /etc/bash_completion.d/aom-bridge
  zsh   aom-bridge completion zsh > FOLDER/_aom-bridge      a folder of $fpath
  fish  aom-bridge completion fish > ~/.config/fish/completions/aom-bridge.fish"""


def register(commands: Commands) -> None:
    """Add the command."""
    completion = add_command(commands, "completion", _run, "print a script that makes a shell complete commands")
    completion.epilog = f"{completion.epilog}\n\n{_HOW}"
    completion.add_argument("shell", choices=SHELLS, help="the shell that reads the script")


def _run(arguments: argparse.Namespace) -> int:
    import shtab

    from bridge.cli.main import parser

    root = parser()
    for action in _actions(root):
        if action.metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined] # how shtab is told
    say(*shtab.complete(root, arguments.shell).splitlines())
    return 0


def _actions(one: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield every option and argument of a parser and of its commands."""
    for action in one._actions:  # noqa: SLF001 - argparse has no public name for it
        yield action
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - argparse has no public name for it
            for command in action.choices.values():
                yield from _actions(command)
