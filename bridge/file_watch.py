"""Watches files for changes by polling.

In: names of files. Out: an iteration of a loop each time that one of them has changed. Polling works on every file
system, and for the symlinks that Kubernetes replaces.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

_POLL_SECONDS = 1

FileState = tuple[tuple[str, int, int, int], ...]


def stat_files(files: Iterable[str]) -> FileState:
    """Return a fingerprint (path, inode, ctime in ns, size) of each file, following symlinks."""
    return tuple(_stat(file) for file in files)


async def watch(
    files: Callable[[], Sequence[str]], first: FileState, must_retry: Callable[[], bool] = bool
) -> AsyncIterator[None]:
    """Yield once whenever the files changed and then stayed unchanged for one interval.

    The interval is for editors and operators, who write in several steps.

    Args:
        files: returns their names; called for each poll.
        first: the fingerprints when the files were read.
        must_retry: returns whether to yield without a change.
    """
    reported = seen = first
    while True:
        await asyncio.sleep(_POLL_SECONDS)
        # On a thread: a file system that hangs must not block the webhooks.
        before, seen = seen, await asyncio.to_thread(stat_files, files())
        if (seen != reported and seen == before) or must_retry():
            yield
            reported = seen = seen if len(files()) == len(seen) else await asyncio.to_thread(stat_files, files())


def _stat(file: str) -> tuple[str, int, int, int]:
    try:
        path = os.path.realpath(file)
        status = os.stat(path)  # noqa: PTH116 - Path.resolve raises RuntimeError at a loop of symlinks
    except (OSError, ValueError):
        return "", 0, 0, 0
    return path, status.st_ino, status.st_ctime_ns, status.st_size
