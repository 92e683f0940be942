"""Watches files for changes; the floor.

In: names of files. Out: a turn of a loop each time that one of them has become another. It looks at them once in a
while, which works on every file system and for the links that Kubernetes swaps.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path

_SECONDS = 1

Look = tuple[tuple[str, int, int, int], ...]


def look(files: Iterable[str]) -> Look:
    """Return what differs when a file is another one, through links."""
    return tuple(_look(file) for file in files)


async def changes(files: Callable[[], Sequence[str]], first: Look) -> AsyncIterator[None]:
    """Give a turn when files have changed and stay the same for a moment: editors and operators write in steps.

    Args:
        files: their names, asked for anew each time.
        first: what they looked like when they were read.
    """
    tried = seen = first
    while True:
        await asyncio.sleep(_SECONDS)
        before, seen = seen, look(files())
        if seen != tried and seen == before:
            yield
            tried = seen = seen if len(files()) == len(seen) else look(files())


def _look(file: str) -> tuple[str, int, int, int]:
    try:
        path = Path(file).resolve()
        found = path.stat()
    except (OSError, ValueError):
        return "", 0, 0, 0
    return str(path), found.st_ino, found.st_mtime_ns, found.st_size
