"""The delivering half: a client, a sender and lanes for each target; starts, changes and stops them.

In: settings and the ledger. Out: running targets. A change touches only the targets that differ; what was in flight for
them ends first, and what did not end is due again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping

from bridge.aom import AomClient, TargetSettings
from bridge.clock import SECOND, Clock, Millis
from bridge.config import Settings
from bridge.dispatcher import Dispatcher
from bridge.ledger import Ledger
from bridge.metrics import Metrics
from bridge.sender import Sender

_TRIES_IN_HALF_A_LEASE = 3
_LONGEST_ATTEMPT: Millis = 10 * SECOND


class Delivery:
    """All targets.

    Args:
        settings: the configuration.
        ledger: where due alarms come from.
        metrics: where deliveries are counted.
        clock: the time.
    """

    def __init__(self, settings: Settings, ledger: Ledger, metrics: Metrics, clock: Clock) -> None:
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._clients: dict[str, AomClient] = {}
        self._dispatcher = Dispatcher(
            ledger,
            settings.delivery,
            lease=settings.store.lease,
            metrics=metrics,
            clock=clock,
            random=random.random,
        )

    @property
    def clients(self) -> Mapping[str, AomClient]:
        """The running clients by target; it changes as they do."""
        return self._clients

    async def start(self) -> None:
        """Start every target."""
        self._dispatcher.start()
        for name, target in self._settings.targets.items():
            await self._add(name, target)

    async def stop(self) -> None:
        """Stop every target; what is in flight ends within `shutdown_timeout`."""
        await self._dispatcher.stop()
        for name in list(self._clients):
            await self._clients.pop(name).stop()

    async def change(self, settings: Settings) -> None:
        """Go over to other settings: only targets that differ are stopped and started."""
        before, self._settings = self._settings, settings
        all_differ = settings.delivery != before.delivery
        targets = settings.targets
        gone = [name for name, old in before.targets.items() if all_differ or targets.get(name) != old]
        await asyncio.gather(*map(self._remove, gone))
        self._dispatcher.use(settings.delivery)
        for name, target in targets.items():
            if name not in self._clients:
                await self._add(name, target)

    async def _add(self, name: str, target: TargetSettings) -> None:
        lease = self._settings.store.lease
        attempt = min(_LONGEST_ATTEMPT, lease // 2 // _TRIES_IN_HALF_A_LEASE - 500)
        client = AomClient(name, target, self._clock, attempt)
        await client.start()
        self._clients[name] = client
        batch_size = self._settings.delivery.batch_size
        sender = Sender(name, target, client, batch_size=batch_size, metrics=self._metrics, clock=self._clock)
        self._dispatcher.add(sender)

    async def _remove(self, name: str) -> None:
        await self._dispatcher.remove(name)
        await self._clients.pop(name).stop()
