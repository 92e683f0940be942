"""What the command line prints: text for people and JSON for programs, safe to look at in a terminal; the floor.

In: text and values, of which labels come from anybody. Out: lines on standard output or standard error. Whatever is
not printable (line breaks in a value, terminal escapes, marks that turn the direction of writing) is written as JSON
escapes it, so that nothing steers the terminal or forges a line, and programs still read the very same value.
"""

from __future__ import annotations

import json
from typing import TextIO

import msgspec


def say(*lines: str, file: TextIO | None = None) -> None:
    """Print lines, on standard output unless another file is named."""
    for line in lines:
        print(printable(line), file=file, flush=True)


def printable(text: str) -> str:
    r"""Return a text with an escape, such as ``\u001b``, for each character that is not printable."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


def pretty(value: object) -> list[str]:
    """Return a value as the lines of JSON for people."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode().split("\n")
