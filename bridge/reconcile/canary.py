"""Sends one alarm of the bridge's own through the whole chain again and again, and measures it (`canary:`).

In: the settings, the ledger, the clients of targets. Out: an alarm that is mapped, kept, reported, seen in AOM's list,
cleared, and gone from the list; how long that took, as a metric, and a log line where it fails. Of several bridges on
one ledger one does it. Delivery sends the alarm as any other.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Mapping

from msgspec.structs import replace

from bridge.aom import AomClient, Listing, Query
from bridge.clock import DAY, MINUTE, SECOND, Clock, Millis, format_duration
from bridge.errors import BridgeError, LedgerUnavailableError
from bridge.ledger import Alarm, Ledger, ListedChange
from bridge.log import logger
from bridge.metrics import Metrics
from bridge.notification import CANARY, fingerprint
from bridge.reconcile.answers import ListedAlert
from bridge.reconcile.canary_settings import CanarySettings
from bridge.reconcile.notifications import notification

ALERT = "AomBridgeCanary"
_LABELS = {"alertname": ALERT, "severity": "none", "job": "aom-bridge"}
_ANNOTATIONS = {
    "summary": "An alarm of the bridge's own, which shows that the whole chain works; it clears itself.",
    "cause_zh": "aom-bridge 自身的告警，用于确认整个链路正常；它会自动清除。",
}
_FINGERPRINT = fingerprint(_LABELS)
_KEY = CANARY, _FINGERPRINT
_LIMIT: Millis = 5 * MINUTE
_MAX_AGE: Millis = 30 * SECOND
_POLL: Millis = SECOND

_log = logger("canary")


class Canary:
    """Sends the alarm.

    Args:
        settings: the section.
        ledger: the ledger.
        clients: the running clients by target; it changes as they do.
        metrics: where the result is shown.
        clock: the time.
    """

    def __init__(
        self,
        settings: CanarySettings,
        ledger: Ledger,
        clients: Mapping[str, AomClient],
        *,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._clients = clients
        self._metrics = metrics
        self._clock = clock
        self._holder = secrets.token_hex(8)
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name="canary")

    async def stop(self) -> None:
        """End, and give up the lead; an alarm on its way is ended by the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            with contextlib.suppress(LedgerUnavailableError):  # then the lease ends by itself
                await self._ledger.open_alarms.give_up(CANARY, self._holder)

    def reconfigure(self, settings: CanarySettings) -> None:
        """Use other settings, from now on."""
        has_changed, self._settings = settings != self._settings, settings
        if has_changed:
            self._changed.set()
        if not settings.interval:
            self._metrics.canary_interval.set(0)

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            interval = self._settings.interval
            self._metrics.canary_interval.set(interval / 1000)
            try:
                if interval and await self._ledger.open_alarms.lead(CANARY, self._holder, interval + _LIMIT):
                    await self._send()
            except BridgeError as error:
                self._metrics.canary_success.set(0)
                _log.error("the canary cannot be sent", reason=str(error))
            except Exception:  # noqa: BLE001 - whatever it was, the next one may do better
                self._metrics.canary_success.set(0)
                _log.exception("unexpected error while the canary was sent; retrying")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), interval / 1000 if interval else None)

    async def _send(self) -> None:
        """Send one alarm through the chain, and show how that went."""
        began, step = self._clock(), "the end of an earlier one"
        steps: tuple[tuple[str, Callable[[], Awaitable[bool]]], ...] = (
            ("the end of an earlier one", self._end),
            ("mapping and ledger", self._put),
            ("the report", lambda: self._is("reported")),
            ("AOM's list", self._is_listed),
            ("the resolve", self._end),
            ("the clear", lambda: self._is("cleared")),
            ("AOM's list without it", self._is_gone),
        )
        try:
            async with asyncio.timeout(_LIMIT / 1000):
                for step, is_done in steps:  # noqa: B007 - the last one is named below
                    await _until(is_done)
        except TimeoutError:
            self._metrics.canary_success.set(0)
            _log.warning("the canary has not come through", waits_for=step, after=format_duration(_LIMIT))
            return
        self._metrics.canary_success.set(1)
        self._metrics.canary_seconds.set((self._clock() - began) / 1000)
        self._metrics.canary_at.set(self._clock() / 1000)

    async def _newest(self) -> Alarm | None:
        return (await self._ledger.audits.newest([_KEY])).get(_KEY)

    async def _put(self) -> bool:
        last, now = await self._newest(), self._clock()
        change = replace(_change(last), bodies=(notification(_alert(now), "", {}),))
        (effect,) = await self._ledger.open_alarms.apply(CANARY, self._holder, [change], _MAX_AGE)
        if effect == "dropped":
            raise BridgeError(f"a rule drops it. Fix: let alertname={ALERT} through.")
        return effect == "new"

    async def _end(self) -> bool:
        last = await self._newest()
        if last is None or not last.is_open:
            return True
        change = replace(_change(last), ends_at=max(self._clock(), last.newest_fired_at + 1))
        (effect,) = await self._ledger.open_alarms.apply(CANARY, self._holder, [change], _MAX_AGE)
        return effect == "resolved"

    async def _is(self, state: str) -> bool:
        last = await self._newest()
        return last is not None and last.state == state

    async def _is_listed(self) -> bool:
        listing = await self._listing()
        return listing is not None and bool(listing.alarms)

    async def _is_gone(self) -> bool:
        listing = await self._listing()
        return listing is not None and listing.is_complete and not listing.alarms

    async def _listing(self) -> Listing | None:
        """Return what AOM's list shows of the alarm; None: it could not be read."""
        last = await self._newest()
        client = None if last is None else self._clients.get(last.target)
        if client is None:
            return None
        now = self._clock()
        listing = await client.find(Query(CANARY, (_FINGERPRINT,), max(0, now - DAY), now + DAY), now + MINUTE)
        return listing if listing.outcome.accepted else None


async def _until(is_done: Callable[[], Awaitable[bool]]) -> None:
    while not await is_done():  # noqa: ASYNC110 - most of it is seen in AOM only, which tells no one
        await asyncio.sleep(_POLL / 1000)


def _change(last: Alarm | None) -> ListedChange:
    """Return a change of the newest alarm, if it is as it was."""
    if last is None:
        return ListedChange("canary", _FINGERPRINT, None, None, None)
    return ListedChange("canary", _FINGERPRINT, last.seq, last.last_seen, last.state)


def _alert(now: Millis) -> ListedAlert:
    return ListedAlert(_FINGERPRINT, _LABELS, _ANNOTATIONS, now, 0, now, "", (), is_suppressed=False)
