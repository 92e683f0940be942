"""Shows the demo on a terminal for as long as it runs.

In: the picture, which the acts change, and the running parts. Out: a frame four times a second. Figures that a restart
of the bridge sets to zero are continued.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from msgspec.structs import replace
from rich.console import Console
from rich.live import Live

from bridge.demo.bridge_api import Figures
from bridge.demo.scene import Scene
from bridge.demo.view import Picture, render

_FRAME_SECONDS = 0.25


@contextlib.asynccontextmanager
async def shown(console: Console, scene: Scene, picture: Picture) -> AsyncIterator[None]:
    """Draw the picture while inside."""
    with Live(console=console, screen=True, auto_refresh=False) as live:
        drawing = asyncio.create_task(_draw(live, scene, picture))
        try:
            yield
        finally:
            drawing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await drawing


async def _draw(live: Live, scene: Scene, picture: Picture) -> None:
    received = _Received()
    while True:
        picture.figures = received.continued(await scene.api.figures())
        picture.active = scene.aom.active()
        live.update(render(picture, scene.pace, *live.console.size), refresh=True)
        await asyncio.sleep(_FRAME_SECONDS)


class _Received:
    """How many alerts all processes of the bridge have received, one after the other."""

    def __init__(self) -> None:
        self._earlier = 0
        self._last = 0

    def continued(self, figures: Figures | None) -> Figures | None:
        """Return figures with what earlier processes have received."""
        if figures is None:
            return None
        if figures.received < self._last:
            self._earlier += self._last
        self._last = figures.received
        return replace(figures, received=self._earlier + self._last)
