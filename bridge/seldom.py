"""A line of the log at most once a second: what happens at each request of a storm would fill the disk; the floor.

In: what happened, each time. Out: the first one at once, then each second the last one, with how many there were.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_SECONDS = 1.0


class Seldom:
    """Something that is logged at most once a second; its lines are written in the event loop.

    Args:
        log: writes the line with what is given.
    """

    def __init__(self, log: Callable[..., object]) -> None:
        self._log = log
        self._untold = 0
        self._last: dict[str, object] = {}
        self._is_waiting = False

    def tell(self, **happened: object) -> None:
        """Log that it happened once more, now or with others within a second."""
        self._untold += 1
        self._last = happened
        if not self._is_waiting:
            self._say()

    def _say(self) -> None:
        self._is_waiting = self._untold > 0
        if self._is_waiting:
            self._log(count=self._untold, **self._last)
            self._untold = 0
            asyncio.get_running_loop().call_later(_SECONDS, self._say)
