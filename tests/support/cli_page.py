"""Makes docs/cli.md from the parser: every command with its options and exit codes. `make docs-cli` runs it."""

import argparse
import sys

from bridge.cli.main import parser

BAR = "\\|"
"""A bar within a cell of a table."""

HEAD = """# The command line

`make docs-cli` makes this page from the parser; `aom-bridge COMMAND --help` says the same. What the commands are for is
in the [README](../README.md) and in [`operations.md`](operations.md).
"""


def commands(one):
    """Yield each parser without commands of its own, in the order of the help."""
    groups = [action for action in one._actions if isinstance(action, argparse._SubParsersAction)]
    for group in groups:
        for each in group.choices.values():
            yield from commands(each)
    if not groups:
        yield one


def page():
    """Give the page."""
    return "\n".join([HEAD, *map(section, commands(parser()))])


def section(one):
    """Give the section of one command."""
    description = one.description[0].upper() + one.description[1:]
    lines = [f"## `{one.prog}`", "", f"{description}.", "", "| Argument | Meaning |", "| --- | --- |"]
    lines += [row(one, action) for action in one._actions if action.dest != "help"]
    codes, _, more = one.epilog.partition("\n\n")
    meanings = [line.split(maxsplit=1) for line in codes.splitlines()[1:]]
    lines += ["", "Exit codes: " + "; ".join(f"`{code}` {meaning}" for code, meaning in meanings) + "."]
    if len(one._actions) == 1:
        lines = lines[:4] + lines[-1:]
    return "\n".join([*lines, *(["", "```", more, "```"] if more else []), ""])


def row(one, action):
    """Give the row of an option or an argument."""
    name, text = described(one, action)
    cells = (f"`{name}`", text)
    return f"| {' | '.join(cell.replace('|', BAR) for cell in cells)} |"


def described(one, action):
    """Give an option or an argument with its value, and its meaning."""
    formatter = one._get_formatter()
    default = action.dest.upper() if action.option_strings else action.dest
    value = formatter._metavar_formatter(action, default)(1)[0] if action.nargs != 0 else ""
    names = ", ".join(action.option_strings) or value
    shown = f"{names} {value}" if value and action.option_strings else names
    repeated = " ..." if action.nargs in ("*", "+") else ""
    needed = "" if action.option_strings or action.nargs in ("?", "*") else " (required)"
    text = one._get_formatter()._expand_help(action) if action.help else ""
    return shown + repeated, text + needed


if __name__ == "__main__":
    sys.stdout.write(page())
