"""The parser of the command line: argparse's, which also suggests names, and prints help where no command is named.

In: words. Out: options and values, or one sentence with a suggestion, and the exit code 2. It must know no command.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

_CHOICE = re.compile(r"(.*invalid choice: )'?([^' ]+)'? \(choose from (.*)\)", re.DOTALL)
_UNKNOWN = re.compile(r"unrecognized arguments: (\S+)")


class Parser(argparse.ArgumentParser):
    """A parser whose errors suggest the name that was probably meant."""

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 - argparse's own arguments
        # An option that is written in part would come to mean another one as soon as one is added.
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **kwargs)
        self.set_defaults(parser=self)
        self._commands: Mapping[str, Parser] = {}
        self._other_words: Mapping[str, str] = {}
        self._on_word = ""

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> argparse.Namespace:  # type: ignore[override] # noqa: ANN401 - argparse's own arguments
        """Return the values; what no option takes is an error of the command, which knows the names."""
        arguments: argparse.Namespace
        arguments, unknown = self.parse_known_args(args, namespace)
        if unknown:
            arguments.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        return arguments

    def parse_known_args(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        namespace: Any = None,  # noqa: ANN401 - argparse's own arguments
    ) -> tuple[argparse.Namespace, list[str]]:
        """Return the values, and what no option takes; an option of a command that stands before it is an error."""
        words = list(sys.argv[1:] if args is None else args)
        option = words[0].partition("=")[0] if words else ""
        if self._commands and option.startswith("-") and not self.takes(option):
            self.error(self._before_command(option))
        arguments: argparse.Namespace
        arguments, unknown = super().parse_known_args(words, namespace)
        return arguments, unknown

    def error(self, message: str) -> NoReturn:
        """Print the error with a suggestion, and where the usage stands; end with the exit code 2."""
        self.exit(2, f"{self.prog}: error: {self._with_suggestion(message)}\nFor the usage: {self.prog} --help\n")

    def add_commands(self) -> argparse._SubParsersAction[Parser]:  # argparse has no public name for it
        """Return what its commands are added to; without one it prints its help, and ends with the exit code 2."""
        self.set_defaults(run=self._help)
        commands = self.add_subparsers(title="commands", metavar="COMMAND")
        self._commands = commands.choices
        return commands

    def advise(self, *, other_words: Mapping[str, str] | None = None, on_word: str = "") -> None:
        """Set what its errors suggest beside the names that are alike.

        Args:
            other_words: what another program calls the choices of its options, with their names here.
            on_word: the advice on a word that no option takes, in which ``{word}`` stands for it.
        """
        self._other_words = other_words or {}
        self._on_word = on_word

    def takes(self, option: str) -> bool:
        """Return whether it has an option of this name."""
        return option in self._option_string_actions

    def _help(self, _arguments: argparse.Namespace) -> int:
        self.print_help(sys.stderr)
        return 2

    def _before_command(self, option: str) -> str:
        names = [name for name, command in self._commands.items() if command.takes(option)]
        if not names:
            return f"unrecognized arguments: {option}"
        return f"{option} stands before the command; did you mean '{self.prog} {names[0]} {option}'?"

    def _with_suggestion(self, message: str) -> str:
        if choice := _CHOICE.fullmatch(message):
            names = [name.strip("'\"") for name in choice[3].split(", ")]
            same = self._other_words.get(choice[2])
            close = _meant(same) if same in names else _closest(choice[2], names)
            return f"{choice[1]}{choice[2]!r}{close}" if close else message
        if unknown := _UNKNOWN.search(message):
            return message + self._on_unknown(unknown[1])
        return message

    def _on_unknown(self, word: str) -> str:
        if self._on_word and not word.startswith("-"):
            return f"; {self._on_word.format(word=word)}"
        return _closest(word.partition("=")[0], self._option_string_actions)


def _closest(name: str, names: Iterable[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, list(names), n=1)
    return _meant(close[0]) if close else ""


def _meant(name: object) -> str:
    return f"; did you mean {name!r}?"
