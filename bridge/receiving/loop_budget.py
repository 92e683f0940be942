"""Cooperative scheduling: long loops yield to the event loop after a fixed amount of work.

In: the size of the work that a caller is about to do. Out: it returns when the caller may do it. It does not know what
the work is.
"""

from __future__ import annotations

import asyncio
from collections import deque


class LoopBudget:
    """Limits the work done per event-loop iteration; waiters continue in FIFO order.

    Args:
        max_work: work per iteration; a single piece of work may be larger.
    """

    def __init__(self, max_work: int) -> None:
        self._max_work = max_work
        self._done = 0
        self._is_scheduled = False
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()

    async def take(self, size: int) -> None:
        """Wait until a piece of work of this size may be done."""
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._next_iteration)
        if self._done >= self._max_work or self._waiting:
            granted = asyncio.get_running_loop().create_future()
            self._waiting.append((granted, size))
            await granted
        else:
            self._done += size

    def _next_iteration(self) -> None:
        self._done = 0
        while self._waiting and self._done < self._max_work:
            granted, size = self._waiting.popleft()
            if not granted.done():  # done: the waiter was cancelled
                granted.set_result(None)
                self._done += size
        self._is_scheduled = self._done > 0
        if self._is_scheduled:
            asyncio.get_running_loop().call_soon(self._next_iteration)
