"""What signals do to a command that runs until it is stopped.

In: functions that start, stop and reload. Out: SIGTERM and SIGINT stop, SIGHUP reloads or is ignored.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any


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
    stopped = stop_event()
    reloads: set[asyncio.Task[object]] = set()
    is_ready = False
    loop = asyncio.get_running_loop()

    def begin_reload() -> None:
        if reload is not None and is_ready:
            task = asyncio.create_task(reload())
            reloads.add(task)
            task.add_done_callback(reloads.discard)

    # signal.signal, not loop.add_signal_handler: on removal the loop restores SIG_DFL, and a late SIGHUP would kill us.
    signal.signal(signal.SIGHUP, lambda *_: loop.call_soon_threadsafe(begin_reload))
    try:
        await start()
        is_ready = True
        await stopped.wait()
        is_ready = False
        await asyncio.gather(*reloads, return_exceptions=True)
        await stop()
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a SIGHUP that arrives now must not end the process
    return 0
