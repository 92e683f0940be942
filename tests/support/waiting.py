"""Waiting for a state instead of sleeping: a condition is polled, with a limit."""

import asyncio
import time

PATIENCE = 20.0


async def until(condition, limit=PATIENCE):
    """Wait until a condition holds; fail with its last value when it does not within the limit (seconds)."""
    deadline = time.monotonic() + limit
    while True:
        value = condition()
        value = await value if asyncio.iscoroutine(value) else value
        if value:
            return value
        assert time.monotonic() < deadline, f"still {value!r} after {limit} s"
        await asyncio.sleep(0.02)
