"""Keys of a terminal, one by one, without Enter.

In: a terminal on standard input. Out: a call for each key that has a meaning. Ctrl-C stays a signal. The terminal is as
before at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Mapping

Keys = Mapping[str, Callable[[], None]]
"""What each key does."""

_MAX_BYTES = 64
_ESCAPE = "\x1b"
"""Begins what arrow keys and the like send."""


@contextlib.contextmanager
def reading(keys: Keys) -> Iterator[None]:
    """Call what keys do while inside; where standard input is no terminal, nothing is read."""
    if not sys.stdin.isatty():
        yield
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    loop = asyncio.get_running_loop()
    tty.setcbreak(terminal)
    loop.add_reader(terminal, _read, terminal, keys)
    try:
        yield
    finally:
        loop.remove_reader(terminal)
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _read(terminal: int, keys: Keys) -> None:
    pressed = os.read(terminal, _MAX_BYTES).decode(errors="ignore")
    if not pressed:  # the terminal is gone
        asyncio.get_running_loop().remove_reader(terminal)
    for key in () if pressed.startswith(_ESCAPE) else pressed:
        if action := keys.get(key.lower()):
            action()
