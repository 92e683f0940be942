"""The demo: an Alertmanager, the bridge and AOM on loopback, and six acts that show what the bridge is for.

In: a console to write on. Out: a live view on a terminal, one line for each act elsewhere; afterwards everything keeps
running for an Alertmanager of one's own. The bridge is the real one, `aom-bridge serve` in a process of its own, with
its ledger in a temporary folder; AOM is emulated, and the acts' Alertmanager is a stand-in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager, nullcontext

import aiohttp
from rich.console import Console

from bridge.demo.acts import ACTS
from bridge.demo.keys import Keys, reading
from bridge.demo.pace import Pace
from bridge.demo.scene import PromiseError, Scene, ended_right
from bridge.demo.screen import shown
from bridge.demo.stage import started
from bridge.demo.view import Picture


class Demo:
    """One run of the demo.

    Args:
        console: the console to write on.
        speed: how many times as fast as written the acts are played; None: 1 on a terminal, else without pauses.
        once: end after the acts, which then have no pauses unless a speed is given.
    """

    def __init__(self, console: Console, *, speed: float | None, once: bool) -> None:
        self._console = console
        self._is_live = console.is_terminal and not console.is_dumb_terminal
        self._once = once
        self._pace = Pace(1.0 if speed is None and self._is_live and not once else speed)
        self._picture = Picture([act.title for act in ACTS])

    async def run(self, stopped: asyncio.Event) -> int:
        """Play the acts, then keep running until ``stopped``; return 0, with ``once`` only if all promises were kept.

        Raises:
            BridgeError: a part cannot start.
        """
        running, stopping = asyncio.create_task(self._run(stopped)), asyncio.create_task(stopped.wait())
        await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        running.cancel()  # nothing where it has ended
        await asyncio.wait((running, stopping))
        is_right = not running.cancelled() and running.result()
        return 0 if is_right or not self._once else 1

    async def _run(self, stopped: asyncio.Event) -> bool:
        """Run the demo until it is cancelled; played once, return whether all promises were kept."""
        self._print("starting the bridge and an emulated AOM ...")
        with reading(self._keys(stopped)):
            try:
                async with started(self._pace, self._picture.say) as scene:
                    self._picture.bridge, self._picture.aom = scene.bridge.url, scene.aom.url
                    self._say(self._picture.look)
                    async with self._shown(scene):
                        return await self._played(scene)
            finally:
                if self._is_live and self._picture.results:  # what was shown is gone with its screen
                    self._print("\n".join(self._picture.results))

    async def _played(self, scene: Scene) -> bool:
        is_right = await self._play(scene)
        if not self._once:
            self._picture.end()
            self._say(self._picture.hint)
            await asyncio.Event().wait()
        return is_right

    async def _play(self, scene: Scene) -> bool:
        """Play every act, or up to the first promise that is not kept; return whether all were."""
        await scene.fire(scene.waves["watchdog"])
        for number, act in enumerate(ACTS, start=1):
            self._picture.begin(number)
            self._pace.begin_act()
            if not await self._is_kept(f"act {number} of {len(ACTS)}", act.play(scene)):
                return False
        return await self._is_kept("at the end", ended_right(scene))

    async def _is_kept(self, title: str, playing: Awaitable[str]) -> bool:
        """Wait for an act, note what it says, and return whether its promises were kept."""
        began = asyncio.get_running_loop().time()
        try:
            result = await playing
        except (PromiseError, aiohttp.ClientError, OSError, TimeoutError) as error:
            self._note(f"{title}: NOT KEPT: {str(error) or type(error).__name__}")
            return False
        self._note(f"{title}: {result} ({asyncio.get_running_loop().time() - began:.1f} s)")
        return True

    def _shown(self, scene: Scene) -> AbstractAsyncContextManager[None]:
        return shown(self._console, scene, self._picture) if self._is_live else nullcontext()

    def _keys(self, stopped: asyncio.Event) -> Keys:
        pace = self._pace
        return {" ": pace.hold, "n": pace.skip, "s": pace.slower, "f": pace.faster, "q": stopped.set}

    def _note(self, line: str) -> None:
        """Say what came of an act, now or when the view ends."""
        self._picture.results.append(line)
        self._say(line)

    def _say(self, text: str) -> None:
        if not self._is_live:
            self._print(text)

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)
