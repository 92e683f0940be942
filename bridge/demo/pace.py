"""How fast the acts are played: pauses for people, which can be held, shortened and skipped.

In: how long people read, and their wishes. Out: the wait. It waits for no state of the bridge: acts do that themselves,
so what an act promises holds at any speed.
"""

from __future__ import annotations

import asyncio

MAX_SPEED = 16.0
MIN_SPEED = 1 / 16
_STEP = 2.0


class Pace:
    """The pace of one demo.

    Args:
        speed: how many times as fast as written; None: there are no pauses at all.

    Attributes:
        speed: the same, now.
        is_held: whether the next pause lasts until the demo is resumed.
        is_skipping: whether the rest of the act has no pauses.
    """

    def __init__(self, speed: float | None) -> None:
        self.speed = speed
        self.is_held = False
        self.is_skipping = False
        self._changed = asyncio.Event()

    def hold(self) -> None:
        """Pause, or resume."""
        self.is_held = not self.is_held
        self._changed.set()

    def skip(self) -> None:
        """Play the rest of the act without pauses."""
        self.is_held, self.is_skipping = False, True
        self._changed.set()

    def begin_act(self) -> None:
        """End to skip."""
        self.is_skipping = False

    def faster(self) -> None:
        """Double the speed."""
        self._multiply(_STEP)

    def slower(self) -> None:
        """Halve the speed."""
        self._multiply(1 / _STEP)

    async def pause(self, seconds: float) -> None:
        """Wait for so long at speed 1."""
        loop = asyncio.get_running_loop()
        while self.speed is not None and seconds > 0 and not self.is_skipping:
            self._changed.clear()
            began, speed = loop.time(), 0.0 if self.is_held else self.speed
            try:
                async with asyncio.timeout(seconds / speed if speed else None):
                    await self._changed.wait()
            except TimeoutError:
                return
            seconds -= (loop.time() - began) * speed

    def _multiply(self, factor: float) -> None:
        if self.speed is not None:
            self.speed = min(max(self.speed * factor, MIN_SPEED), MAX_SPEED)
            self._changed.set()
