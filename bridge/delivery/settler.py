"""Turns the results of one batch into decisions for the ledger; counts and logs deliveries.

In: `DeliveryResult`s of one lane. Out: a decision for each alarm, which the ledger carries out. It decides how long an
alarm waits for its next try, never whether a lane pauses. What cannot be settled comes due again when its lease ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bridge.backoff import Random, backoff
from bridge.clock import SECOND, Clock, Millis
from bridge.delivery.result import DeliveryResult, ResultKind
from bridge.delivery.sender import Sender
from bridge.delivery.settings import DeliverySettings
from bridge.errors import LedgerUnavailableError
from bridge.ledger import GHOST, Action, Claim, DueAlarms, Settlement
from bridge.ledger.alarm import Phase
from bridge.ledger.decisions import Cleared, Confirming, Decision, Refused, Reported, Rescheduled
from bridge.log import logger
from bridge.metrics import Metrics

_MAX_NOT_LISTED_WAIT: Millis = 30 * SECOND

_REASONS: dict[Phase, str] = {"refused_once": "refused"}
"""The word that people read for a phase, if it is another one."""

_WAITS: dict[ResultKind, str] = {
    "not_listed": "AOM's list does not show the alarm yet",
    "confirm": "AOM has accepted the clear; its list is looked at once more",
}
"""What people read of a wait that AOM's answer, an accepted one, does not explain."""

_LOG_MESSAGES: dict[ResultKind, str] = {
    "accepted": "accepted",
    "confirm": "accepted; looked up again later",
    "refused": "refused",
    "later": "not accepted; retried later",
    "paused": "target refuses everything; retried later",
    "unseen": "missing in AOM's lists, which show other alarms; looked up again later",
    "blind": "AOM's lists show no alarm of this bridge; retried later",
    "not_listed": "not yet in AOM's list; looked up again later",
    "gone": "finished: AOM does not hold these alarms any more",
}

_log = logger("dispatcher")


class Settler:
    """Settles for one lane.

    Args:
        ledger: where rows are settled.
        sender: the target's.
        action: the lane's.
        settings: the `delivery:` section.
        metrics: where deliveries are counted.
        clock: the time.
        random: for jitter.
    """

    def __init__(
        self,
        ledger: DueAlarms,
        sender: Sender,
        action: Action,
        settings: DeliverySettings,
        *,
        metrics: Metrics,
        clock: Clock,
        random: Random,
    ) -> None:
        self._ledger = ledger
        self._sender = sender
        self._target = sender.target
        self._action = action
        self._settings = settings
        self._metrics = metrics
        self._delivery = metrics.delivery.labels(action)
        self._alert_age = metrics.alert_age.labels(action)
        self._clock = clock
        self._random = random

    async def settle(self, results: Sequence[DeliveryResult]) -> None:
        """Settle these results in the ledger, and log and count them."""
        now = self._clock()
        settlements = [Settlement(result.claim.alarm, self._decision(result, now)) for result in results]
        try:
            await self._mark_lost_doubtful(results, await self._ledger.settle(settlements))
            await self._requeue_rejected(results, now)
        except LedgerUnavailableError as error:
            _log.error(
                "results could not be settled; the alarms come due again when their lease ends",
                target=self._target,
                alarms=len(results),
                error=str(error),
            )
            return
        self._observe(results, now)

    async def _mark_lost_doubtful(self, results: Sequence[DeliveryResult], settled: set[int]) -> None:
        """Mark alarms whose claim expired while AOM may already have accepted the push."""
        lost = [result for result in results if result.claim.alarm.seq not in settled]
        if not lost:
            return
        _log.warning(
            "claims expired before they could be settled (another worker holds them)",
            target=self._target,
            alarms=len(lost),
        )
        doubtful = [
            result.claim.alarm.key
            for result in lost
            if self._action == "report" and (result.outcome.accepted or result.outcome.in_doubt)
        ]
        if doubtful:
            await self._ledger.mark_doubtful(doubtful)

    async def _requeue_rejected(self, results: Sequence[DeliveryResult], now: Millis) -> None:
        """Requeue alarms that were rejected before the target turned out to refuse everything."""
        if not any(result.kind == "paused" for result in results):
            return
        rejected = self._sender.health.of(self._action).refusals.take_rejected()
        if rejected:
            await self._ledger.requeue(rejected, self._action, now + self._settings.retry_min)

    def _decision(self, result: DeliveryResult, now: Millis) -> Decision:
        outcome, claim = result.outcome, result.claim
        match result.kind:
            case "accepted" if claim.action == "report":
                return Reported(claim.alarm.starts_at, sent_start=result.sent_start, in_doubt=outcome.in_doubt)
            case "accepted" | "gone":
                reason = "not_held" if result.kind == "gone" else None
                named = result.named if self._sender.looks_up or result.doubt_at is not None else ()
                return Cleared(reason, named, result.doubt_at)
            case "refused":
                return Refused(claim.action, outcome.reason, outcome.detail)
        due_at, detail = now + self._wait(result, now), _detail(result)
        if result.kind == "confirm":
            return Confirming(due_at, detail, result.named, result.doubt_at)
        phase = _phase(result)
        return Rescheduled(
            due_at,
            phase,
            outcome.reason if phase == "retrying" else _REASONS.get(phase, phase),
            detail,
            in_doubt=outcome.in_doubt and claim.action == "report",
            sent_start=result.sent_start,
            named=result.named,
            refused=claim.action if outcome.refuses_events else None,
        )

    def _wait(self, result: DeliveryResult, now: Millis) -> Millis:
        max_wait = self._settings.retry_max
        if result.kind == "confirm" and result.doubt_at is not None and not self._sender.looks_up:
            return max(result.doubt_at + self._sender.lookup_wait - now, self._settings.retry_min)
        if result.kind in ("not_listed", "confirm"):
            max_wait = min(max_wait, max(_MAX_NOT_LISTED_WAIT, self._settings.retry_min))
        return backoff(
            result.claim.alarm.attempts + 1,
            min_wait=self._settings.retry_min,
            max_wait=max_wait,
            random=self._random,
            asked=result.outcome.retry_after,
        )

    def _observe(self, results: Sequence[DeliveryResult], now: Millis) -> None:
        accepted = [result for result in results if result.kind == "accepted"]
        for result in accepted:
            self._observe_delivery(result.claim, now)
        if accepted:
            self._metrics.last_acceptance.labels(self._target, self._action).set(now / 1000)
        for result in results:
            if result.kind == "refused":
                self._refused(result)
            if result.kind == "unseen" and result.claim.alarm.phase != "unseen":
                self._unseen(result)
        for kind, count in Counter(result.kind for result in results).items():
            level = _log.debug if kind in ("later", "paused", "blind") else _log.info
            level(_LOG_MESSAGES[kind], target=self._target, action=self._action, alarms=count)

    def _observe_delivery(self, claim: Claim, now: Millis) -> None:
        alarm = claim.alarm
        _log.debug("alarm sent", target=self._target, action=claim.action, id=alarm.id, fingerprint=alarm.fingerprint)
        if alarm.reason == GHOST:
            received, began = None, None  # it was resolved and cleared long ago
        elif claim.action == "clear":
            received, began = alarm.resolved_at, alarm.ends_at
        else:
            is_first = alarm.reported_at is None
            received, began = (alarm.received_at, alarm.fired_at) if is_first else (None, None)
        if received is not None:
            self._delivery.observe((now - received) / 1000)
        if began is not None:
            self._alert_age.observe(max(0, now - began) / 1000)

    def _unseen(self, result: DeliveryResult) -> None:
        alarm = result.claim.alarm
        _log.error(
            "the clear of an alarm waits: AOM shows the alarm in no list; operator action needed",
            target=self._target,
            id=alarm.id,
            fingerprint=alarm.fingerprint,
            event_name=result.claim.event.metadata["event_name"],
            detail=result.outcome.message,
            fix=f"aom-bridge send-test --target={self._target} says whether AOM's list works",
        )

    def _refused(self, result: DeliveryResult) -> None:
        alarm = result.claim.alarm
        self._metrics.rejected.labels(result.outcome.reason).inc()
        _log.error(
            "alarm rejected",
            target=self._target,
            action=result.claim.action,
            id=alarm.id,
            fingerprint=alarm.fingerprint,
            event_name=result.claim.event.metadata["event_name"],
            reason=result.outcome.reason,
            detail=result.outcome.detail,
            fix=f"correct the rule that maps it, then: aom-bridge alarms retry {alarm.id[:8]}",
        )


def _detail(result: DeliveryResult) -> str:
    """Return why an alarm is not finished, in AOM's own words where AOM refuses something."""
    outcome = result.outcome
    return _WAITS.get(result.kind, outcome.detail) if outcome.accepted else outcome.detail


def _phase(result: DeliveryResult) -> Phase:
    """Return what the next try must know of this one, which has decided nothing."""
    match result.kind:
        case "paused" | "blind":
            return "paused"
        case "unseen":
            return "unseen"
        case "not_listed":
            return "refused_once" if result.outcome.refuses_events else "not_listed"
    # A clear that AOM has accepted stays accepted, whatever a later look-up finds.
    return "confirming" if result.claim.alarm.phase == "confirming" else "retrying"
