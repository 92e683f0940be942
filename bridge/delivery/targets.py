"""The delivering half: a client, a sender and lanes for each target; starts, changes and stops them.

In: their settings and the ledger. Out: running targets. A change touches only the targets that differ; what was in
flight for them ends first, and what did not end is due again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass

from bridge.aom import AomClient
from bridge.aom.settings import TargetSettings
from bridge.clock import MINUTE, SECOND, Clock, Millis, format_duration
from bridge.delivery.dispatcher import Dispatcher
from bridge.delivery.sender import Sender
from bridge.delivery.settings import DeliverySettings
from bridge.delivery.target_health import HealthStatus, TargetHealth
from bridge.ledger import DueAlarms
from bridge.metrics import Metrics

_TRIES_IN_HALF_A_LEASE = 3
_MAX_ATTEMPT_TIME: Millis = 10 * SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetsConfig:
    """What is delivered to, and how.

    Attributes:
        targets: the targets by name.
        delivery: the `delivery:` section.
        lease: for how long a claim is held, `store.lease`.
    """

    targets: Mapping[str, TargetSettings]
    delivery: DeliverySettings
    lease: Millis


MAX_WAIT: Millis = 5 * MINUTE
"""A target for which an alarm has been due for longer is in trouble, whatever it answers."""


class Delivery:
    """All targets.

    Args:
        config: the targets and how they are served.
        ledger: where due alarms come from.
        metrics: where deliveries are counted.
        clock: the time.
    """

    def __init__(self, config: TargetsConfig, ledger: DueAlarms, metrics: Metrics, clock: Clock) -> None:
        self._config = config
        self._ledger = ledger
        self._metrics = metrics
        self._clock = clock
        self._clients: dict[str, AomClient] = {}
        self._health: dict[str, TargetHealth] = {}
        self._dispatcher = Dispatcher(
            ledger,
            config.delivery,
            lease=config.lease,
            metrics=metrics,
            clock=clock,
            random=random.random,
        )

    @property
    def clients(self) -> Mapping[str, AomClient]:
        """The running clients by target; it changes as they do."""
        return self._clients

    def health(self) -> Mapping[str, tuple[HealthStatus, ...]]:
        """Return how each target takes reports and clears now."""
        return {name: health.statuses() for name, health in self._health.items()}

    async def trouble(self) -> str:
        """Return what keeps a target from taking alarms, in words; the empty text if nothing does.

        Raises:
            LedgerUnavailableError: it is not known how long alarms have been waiting.
        """
        for name, statuses in self.health().items():
            for status in statuses:
                if status.state != "accepting":
                    return f"target {name} does not take {status.action}s: {status.reason}"
        waiting, now = await self._ledger.waiting_since(self._clients), self._clock()
        late = [name for name, since in waiting.items() if since is not None and now - since > MAX_WAIT]
        return f"alarms wait for target {late[0]} for more than {format_duration(MAX_WAIT)}" if late else ""

    async def start(self) -> None:
        """Start every target."""
        self._dispatcher.start()
        for name in self._config.targets:
            self._add(name, await self._client(name, self._config))

    async def stop(self) -> None:
        """Stop every target; what is in flight ends within `shutdown_timeout`."""
        await self._dispatcher.stop()
        for name in list(self._clients):
            await self._clients.pop(name).stop()

    async def prepare(self, config: TargetsConfig) -> dict[str, AomClient]:
        """Start clients for the targets that differ, beside the old ones.

        Raises:
            BridgeError: one cannot start; none was left running.
        """
        ready: dict[str, AomClient] = {}
        try:
            for name in self._differing(config):
                if name in config.targets:
                    ready[name] = await self._client(name, config)
        except BaseException:
            for client in ready.values():
                await client.stop()
            raise
        return ready

    async def reconfigure(self, config: TargetsConfig, ready: Mapping[str, AomClient]) -> None:
        """Take other settings, with the clients that `prepare` gave; targets that are the same go on."""
        differing = self._differing(config)
        self._config = config
        await asyncio.gather(*(self._remove(name) for name in differing if name in self._clients))
        self._dispatcher.reconfigure(config.delivery)
        for name, client in ready.items():
            self._add(name, client)

    def _differing(self, config: TargetsConfig) -> list[str]:
        before = self._config
        all_differ = config.delivery != before.delivery
        names = dict.fromkeys((*before.targets, *config.targets))
        return [name for name in names if all_differ or config.targets.get(name) != before.targets.get(name)]

    async def _client(self, name: str, config: TargetsConfig) -> AomClient:
        attempt = min(_MAX_ATTEMPT_TIME, config.lease // 2 // _TRIES_IN_HALF_A_LEASE - 500)
        client = AomClient(name, config.targets[name], self._clock, attempt)
        await client.start()
        return client

    def _add(self, name: str, client: AomClient) -> None:
        self._clients[name] = client
        target, batch_size = self._config.targets[name], self._config.delivery.batch_size
        health = TargetHealth(name, self._config.delivery, self._clock, random.random)
        sender = Sender(name, target, client, health, batch_size=batch_size, metrics=self._metrics, clock=self._clock)
        self._health[name] = health
        self._dispatcher.add(sender)

    async def _remove(self, name: str) -> None:
        await self._dispatcher.remove(name)
        del self._health[name]
        await self._clients.pop(name).stop()
