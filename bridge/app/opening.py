"""Opens the ledger and starts the delivery behind it; where the disk is full at the start, as soon as it is not.

In: the ledger and the delivering half, both made and not started. Out: both running, at once or later. Meanwhile the
door is open: webhooks get 503, the probe says why, and metrics are there. What time does not mend ends the start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bridge.delivery.targets import Delivery
from bridge.errors import BridgeError, LedgerUnavailableError
from bridge.ledger import Ledger
from bridge.log import logger

_PAUSE_SECONDS = 1.0

_log = logger("app")


class Opening:
    """The start and the stop of everything behind the door.

    Args:
        ledger: what is opened.
        delivery: what is started then.
        on_ready: is called when both run.

    Attributes:
        is_done: whether both run.
    """

    def __init__(self, ledger: Ledger, delivery: Delivery, on_ready: Callable[[], None]) -> None:
        self._ledger = ledger
        self._delivery = delivery
        self._on_ready = on_ready
        self._trying: asyncio.Task[None] | None = None
        self._is_open = False
        self.is_done = False

    async def start(self) -> None:
        """Open and start, or try again until it can be.

        Raises:
            BridgeError: it cannot be, and time will not mend it.
        """
        try:
            await self._start()
        except LedgerUnavailableError as error:
            _log.error("the ledger cannot be opened; webhooks get 503, and it is tried again", error=str(error))
            self._trying = asyncio.create_task(self._try_again(), name="ledger-opening")
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop what was started."""
        if self._trying is not None:
            self._trying.cancel()
            await asyncio.gather(self._trying, return_exceptions=True)
        if self._is_open:
            try:
                await self._delivery.stop()
            finally:
                await self._ledger.close()

    async def _start(self) -> None:
        if not self._is_open:
            await self._ledger.open()
            self._is_open = True
        await self._delivery.start()
        self.is_done = True

    async def _try_again(self) -> None:
        while not self.is_done:
            await asyncio.sleep(_PAUSE_SECONDS)
            try:
                await self._start()
            except LedgerUnavailableError:
                continue  # the probe says why
            except BridgeError as error:
                _log.error("the bridge cannot start; it is tried again", error=str(error))
            except Exception:  # noqa: BLE001 - whatever it was, the next try may do better
                _log.exception("the bridge cannot start; it is tried again")
        self._on_ready()
