"""Starts the parts of the demo on loopback, with everything that they write in a temporary folder, and ends them.

In: the pace, and where captions go. Out: a `Scene` while the parts run. At the end no process and no file of the demo
is left.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.resources import files
from pathlib import Path
from string import Template

import aiohttp

from bridge.clock import system_clock
from bridge.demo.alerts import waves
from bridge.demo.bridge_api import BridgeApi
from bridge.demo.bridge_process import BridgeProcess
from bridge.demo.emulated_aom import EmulatedAom
from bridge.demo.pace import Pace
from bridge.demo.scene import SOURCE, Scene
from bridge.demo.stand_in_alertmanager import StandInAlertmanager


@asynccontextmanager
async def started(pace: Pace, say: Callable[[str], None]) -> AsyncIterator[Scene]:
    """Run the parts of the demo.

    Raises:
        BridgeError: a part cannot start.
    """
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aom-bridge-demo-")))
        aom, alertmanager = EmulatedAom(), StandInAlertmanager(system_clock)
        for part in (aom, alertmanager):
            stack.push_async_callback(part.stop)
            await part.start()
        bridge = BridgeProcess(folder, _config(aom, alertmanager, folder))
        stack.push_async_callback(bridge.stop)
        stack.push_async_callback(aom.stop)  # before the bridge, which would wait for an answer that an act delays
        await bridge.start()
        alerts = waves()
        alertmanager.send_to(f"{bridge.url}/webhook/{SOURCE}", repeated=alerts["watchdog"])
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Scene(
            aom=aom,
            bridge=bridge,
            api=BridgeApi(session, bridge.url),
            alertmanager=alertmanager,
            pace=pace,
            waves=alerts,
            say=say,
        )


def _config(aom: EmulatedAom, alertmanager: StandInAlertmanager, folder: Path) -> str:
    text = (files("bridge.demo") / "bridge.yaml").read_text(encoding="utf-8")
    return Template(text).substitute(aom=aom.url, alertmanager=alertmanager.url, ledger=folder / "ledger.db")
