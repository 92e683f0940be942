"""Mistakes in a YAML file, each with line and column, all of them in one error.

In: lines, columns and sentences. Out: a `ConfigError`, which prints one line for each mistake.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from bridge.errors import BridgeError, of_file


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake; line and column count from 1."""

    line: int
    column: int
    path: str
    text: str

    def line_of(self, file: str) -> str:
        """Return the problem as one line: ``file:line:column: path: problem. Fix: …``."""
        return _one_line(f"{file}:{self.line}:{self.column}: {self.path + ': ' if self.path else ''}{self.text}")


class ConfigError(BridgeError):
    """A configuration file that cannot be used.

    Attributes:
        file: its name, as it was given.
        problems: every mistake, in the order of the file.
    """

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.file = file
        self.problems = sorted(problems)
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """Return one line for each mistake: ``file:line:column: path: problem. Fix: …``."""
        return [problem.line_of(self.file) for problem in self.problems]


class UnreadableError(ConfigError):
    """The file could not be read at all."""


def read_file(file: str) -> bytes:
    """Return the bytes of a file; raises `UnreadableError` when it cannot be read."""
    try:
        return Path(file).read_bytes()
    except (OSError, ValueError) as error:
        raise UnreadableError(file, [Problem(1, 1, "", f"the file cannot be read: {of_file(error)}")]) from None


def suggest(word: str, known: typing.Iterable[str]) -> str:
    """Return the most similar known word, or the list of all."""
    names = list(known)
    if not names:
        return "it takes none."
    near = get_close_matches(word, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(names)}."


def _one_line(text: str) -> str:
    """Escape control characters, which could manipulate a terminal or a log."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
