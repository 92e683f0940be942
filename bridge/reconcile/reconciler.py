"""Holds every source in step that has `alertmanagers:` settings, and watches heartbeats; reloads change both.

In: the settings of each source and heartbeat, the ledger. Out: a running `SourceInStep` for each source, and a running
`HeartbeatWatch`. Without settings they do nothing.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence

from bridge.clock import Clock, Millis
from bridge.errors import BridgeError
from bridge.ledger import Ledger
from bridge.metrics import Metrics
from bridge.reconcile.heartbeats import HeartbeatConfig, HeartbeatWatch
from bridge.reconcile.seen import SourceSeen, SwitchSeen, switches_seen
from bridge.reconcile.settings import AlertmanagerSettings
from bridge.reconcile.shown_now import shown_now
from bridge.reconcile.source import Holds, SourceInStep

_MAX_HOST_CHARACTERS = 40


class Reconciler:
    """Runs the comparison of each source with its Alertmanager.

    Args:
        settings: by source.
        heartbeats: what the configuration says of heartbeats.
        ledger: the ledger.
        metrics: where rounds and differences are counted.
        clock: the time.
        alarm_timeout: the shortest of all targets.
        may_raise: says whether alerts may be raised that only the API shows.
    """

    def __init__(
        self,
        settings: Mapping[str, AlertmanagerSettings],
        heartbeats: HeartbeatConfig,
        ledger: Ledger,
        *,
        metrics: Metrics,
        clock: Clock,
        alarm_timeout: Millis,
        may_raise: Callable[[], Awaitable[bool]],
    ) -> None:
        self._may_raise = may_raise
        self._settings = dict(settings)
        self._ledger = ledger.open_alarms
        self._metrics = metrics
        self._clock = clock
        self._alarm_timeout = alarm_timeout
        self._holder = f"{socket.gethostname()[:_MAX_HOST_CHARACTERS]}-{secrets.token_hex(4)}"
        self._sources: dict[str, SourceInStep] = {}
        self._watch = HeartbeatWatch(
            heartbeats, ledger.heartbeats, ledger.open_alarms, metrics=metrics, clock=clock, holder=self._holder
        )

    def sources_seen(self) -> Mapping[str, SourceSeen]:
        """Return what the last round of each source has shown."""
        return {name: source.seen for name, source in self._sources.items()}

    def switches_seen(self) -> Sequence[SwitchSeen]:
        """Return how every switch of a heartbeat is, the worst first."""
        return switches_seen(self._watch.verdicts)

    async def start(self) -> None:
        """Begin to watch, and the rounds of every source."""
        await self._watch.start()
        for name in self._settings:
            await self._start(name)

    async def stop(self) -> None:
        """End the rounds of every source, and to watch."""
        for name in list(self._sources):
            await self._stop(name)
        await self._watch.stop()

    async def reconfigure(
        self, settings: Mapping[str, AlertmanagerSettings], heartbeats: HeartbeatConfig, alarm_timeout: Millis
    ) -> None:
        """Use other settings; sources whose settings are the same go on, and map again what the rules have dropped."""
        self._watch.reconfigure(heartbeats)
        before, self._settings, self._alarm_timeout = self._settings, dict(settings), alarm_timeout
        for name in list(self._sources):
            if settings.get(name) != before[name]:
                await self._stop(name)
        for name in settings:
            if name in self._sources:
                self._sources[name].reconfigure(alarm_timeout)
            else:
                await self._start(name)

    async def shown_now(self, name: str) -> str:
        """Return the first alerts that the Alertmanager of a source shows now, as JSON.

        Raises:
            BridgeError: no peer has answered in time, or no settings name one; the text says what to do.
        """
        settings = self._settings.get(name)
        if settings is None:
            raise BridgeError(f"alertmanagers has no entry for source {name[:64]!r}. Fix: add one, or paste alerts.")
        return await shown_now(settings, self._clock)

    async def _start(self, name: str) -> None:
        source = SourceInStep(
            name,
            self._settings[name],
            self._ledger,
            metrics=self._metrics,
            clock=self._clock,
            holder=self._holder,
            holds=Holds(self._watch, self._may_raise),
            alarm_timeout=self._alarm_timeout,
        )
        self._sources[name] = source
        await source.start()

    async def _stop(self, name: str) -> None:
        await self._sources.pop(name).stop()
        self._metrics.forget_source(name)
