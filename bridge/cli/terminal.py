"""What the command line prints: text for people and JSON for programs, safe to look at in a terminal.

In: text and values, also labels of alerts, which may contain anything. Out: lines on standard output or standard error.
Characters that are not printable (line breaks in a value, terminal escapes, marks that turn the direction of writing)
are written as JSON escapes, so that no text controls the terminal or forges a line, and programs read the same value.
"""

from __future__ import annotations

import json
import sys
from typing import TextIO


def say(*lines: str, file: TextIO | None = None) -> None:
    """Print lines, on standard output unless another file is named."""
    for line in lines:
        print(printable(line), file=file, flush=True)


def complain(*lines: str) -> None:
    """Print lines on standard error."""
    say(*lines, file=sys.stderr)


def printable(text: str) -> str:
    r"""Return a text with an escape, such as ``\u001b``, for each character that is not printable."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


def pretty(value: object) -> list[str]:
    """Return a value as indented JSON, line by line."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode().split("\n")
