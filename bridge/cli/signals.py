"""What signals do to a command that runs until it is stopped.

In: functions that start, stop and reload. Out: SIGTERM and SIGINT stop, SIGHUP reloads or is ignored.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from bridge.log import logger

_log = logger("reload")


def stop_event() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set; call it on the running loop."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    return stopped


async def run_until_stopped(
    start: Callable[[], Awaitable[None]],
    stop: Callable[[], Awaitable[None]],
    reload: Callable[[], Coroutine[Any, Any, object]] | None = None,
) -> int:
    """Start, wait for SIGTERM or SIGINT, stop, and return the exit code 0; SIGHUP calls ``reload`` once started."""
    stopped, wanted = stop_event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    # signal.signal, not loop.add_signal_handler: on removal the loop restores SIG_DFL, and a late SIGHUP would kill us.
    signal.signal(signal.SIGHUP, lambda *_: loop.call_soon_threadsafe(wanted.set))
    try:
        await start()
        wanted.clear()
        reloading = asyncio.create_task(_reload_when(wanted, stopped, reload), name="reloads")
        await stopped.wait()
        wanted.set()
        await reloading
        await stop()
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a SIGHUP that arrives now must not end the process
    return 0


async def _reload_when(
    wanted: asyncio.Event, stopped: asyncio.Event, reload: Callable[[], Coroutine[Any, Any, object]] | None
) -> None:
    """Reload until it is stopped: once for all signals that came before that reload began."""
    while True:
        await wanted.wait()
        wanted.clear()
        if stopped.is_set():
            return
        if reload is not None:
            try:
                await reload()
            except Exception:  # noqa: BLE001 - whatever it was, the bridge runs on, and so do later reloads
                _log.exception("unexpected error during reload; the old configuration stays")
