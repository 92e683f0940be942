"""The parser of the command line: argparse's, which also suggests names, and prints help where no command is named.

In: words. Out: options and values, or the usage, one sentence with a suggestion, and the exit code 2. It must know no
command.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

_CHOICE = re.compile(r"invalid choice: '?([^' ]+)'? \(choose from (.*)\)", re.DOTALL)
_UNKNOWN = re.compile(r"unrecognized arguments: (\S+)")


class Parser(argparse.ArgumentParser):
    """A parser whose errors suggest the name that was probably meant."""

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 - argparse's own arguments
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs)
        self.set_defaults(parser=self)

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> argparse.Namespace:  # type: ignore[override] # noqa: ANN401 - argparse's own arguments
        """Return the values; what no option takes is an error of the command, which knows the names."""
        arguments: argparse.Namespace
        arguments, unknown = self.parse_known_args(args, namespace)
        if unknown:
            arguments.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        return arguments

    def error(self, message: str) -> NoReturn:
        """Print the usage and the error with a suggestion; end with the exit code 2."""
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: error: {message}{self._suggestion(message)}\n")

    def needs_command(self) -> None:
        """Make it print its help on standard error, and end with the exit code 2, where no command follows."""
        self.set_defaults(run=self._help)

    def _help(self, _arguments: argparse.Namespace) -> int:
        self.print_help(sys.stderr)
        return 2

    def _suggestion(self, message: str) -> str:
        if choice := _CHOICE.search(message):
            return _closest(choice[1], (name.strip("'\"") for name in choice[2].split(", ")))
        if unknown := _UNKNOWN.search(message):
            return _closest(unknown[1].partition("=")[0], self._option_string_actions)
        return ""


def _closest(name: str, names: Iterable[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, list(names), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
