"""One lane: claims the due alarms of one target for one action, sends them in batches, and settles the results.

In: due alarms of the ledger. Out: pushes to AOM by `bridge.delivery.sender`, and a settled result for each alarm. A
lane sends at once when it is idle; while alarms keep coming it waits up to `batch_wait` for a fuller batch. No alarm is
rejected for a fault that an operator or time can mend: it is released, and comes due again.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Sequence
from functools import partial

from bridge.aom import Outcome
from bridge.backoff import Random
from bridge.clock import SECOND, Clock, Millis
from bridge.delivery.result import DeliveryResult
from bridge.delivery.sender import Sender
from bridge.delivery.settings import DeliverySettings
from bridge.delivery.settler import Settler
from bridge.errors import LedgerUnavailableError
from bridge.ledger import Action, Claim, DueAlarms
from bridge.log import logger
from bridge.metrics import Metrics

_POLL: Millis = SECOND
"""How often a lane asks the ledger by itself: for retries that come due, and for edits by the command line."""

_LOADED_ALARMS = 10
"""After a batch of at least this many alarms the next one may wait for more; a single alarm never waits."""

_BATCH_POLL: Millis = 10

_log = logger("dispatcher")


class Lane:
    """The loop of one action on one target.

    Args:
        ledger: where due alarms come from.
        settings: the `delivery:` section.
        action: what is sent.
        sender: the target's.
        lease: how long a claim is held (`store.lease`).
        metrics: where deliveries are counted.
        clock: the time.
        random: for jitter.

    Attributes:
        target: the target's name.
        action: what is sent.
    """

    def __init__(
        self,
        ledger: DueAlarms,
        settings: DeliverySettings,
        action: Action,
        sender: Sender,
        *,
        lease: Millis,
        metrics: Metrics,
        clock: Clock,
        random: Random,
    ) -> None:
        self.target = sender.target
        self.action = action
        self._ledger = ledger
        self._settings = settings
        self._sender = sender
        self._health = sender.health.of(action)
        self._lease = lease
        self._metrics = metrics
        self._settler = Settler(ledger, sender, action, settings, metrics=metrics, clock=clock, random=random)
        self._clock = clock
        self._holder = secrets.token_hex(8)
        self._claimed = 0
        self._work = asyncio.Event()
        self._try = asyncio.Event()
        self._in_flight: set[asyncio.Task[None]] = set()
        self._last_batch = 0
        self._sending = 0
        self._claimed_at: Millis = 0

    def wake(self) -> None:
        """Look for work now."""
        self._work.set()

    def try_now(self) -> None:
        """Try the target at once, without the wait after its last failure: a person has edited alarms."""
        self._try.set()

    async def run(self) -> None:
        """Claim and send until cancelled; an unexpected error never ends a lane.

        A lane begins at a start, or since its settings have changed: either may have mended what alarms wait for.
        """
        is_new = True
        while True:
            try:
                if is_new:
                    await self._retry_now()
                    is_new = False
                await self._round()
            except Exception:  # noqa: BLE001 - whatever it was, the next round may do better
                _log.exception("unexpected error in the delivery loop; retrying", target=self.target)
                await asyncio.sleep(_POLL / 1000)

    async def _round(self) -> None:
        await self._until_ready()
        self._work.clear()
        claims = await self._claim()
        self._last_batch = len(claims)
        if claims:
            self._start_delivery(claims)
        else:
            await self._until_due()

    async def finish(self) -> None:
        """Let what is in flight end within `shutdown_timeout`, then cancel it; whatever is still held is due again."""
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=self._settings.shutdown_timeout / 1000)
        for task in self._in_flight:
            task.cancel()
        await asyncio.gather(*self._in_flight, return_exceptions=True)
        with contextlib.suppress(LedgerUnavailableError):  # then the lease ends, or the next start gives it back
            await self._ledger.release(f"{self._holder}.")

    async def _until_ready(self) -> None:
        """Wait until the target may be tried, a push may begin, and under load a moment for a fuller batch."""
        await self._until_tried()
        max_in_flight = 1 if self._health.is_failing else self._settings.max_in_flight
        while len(self._in_flight) >= max_in_flight:
            await asyncio.wait(self._in_flight, return_when=asyncio.FIRST_COMPLETED)
        await self._until_full()

    async def _until_tried(self) -> None:
        if pause := self._health.pause():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause / 1000):
                    await self._try.wait()
        self._try.clear()

    async def _until_full(self) -> None:
        """Under load, wait a moment for a fuller batch: a claim and a settle cost little more for 100 than for one."""
        send_at = self._claimed_at + self._settings.batch_wait
        seen = -1
        while self._last_batch >= _LOADED_ALARMS and seen < (waiting := self._waiting()) < self._settings.batch_size:
            wait = min(send_at - self._clock(), self._settings.batch_wait, _BATCH_POLL)
            if wait <= 0:
                return
            seen = waiting
            await asyncio.sleep(wait / 1000)

    def _waiting(self) -> int:
        """Return about how many alarms wait for this lane, without those in flight."""
        return self._ledger.waiting(self.target, self.action) - self._sending

    async def _claim(self) -> list[Claim]:
        self._claimed_at = self._clock()
        self._claimed += 1  # unique holder per claim, so that a late settle of an earlier claim is not accepted
        holder = f"{self._holder}.{self._claimed}"
        longest_wait = max(self._settings.retry_max, self._sender.lookup_wait)
        try:
            claims = await self._ledger.claim(self.target, self.action, holder, self._settings.batch_size, longest_wait)
        except LedgerUnavailableError as error:
            _log.error("claim failed", target=self.target, error=str(error))
            await asyncio.sleep(_POLL / 1000)
            return []
        self._note_clock(claims)
        return claims

    def _note_clock(self, claims: Sequence[Claim]) -> None:
        """Count and log the alarms that a clock which has stepped back would have delayed."""
        ahead = sum(claim.was_ahead for claim in claims)
        if ahead:
            self._metrics.due_ahead.labels(self.target).inc(ahead)
            _log.warning(
                "alarms were due later than any wait allows, and are sent now: the clock has stepped back, or that of a"
                " replica is wrong. Fix: synchronize the clocks (NTP)",
                target=self.target,
                action=self.action,
                alarms=ahead,
            )

    async def _until_due(self) -> None:
        wait = _POLL
        with contextlib.suppress(LedgerUnavailableError):
            due_at = await self._ledger.next_due(self.target, self.action)
            wait = _POLL if due_at is None else min(max(due_at - self._clock(), 10), _POLL)
        with contextlib.suppress(TimeoutError):
            # Not wait_for: before Python 3.12 it can swallow a cancellation that comes together with the wake.
            async with asyncio.timeout(wait / 1000):
                await self._work.wait()

    def _start_delivery(self, claims: list[Claim]) -> None:
        task = asyncio.create_task(self._deliver(claims), name=f"{self.action}-{self.target}")
        self._in_flight.add(task)
        self._sending += len(claims)
        task.add_done_callback(partial(self._ended, len(claims)))

    def _ended(self, alarms: int, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._sending -= alarms
        if not task.cancelled() and task.exception() is not None:
            _log.error("delivery failed", target=self.target, exc_info=task.exception())

    async def _deliver(self, claims: list[Claim]) -> None:
        """Send one batch and settle each part of it as soon as it is decided."""
        began_at = self._clock()
        lease_end = min(claim.alarm.due_at or 0 for claim in claims)
        open_claims = {claim.alarm.seq: claim for claim in claims}
        try:
            async for results in self._sender.send(claims, self.action, lease_end - self._lease // 2):
                has_outage_ended = self._health.note(results, began_at)
                await asyncio.shield(self._settler.settle(results))
                for result in results:
                    open_claims.pop(result.claim.alarm.seq, None)
                if has_outage_ended:
                    await self._retry_now()
        finally:
            if open_claims:
                await asyncio.shield(self._release(list(open_claims.values())))

    async def _release(self, claims: Sequence[Claim]) -> None:
        outcome = Outcome("timeout", message="the bridge stopped while this was in flight", in_doubt=True)
        await self._settler.settle([DeliveryResult(claim, "later", outcome) for claim in claims])

    async def _retry_now(self) -> None:
        with contextlib.suppress(LedgerUnavailableError):  # then each alarm is tried after its own backoff
            await self._ledger.retry_now(self.target, self.action)
        self.wake()
