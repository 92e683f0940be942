"""Watches files for changes; the floor.

In: names of files. Out: a turn of a loop each time that one of them has become another. It looks at them once in a
while, which works on every file system and for the links that Kubernetes swaps.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

_SECONDS = 1

FileState = tuple[tuple[str, int, int, int], ...]


def stat_files(files: Iterable[str]) -> FileState:
    """Return what differs when a file is another one, through links."""
    return tuple(_look(file) for file in files)


async def watch(
    files: Callable[[], Sequence[str]], first: FileState, must_retry: Callable[[], bool] = bool
) -> AsyncIterator[None]:
    """Give a turn when files have changed and stay the same for a moment: editors and operators write in steps.

    Args:
        files: their names, asked for anew each time.
        first: what they looked like when they were read.
        must_retry: whether another turn is wanted without a change.
    """
    tried = seen = first
    while True:
        await asyncio.sleep(_SECONDS)
        # In a thread: a file system that hangs must not hold up the webhooks.
        before, seen = seen, await asyncio.to_thread(stat_files, files())
        if (seen != tried and seen == before) or must_retry():
            yield
            tried = seen = seen if len(files()) == len(seen) else await asyncio.to_thread(stat_files, files())


def _look(file: str) -> tuple[str, int, int, int]:
    try:
        path = os.path.realpath(file)
        found = os.stat(path)  # noqa: PTH116 - a Path that resolves itself stumbles over links in a circle
    except (OSError, ValueError):
        return "", 0, 0, 0
    return path, found.st_ino, found.st_ctime_ns, found.st_size
