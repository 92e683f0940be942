"""The demo: emulator and bridge on loopback, a replayed alert storm between them, and what AOM holds meanwhile.

In: a console to write on. Out: the replay, as a live view on a terminal and as plain lines elsewhere;
afterwards both servers keep running for a real Alertmanager. The bridge is the real one, with its real ledger in a
temporary folder; only AOM is emulated.
"""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from importlib.resources import files
from pathlib import Path
from typing import Self

import aiohttp
from rich.console import Console
from rich.live import Live

from bridge import config
from bridge.app import App
from bridge.clock import system_clock
from bridge.demo.replay import ReplayStep, load
from bridge.demo.view import HINT, Progress, render
from bridge.emulator import Emulator, Options
from bridge.errors import BridgeError

HOST = "127.0.0.1"
BRIDGE_PORT = 9876
EMULATOR_PORT = 9877
_PAUSE_LIVE = 0.5
_PAUSE_PLAIN = 0.02
_MAX_WAIT_SECONDS = 30.0


class Demo:
    """One run of the demo.

    Args:
        console: the console to write on.
        is_live: whether to draw a live view instead of plain lines.
        once: end after the replay.
    """

    def __init__(self, console: Console, *, is_live: bool, once: bool) -> None:
        self._console = console
        self._is_live = is_live
        self._once = once

    async def run(self, stopped: asyncio.Event) -> int:
        """Replay, then keep running until ``stopped``; return 0 if AOM's alarms are right at the end."""
        async with AsyncExitStack() as stack:
            emulator, app = await _start_servers(stack)
            session = await stack.enter_async_context(aiohttp.ClientSession())
            storm = _Storm(self._console, emulator, app.url, session, is_live=self._is_live)
            is_right = await storm.run(stopped)
            if not self._once and not stopped.is_set():
                self._console.print(HINT.format(url=app.url, aom=emulator.url), highlight=False)
                await stopped.wait()
        return 0 if is_right or not self._once else 1


async def _start_servers(stack: AsyncExitStack) -> tuple[Emulator, App]:
    """Start the emulator, and the bridge with its ledger in a temporary folder; the stack stops them."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="aom-bridge-demo-"))
    emulator = await _start_emulator()
    stack.push_async_callback(emulator.stop)
    env = {"DEMO_AOM": emulator.url, "DEMO_LEDGER": str(Path(folder) / "demo.db")}
    loaded = config.load("demo/bridge.yaml", env, raw=(files("bridge.demo") / "bridge.yaml").read_bytes())
    app = await _start_bridge(loaded)
    stack.push_async_callback(app.stop)
    return emulator, app


async def _start_emulator() -> Emulator:
    for port in (EMULATOR_PORT, 0):
        emulator = Emulator(Options(host=HOST, port=port))
        try:
            await emulator.start()
        except OSError:
            continue
        return emulator
    raise BridgeError("no port on loopback is free for the emulator")


async def _start_bridge(loaded: config.Loaded) -> App:
    app = App(loaded.settings, (HOST, BRIDGE_PORT), shown=loaded.shown)
    try:
        await app.start()
    except BridgeError:
        app = App(loaded.settings, (HOST, 0), shown=loaded.shown)
        await app.start()
    return app


class _Storm:
    """The alert storm that is replayed to the running servers, and what AOM holds meanwhile.

    Args:
        console: where it is shown.
        emulator: the emulated AOM.
        url: the bridge's address.
        session: the HTTP session for the webhooks.
        is_live: whether to draw a live view instead of plain lines.
    """

    def __init__(
        self, console: Console, emulator: Emulator, url: str, session: aiohttp.ClientSession, *, is_live: bool
    ) -> None:
        self._console = console
        self._emulator = emulator
        self._url = url
        self._session = session
        self._is_live = is_live
        self._replay = load(system_clock())
        self._progress = Progress(total=len(self._replay.steps))

    async def run(self, stopped: asyncio.Event) -> bool:
        """Replay the storm until ``stopped``; return whether AOM ended up right."""
        self._say(f"AOM emulator on {self._emulator.url}, bridge on {self._url}")
        with Live(console=self._console, auto_refresh=False) if self._is_live else _NoView() as view:
            await self._play(view, stopped)
            is_right = await self._converge(view, stopped)
        self._conclude(is_right)
        return is_right

    async def _play(self, view: Live | _NoView, stopped: asyncio.Event) -> None:
        for step in self._replay.steps:
            if stopped.is_set():
                return
            async with self._session.post(f"{self._url}/webhook", data=step.body) as response:
                answer = (await response.text()).strip()
            self._progress.sent(step, answer)
            self._say(_line(step, answer))
            await self._watch(view, stopped, _PAUSE_LIVE if self._is_live else _PAUSE_PLAIN)

    async def _watch(self, view: Live | _NoView, stopped: asyncio.Event, seconds: float) -> None:
        view.update(render(self._progress, self._emulator.snapshot()), refresh=True)
        try:
            async with asyncio.timeout(seconds):
                await stopped.wait()
        except TimeoutError:
            view.update(render(self._progress, self._emulator.snapshot()), refresh=True)

    async def _converge(self, view: Live | _NoView, stopped: asyncio.Event) -> bool:
        """Wait until AOM's alarms equal the replayed alerts; the last batches may still be on their way."""
        deadline = asyncio.get_running_loop().time() + _MAX_WAIT_SECONDS
        while not self._is_right() and not stopped.is_set() and asyncio.get_running_loop().time() < deadline:
            await self._watch(view, stopped, 0.1)
        return self._is_right()

    def _is_right(self) -> bool:
        state = self._emulator.snapshot()
        active = {event["metadata"]["alert_fingerprint"] for event in state["active"]}
        cleared = {event["metadata"]["alert_fingerprint"] for event in state["history"]}
        return active == self._replay.firing and cleared >= self._replay.cleared and not state["violations"]

    def _conclude(self, is_right: bool) -> None:  # noqa: FBT001 - the only argument, and the name of the method explains it
        state = self._emulator.snapshot()
        counts = f"{len(state['active'])} active, {len(state['history'])} cleared"
        wanted = f"{len(self._replay.firing)} alerts fire, {len(self._replay.cleared)} have resolved (one fired again)"
        verdict = "AOM's open alarms equal the firing alerts." if is_right else "AOM is NOT right."
        self._console.print(f"AOM holds {counts}; {wanted}. {verdict}", highlight=False, soft_wrap=True)

    def _say(self, text: str) -> None:
        if not self._is_live:
            self._console.print(text, highlight=False, soft_wrap=True)


class _NoView:
    """Replaces the live view if there is no terminal."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def update(self, *_: object, **__: object) -> None:
        """Show nothing: lines are printed instead."""


def _line(step: ReplayStep, answer: str) -> str:
    return f"Alertmanager: {step.name}: {step.firing} firing, {step.resolved} resolved; bridge: {answer}"
