"""Settle: what became of one batch goes back to the ledger; metrics and logs of deliveries.

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
from bridge.ledger import Action, Claim, DueAlarms, Settlement
from bridge.ledger.alarm import Phase
from bridge.ledger.decisions import Cleared, Confirming, Decision, Refused, Reported, Rescheduled
from bridge.log import logger
from bridge.metrics import Metrics

_MAX_NOT_LISTED_WAIT: Millis = 30 * SECOND

_REASONS: dict[Phase, str] = {"refused_once": "refused"}
"""The word that people read for a phase, if it is another one."""

_SAID: dict[ResultKind, str] = {
    "accepted": "accepted",
    "confirm": "accepted, and looked up again later",
    "refused": "refused",
    "later": "not accepted, and tried again later",
    "paused": "refused like everything else, and tried again later",
    "unseen": "not to be found in AOM's lists, though others are; looked up again later",
    "blind": "not to be found in AOM's lists, and tried again later",
    "not_listed": "not in AOM's list yet, and looked up again later",
    "gone": "finished: AOM does not hold these alarms any more",
}

_log = logger("dispatcher")


class Settler:
    """Settles for one lane.

    Args:
        ledger: where rows are settled.
        sender: the target's, which knows what was rejected for the target's own fault.
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

    async def settle(self, verdicts: Sequence[DeliveryResult]) -> None:
        """Write down what became of these alarms."""
        now = self._clock()
        settlements = [Settlement(verdict.claim.alarm, self._decision(verdict, now)) for verdict in verdicts]
        try:
            await self._doubt_lost(verdicts, await self._ledger.settle(settlements))
            await self._take_back(verdicts, now)
        except LedgerUnavailableError as error:
            # The lease ends, and the rows come due again by themselves.
            _log.error("settle failed", target=self._target, alarms=len(verdicts), error=str(error))
            return
        self._observe(verdicts, now)

    async def _doubt_lost(self, verdicts: Sequence[DeliveryResult], settled: set[int]) -> None:
        """Say which alarms AOM may have been told of after their claim had passed to another worker."""
        lost = [verdict for verdict in verdicts if verdict.claim.alarm.seq not in settled]
        if not lost:
            return
        _log.warning("claims were lost before they were settled", target=self._target, alarms=len(lost))
        doubtful = [
            verdict.claim.alarm.key
            for verdict in lost
            if self._action == "report" and (verdict.outcome.accepted or verdict.outcome.in_doubt)
        ]
        if doubtful:
            await self._ledger.mark_doubtful(doubtful)

    async def _take_back(self, verdicts: Sequence[DeliveryResult], now: Millis) -> None:
        """Make due again what was rejected before it was clear that the target refuses everything."""
        if not any(verdict.kind == "paused" for verdict in verdicts):
            return
        forgiven = self._sender.forgive(self._action)
        if forgiven:
            await self._ledger.requeue(forgiven, self._action, now + self._settings.retry_min)

    def _decision(self, verdict: DeliveryResult, now: Millis) -> Decision:
        outcome, claim = verdict.outcome, verdict.claim
        match verdict.kind:
            case "accepted" if claim.action == "report":
                return Reported(claim.alarm.starts_at, sent_start=verdict.sent_start, in_doubt=outcome.in_doubt)
            case "accepted" | "gone":
                reason = "not_held" if verdict.kind == "gone" else None
                named = verdict.named if self._sender.looks_up or verdict.doubt_at is not None else ()
                return Cleared(reason, named, verdict.doubt_at)
            case "refused":
                return Refused(claim.action, outcome.reason, outcome.detail)
        due_at = now + self._wait(verdict, now)
        if verdict.kind == "confirm":
            return Confirming(due_at, outcome.detail, verdict.named, verdict.doubt_at)
        phase = _phase(verdict)
        return Rescheduled(
            due_at,
            phase,
            outcome.reason if phase == "retrying" else _REASONS.get(phase, phase),
            outcome.detail,
            in_doubt=outcome.in_doubt and claim.action == "report",
            sent_start=verdict.sent_start,
            named=verdict.named,
        )

    def _wait(self, verdict: DeliveryResult, now: Millis) -> Millis:
        max_wait = self._settings.retry_max
        if verdict.kind == "confirm" and verdict.doubt_at is not None and not self._sender.looks_up:
            return max(verdict.doubt_at + self._sender.lookup_wait - now, self._settings.retry_min)
        if verdict.kind in ("not_listed", "confirm"):
            max_wait = min(max_wait, max(_MAX_NOT_LISTED_WAIT, self._settings.retry_min))
        return backoff(
            verdict.claim.alarm.attempts + 1,
            min_wait=self._settings.retry_min,
            max_wait=max_wait,
            random=self._random,
            asked=verdict.outcome.retry_after,
        )

    def _observe(self, verdicts: Sequence[DeliveryResult], now: Millis) -> None:
        accepted = [verdict for verdict in verdicts if verdict.kind == "accepted"]
        for verdict in accepted:
            self._observe_delivery(verdict.claim, now)
        if accepted:
            self._metrics.last_acceptance.labels(self._target, self._action).set(now / 1000)
        for verdict in verdicts:
            if verdict.kind == "refused":
                self._refused(verdict)
            if verdict.kind == "unseen" and verdict.claim.alarm.phase != "unseen":
                self._unseen(verdict)
        for kind, count in Counter(verdict.kind for verdict in verdicts).items():
            level = _log.debug if kind in ("later", "paused", "blind") else _log.info
            level(_SAID[kind], target=self._target, action=self._action, alarms=count)

    def _observe_delivery(self, claim: Claim, now: Millis) -> None:
        alarm = claim.alarm
        _log.debug("alarm sent", target=self._target, action=claim.action, id=alarm.id, fingerprint=alarm.fingerprint)
        if claim.action == "clear":
            received, began = alarm.resolved_at, alarm.ends_at
        else:
            is_first = alarm.reported_at is None
            received, began = (alarm.received_at, alarm.fired_at) if is_first else (None, None)
        if received is not None:
            self._delivery.observe((now - received) / 1000)
        if began is not None:
            self._alert_age.observe(max(0, now - began) / 1000)

    def _unseen(self, verdict: DeliveryResult) -> None:
        alarm = verdict.claim.alarm
        _log.error(
            "the clear of an alarm waits, and an operator must act",
            target=self._target,
            id=alarm.id,
            fingerprint=alarm.fingerprint,
            event_name=verdict.claim.event.metadata["event_name"],
            detail=verdict.outcome.message,
        )

    def _refused(self, verdict: DeliveryResult) -> None:
        alarm = verdict.claim.alarm
        self._metrics.rejected.labels(verdict.outcome.reason).inc()
        _log.error(
            "alarm rejected",
            target=self._target,
            action=verdict.claim.action,
            id=alarm.id,
            fingerprint=alarm.fingerprint,
            event_name=verdict.claim.event.metadata["event_name"],
            reason=verdict.outcome.reason,
            detail=verdict.outcome.detail,
        )


def _phase(verdict: DeliveryResult) -> Phase:
    """Return what the next try must know of this one, which has decided nothing."""
    match verdict.kind:
        case "paused" | "blind":
            return "paused"
        case "unseen":
            return "unseen"
        case "not_listed":
            return "refused_once" if verdict.outcome.bad_events else "not_listed"
    # A clear that AOM has accepted stays accepted, whatever a later look-up finds.
    return "confirming" if verdict.claim.alarm.phase == "confirming" else "retrying"
