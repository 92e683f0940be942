"""Turns: so much work in a row, and then whatever else is ready, such as what came in over the network.

In: how much a caller is about to do, or the items that it works through. Out: when it may. It knows nothing of what the
work is.
"""

from __future__ import annotations

import asyncio
from collections import deque


class LoopBudget:
    """Shares out each round of the event loop; who has to wait goes on in the order in which he came.

    Args:
        most: how much may be done in one round; a single piece of work may be larger.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._done = 0
        self._is_scheduled = False
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()

    async def take(self, size: int) -> None:
        """Wait until so much may be done."""
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._next_round)
        if self._done >= self._most or self._waiting:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append((turn, size))
            await turn
        else:
            self._done += size

    def _next_round(self) -> None:
        self._done = 0
        while self._waiting and self._done < self._most:
            turn, size = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._done += size
        self._is_scheduled = self._done > 0
        if self._is_scheduled:
            asyncio.get_running_loop().call_soon(self._next_round)
