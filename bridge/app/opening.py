"""Opens the ledger and starts what works with it; while it is unavailable, for example on a full disk, it retries.

In: the ledger and the parts that need it, built and not started. Out: all of them running, at once or later. Meanwhile
the HTTP server runs: webhooks get 503, the readiness probe says why, and metrics are served. An error that a retry
cannot solve ends the start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Protocol

from bridge.errors import BridgeError, LedgerUnavailableError
from bridge.ledger import Ledger
from bridge.log import logger

_RETRY_SECONDS = 1.0

_log = logger("app")


class Part(Protocol):
    """What is started when the ledger is open."""

    async def start(self) -> None:
        """Start it."""

    async def stop(self) -> None:
        """Stop it, if it was started."""


class Opening:
    """Starts and stops the ledger and what works with it.

    Args:
        ledger: is opened first.
        parts: are started in this order when the ledger is open, and stopped in the opposite one.
        on_ready: is called when all of them run after a retry.

    Attributes:
        is_done: whether all of them run.
    """

    def __init__(self, ledger: Ledger, parts: Sequence[Part], on_ready: Callable[[], None]) -> None:
        self._ledger = ledger
        self._parts = parts
        self._started = 0
        self._on_ready = on_ready
        self._retrying: asyncio.Task[None] | None = None
        self._is_open = False
        self.is_done = False

    async def start(self) -> None:
        """Open the ledger and start the parts; retry in the background while the ledger is unavailable.

        Raises:
            BridgeError: it cannot be opened, and a retry cannot help.
        """
        try:
            await self._start()
        except LedgerUnavailableError as error:
            _log.error("the ledger cannot be opened; webhooks get 503; retrying", error=str(error))
            self._retrying = asyncio.create_task(self._retry(), name="ledger-opening")
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop the parts and close the ledger, if they were started."""
        if self._retrying is not None:
            self._retrying.cancel()
            await asyncio.gather(self._retrying, return_exceptions=True)
        if self._is_open:
            async with AsyncExitStack() as stopping:
                stopping.push_async_callback(self._ledger.close)
                for part in self._parts:
                    stopping.push_async_callback(part.stop)

    async def _start(self) -> None:
        if not self._is_open:
            await self._ledger.open()
            self._is_open = True
        for part in self._parts[self._started :]:
            await part.start()
            self._started += 1
        self.is_done = True

    async def _retry(self) -> None:
        while not self.is_done:
            await asyncio.sleep(_RETRY_SECONDS)
            try:
                await self._start()
            except LedgerUnavailableError:
                continue  # the readiness probe shows the reason
            except BridgeError as error:
                _log.error("the bridge cannot start; retrying", error=str(error))
            except Exception:  # noqa: BLE001 - an unexpected error must not end the retries
                _log.exception("the bridge cannot start; retrying")
        self._on_ready()
