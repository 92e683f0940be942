"""The loop of the delivering half: claim, batch, send, settle; a lane per target and action: none delays another.

In: due alarms of the ledger. Out: pushes to AOM by `bridge.delivery.sender`, and what became of each alarm back to
the ledger.
It never sees a webhook. A lane sends at once when it is idle; while alarms keep coming it waits up to `batch_wait` for
a fuller batch. Nothing is rejected for a fault that an operator or time can mend: such rows go back and come again.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import partial

from bridge.aom import Outcome
from bridge.backoff import Random, backoff
from bridge.clock import SECOND, Clock, Millis
from bridge.delivery.duplicates import DuplicateSweep
from bridge.delivery.result import DeliveryResult, ResultKind
from bridge.delivery.sender import Sender
from bridge.delivery.settings import DeliverySettings
from bridge.delivery.settler import Settler
from bridge.errors import LedgerUnavailableError
from bridge.ledger import ACTIONS, Action, Claim, DueAlarms
from bridge.log import logger
from bridge.metrics import Metrics

_POLL: Millis = SECOND
"""How often a lane looks by itself: for retries that come due, and for changes made by the command line."""

_LOADED = 10
"""After a batch of so many the next one may wait for more; a single alarm never waits."""

_LOOK: Millis = 10

_OUTAGE = 3
"""So many failures in a row are an outage: when it ends, nobody waits out the backoff that it has cost him."""

_log = logger("dispatcher")


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
        self._lanes: dict[str, list[_Lane]] = {}
        self._tasks: dict[str, list[asyncio.Task[None]]] = {}

    def start(self) -> None:
        """Listen for what comes due."""
        self._ledger.on_due(self._wake)

    def reconfigure(self, settings: DeliverySettings) -> None:
        """Deliver by other settings from now on: the targets that are added later."""
        self._settings = settings

    def add(self, sender: Sender) -> None:
        """Start claiming for a target."""
        make = partial(_Lane, metrics=self._metrics, clock=self._clock, random=self._random, lease=self._lease)
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


class _Lane:
    """The loop of one action on one target: where clears are refused, reports go on."""

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
        self._lease = lease
        self._metrics = metrics
        self._settler = Settler(ledger, sender, action, settings, metrics=metrics, clock=clock, random=random)
        self._clock = clock
        self._random = random
        self._holder = secrets.token_hex(8)
        self._claimed = 0
        self._work = asyncio.Event()
        self._in_flight: set[asyncio.Task[None]] = set()
        self._last_batch = 0
        self._sending = 0
        self._claimed_at: Millis = 0
        self._failures = 0
        self._failed_at: Millis = 0
        self._resume_at: Millis = 0
        self._trouble = ""

    def wake(self) -> None:
        """Look for work now."""
        self._work.set()

    async def run(self) -> None:
        """Claim and send until cancelled; no surprise ends a lane, since nobody would deliver for its target."""
        while True:
            try:
                await self._round()
            except Exception:  # noqa: BLE001 - whatever it was, the next round may do better
                _log.exception("delivery stumbled, and goes on", target=self.target)
                await asyncio.sleep(_POLL / 1000)

    async def _round(self) -> None:
        await self._until_ready()
        self._work.clear()
        claims = await self._claim()
        self._last_batch = len(claims)
        if claims:
            self._launch(claims)
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
        """Wait out a pause, a full window, and under load a moment for a fuller batch."""
        # Capped: a clock that steps back must not put a target to sleep for as long as the step.
        await asyncio.sleep(min(max(0, self._resume_at - self._clock()), self._settings.retry_max) / 1000)
        most = 1 if self._failures else self._settings.max_in_flight
        while len(self._in_flight) >= most:
            await asyncio.wait(self._in_flight, return_when=asyncio.FIRST_COMPLETED)
        await self._until_full()

    async def _until_full(self) -> None:
        """Under load, wait a moment for a fuller batch: a claim and a settle cost little more for 100 than for one."""
        send_at = self._claimed_at + self._settings.batch_wait
        seen = -1
        while self._last_batch >= _LOADED and seen < (waiting := self._waiting()) < self._settings.batch_size:
            rest = min(send_at - self._clock(), self._settings.batch_wait, _LOOK)
            if rest <= 0:
                return
            seen = waiting
            await asyncio.sleep(rest / 1000)

    def _waiting(self) -> int:
        """Return about how many alarms wait for this lane, those in flight aside."""
        return self._ledger.waiting(self.target, self.action) - self._sending

    async def _claim(self) -> list[Claim]:
        self._claimed_at = self._clock()
        self._claimed += 1  # each claim has a name of its own: the settle of an earlier one must not pass for it
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

    def _launch(self, claims: list[Claim]) -> None:
        task = asyncio.create_task(self._deliver(claims), name=f"{self.action}-{self.target}")
        self._in_flight.add(task)
        self._sending += len(claims)
        task.add_done_callback(partial(self._landed, len(claims)))

    def _landed(self, alarms: int, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._sending -= alarms
        if not task.cancelled() and task.exception() is not None:
            _log.error("delivery failed", target=self.target, exc_info=task.exception())

    async def _deliver(self, claims: list[Claim]) -> None:
        """Send one batch and settle each part of it as soon as it is decided."""
        begun = self._clock()
        lease_end = min(claim.alarm.due_at or 0 for claim in claims)
        open_claims = {claim.alarm.seq: claim for claim in claims}
        try:
            async for verdicts in self._sender.send(claims, self.action, lease_end - self._lease // 2):
                is_over = self._note(verdicts, begun)
                await asyncio.shield(self._settler.settle(verdicts))
                for verdict in verdicts:
                    open_claims.pop(verdict.claim.alarm.seq, None)
                if is_over:
                    await self._retry_now()
        finally:
            if open_claims:
                await asyncio.shield(self._give_back(list(open_claims.values())))

    async def _give_back(self, claims: Sequence[Claim]) -> None:
        outcome = Outcome("timeout", message="the bridge stopped while this was in flight", in_doubt=True)
        await self._settler.settle([DeliveryResult(claim, "later", outcome) for claim in claims])

    async def _retry_now(self) -> None:
        with contextlib.suppress(LedgerUnavailableError):  # then every alarm comes at the end of its own backoff
            await self._ledger.retry_now(self.target, self.action)
        self.wake()

    def _note(self, verdicts: Sequence[DeliveryResult], begun: Millis) -> bool:
        """Keep the lane's own state: a target in trouble is tried by one request at a time, with growing waits.

        Returns:
            Whether an outage has just ended.
        """
        outcome, kind = verdicts[0].outcome, verdicts[0].kind
        if kind == "unseen":
            return False  # it is this alarm's trouble, not the target's
        if kind not in ("later", "paused", "blind"):
            was_outage = self._failures >= _OUTAGE
            if self._trouble:
                _log.info("target accepts again", target=self.target, action=self.action)
            self._failures, self._trouble = 0, ""
            return was_outage
        if outcome.reason == "not_sent" or begun < self._failed_at:
            return False  # said nothing about the target, or began before the failure that is already counted
        self._failures += 1
        self._failed_at = self._clock()
        wait = backoff(
            self._failures,
            min_wait=self._settings.retry_min,
            max_wait=self._settings.retry_max,
            random=self._random,
            asked=outcome.retry_after,
        )
        self._resume_at = self._failed_at + wait
        trouble = outcome.reason if kind == "later" else kind
        if trouble != self._trouble:
            self._trouble = trouble
            self._complain(outcome, kind)
        return False

    def _complain(self, outcome: Outcome, kind: ResultKind) -> None:
        """Say once for each kind of trouble what is wrong; until it is over, single tries are logged at debug."""
        message = "target does not accept; everything is kept and tried again"
        level = _log.warning
        if kind == "paused":
            message = "target refuses every alarm in the same way, and an operator must act; nothing more is rejected"
            level = _log.error
        elif kind == "blind":
            message = "clears wait, and an operator must act: AOM's lists show nothing of ours"
            level = _log.error
        elif outcome.needs_operator:
            message = "target refuses us, and an operator must act; everything is kept and tried again"
            level = _log.error
        level(message, target=self.target, action=self.action, reason=outcome.reason, detail=outcome.detail)
