"""Tells a service outside that the whole chain works, so that somebody watches the watcher (`ping:`).

In: when every source was covered last, and what keeps a target from taking alarms. Out: a request to the address of the
configuration, each interval, only while nothing is wrong; the service raises the alarm when the requests stop. It
decides nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import aiohttp

from bridge.aom.words import request_failure
from bridge.clock import MINUTE, Clock, Millis, format_duration
from bridge.errors import LedgerUnavailableError
from bridge.ledger import OpenAlarms
from bridge.log import ThrottledLine, logger
from bridge.metrics import Metrics
from bridge.reconcile.ping_settings import PingSettings
from bridge.reconcile.settings import AlertmanagerSettings

_MAX_AGE: Millis = 2 * MINUTE
"""A round that covered its source is young enough for so long, or for three intervals of its source."""

_TIMEOUT_SECONDS = 10

_log = logger("ping")

Trouble = Callable[[], Awaitable[str]]
"""Returns what keeps a target from taking alarms, in words; the empty text if nothing does."""


class Ping:
    """Calls the address while nothing is wrong.

    Args:
        settings: the section.
        sources: the settings of each source that is compared with an Alertmanager.
        ledger: tells when each was covered.
        of_targets: what is wrong with the targets.
        metrics: where the last call is shown.
        clock: the time.
    """

    def __init__(
        self,
        settings: PingSettings,
        sources: Mapping[str, AlertmanagerSettings],
        ledger: OpenAlarms,
        of_targets: Trouble,
        *,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._sources = sources
        self._ledger = ledger
        self._of_targets = of_targets
        self._metrics = metrics
        self._clock = clock
        self._trouble = ""
        self._task: asyncio.Task[None] | None = None
        self._failed = ThrottledLine(partial(_log.error, "the address of ping cannot be called"))

    async def start(self) -> None:
        """Begin to call."""
        self._task = asyncio.create_task(self._run(), name="ping")

    async def stop(self) -> None:
        """End to call."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def reconfigure(self, settings: PingSettings, sources: Mapping[str, AlertmanagerSettings]) -> None:
        """Use other settings, from the next call on."""
        self._settings, self._sources = settings, sources

    async def _run(self) -> None:
        while True:
            if self._settings.is_on:
                try:
                    await self._ping()
                except Exception:  # noqa: BLE001 - whatever it was, the next call may do better
                    _log.exception("unexpected error in a ping; retrying")
            await asyncio.sleep(self._settings.interval / 1000)

    async def _ping(self) -> None:
        trouble = await self._found()
        if trouble and not self._trouble:
            _log.warning("no ping is sent", reason=trouble)
        if self._trouble and not trouble:
            _log.info("pings are sent again")
        self._trouble = trouble
        if trouble:
            return
        try:
            await self._call()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._failed.add(reason=request_failure(error))
        except ValueError as error:
            self._failed.add(reason=str(error))

    async def _found(self) -> str:
        """Return what is wrong with the chain; the empty text if nothing is."""
        try:
            covered, now = await self._ledger.covered(), self._clock()
            for name, settings in self._sources.items():
                age = now - covered.get(name, 0)
                if age > max(_MAX_AGE, 3 * settings.interval):
                    since = f"for {format_duration(age // 1000 * 1000)}" if covered.get(name) else "yet"
                    return f"not every peer of source {name} has answered {since}"
            return await self._of_targets()
        except LedgerUnavailableError as error:
            return str(error)

    async def _call(self) -> None:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.get(self._settings.address().reveal()) as response,
        ):
            if response.status >= 300:
                self._failed.add(reason=f"it answered {response.status}")
                return
        self._metrics.last_ping.set(self._clock() / 1000)
