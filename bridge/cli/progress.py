"""A progress bar for long work, on a terminal alone.

In: the steps of the work. Out: the same steps, counted on standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
_MIN_STEPS = 20


def progress(steps: Iterable[T], total: int | None, what: str) -> Iterator[T]:
    """Yield the steps of a work; where standard error is a terminal and there are many, show how many are done."""
    if not sys.stderr.isatty() or (total is not None and total < _MIN_STEPS):
        yield from steps
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(steps, total=total, description=what, console=Console(stderr=True), transient=True)


@contextmanager
def counted(what: str) -> Iterator[Callable[[int, int], None]]:
    """Give what a work calls with how much is done, and of how much; it is shown where standard error is a terminal."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)
