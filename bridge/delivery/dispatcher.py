"""Runs two lanes for each target, one for reports and one for clears, and its sweep for duplicates.

In: the targets' senders, and word from the ledger of what has become due. Out: running lanes, which are woken. No lane
delays another, and the dispatcher never sees a webhook.
"""

from __future__ import annotations

import asyncio
from collections.abc import Set as AbstractSet
from functools import partial

from bridge.backoff import Random
from bridge.clock import Clock, Millis
from bridge.delivery.duplicates import DuplicateSweep
from bridge.delivery.lane import Lane
from bridge.delivery.sender import Sender
from bridge.delivery.settings import DeliverySettings
from bridge.ledger import ACTIONS, Action, DueAlarms
from bridge.metrics import Metrics


class Dispatcher:
    """All lanes together.

    Args:
        ledger: where due alarms come from.
        settings: the `delivery:` section.
        lease: how long a claim holds (`store.lease`).
        metrics: where deliveries are counted.
        clock: the time.
        random: for jitter.
    """

    def __init__(
        self,
        ledger: DueAlarms,
        settings: DeliverySettings,
        *,
        lease: Millis,
        metrics: Metrics,
        clock: Clock,
        random: Random,
    ) -> None:
        self._ledger = ledger
        self._settings = settings
        self._lease = lease
        self._metrics = metrics
        self._clock = clock
        self._random = random
        self._lanes: dict[str, list[Lane]] = {}
        self._tasks: dict[str, list[asyncio.Task[None]]] = {}

    def start(self) -> None:
        """Listen for what comes due, and for edits."""
        self._ledger.on_due(self._wake)
        self._ledger.on_edit(self._try_now)

    def reconfigure(self, settings: DeliverySettings) -> None:
        """Deliver by other settings from now on: the targets that are added later."""
        self._settings = settings

    def add(self, sender: Sender) -> None:
        """Start claiming for a target."""
        make = partial(Lane, metrics=self._metrics, clock=self._clock, random=self._random, lease=self._lease)
        lanes = [make(self._ledger, self._settings, action, sender) for action in ACTIONS]
        tasks = [asyncio.create_task(lane.run(), name=f"lane-{lane.target}-{lane.action}") for lane in lanes]
        sweeper = DuplicateSweep(self._ledger, sender, sender.lookup_wait, lease=self._lease, clock=self._clock)
        tasks.append(asyncio.create_task(sweeper.run(), name=f"sweep-{sweeper.target}"))
        self._lanes[sender.target], self._tasks[sender.target] = lanes, tasks

    async def remove(self, target: str) -> None:
        """Claim nothing more, finish what is in flight within `shutdown_timeout`, put the rest back to due."""
        tasks, lanes = self._tasks.pop(target), self._lanes.pop(target)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(lane.finish() for lane in lanes))

    async def stop(self) -> None:
        """Remove every target."""
        await asyncio.gather(*map(self.remove, list(self._tasks)))

    def _wake(self, due: AbstractSet[tuple[str, Action]] | None) -> None:
        for lane in (lane for lanes in self._lanes.values() for lane in lanes):
            if due is None or (lane.target, lane.action) in due:
                lane.wake()

    def _try_now(self) -> None:
        for lane in (lane for lanes in self._lanes.values() for lane in lanes):
            lane.try_now()
