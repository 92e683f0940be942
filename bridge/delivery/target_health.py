"""How one target takes reports and clears: whether it accepts them, since when not, why, and when it is tried next.

In: the outcome of each push. Out: `HealthStatus`, how long the lane of an action waits, and whether a refusal is the
target's fault rather than the alarm's. It sends nothing and changes no alarm. The two actions are judged apart: where
clears are refused, reports are still delivered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bridge.aom import Outcome
from bridge.backoff import Random, backoff
from bridge.clock import Clock, Millis
from bridge.delivery.result import DeliveryResult
from bridge.delivery.settings import DeliverySettings
from bridge.ledger import ACTIONS, Action, Alarm
from bridge.log import logger

HealthState = Literal["accepting", "failing", "paused", "blind"]
"""``accepting``; ``failing``: the target cannot be reached or does not accept; ``paused``: it refuses every alarm in
the same way, so no alarm is rejected for that; ``blind``: AOM's lists show no alarm that it has accepted."""

_FAILURES_OF_AN_OUTAGE = 3
"""Failures in a row. When such an outage ends, waiting alarms are tried at once instead of after their backoff."""

_MAX_REFUSED_IN_A_ROW = 20
"""If more alarms than this are refused one after the other with one code, and none is accepted between them, the target
is at fault and not the alarms."""

_log = logger("dispatcher")


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthStatus:
    """How a target takes one action.

    Attributes:
        action: the action.
        state: what the target does.
        since: since when.
        reason: why it does not accept, as a word; empty while it accepts.
        detail: the same in AOM's own words.
        next_try_at: when it is tried next; None while it accepts.
    """

    action: Action
    state: HealthState
    since: Millis
    reason: str = ""
    detail: str = ""
    next_try_at: Millis | None = None


class ActionHealth:
    """Judges how one target takes one action.

    Args:
        target: its name.
        action: the action.
        settings: the `delivery:` section.
        clock: the time.
        random: for jitter.

    Attributes:
        status: what it does now.
        refusals: alarms that were refused one after the other.
    """

    def __init__(self, target: str, action: Action, settings: DeliverySettings, clock: Clock, random: Random) -> None:
        self.status = HealthStatus(action=action, state="accepting", since=clock())
        self.refusals = Refusals()
        self._target = target
        self._settings = settings
        self._clock = clock
        self._random = random
        self._failures = 0
        self._failed_at: Millis = 0

    @property
    def is_failing(self) -> bool:
        """Whether the last push failed: then one request at a time is enough to see whether the target is back."""
        return self._failures > 0

    def pause(self) -> Millis:
        """Return how long to wait before the next try; never longer than `retry_max`, even if the clock steps back."""
        next_try_at = self.status.next_try_at or 0
        return min(max(0, next_try_at - self._clock()), self._settings.retry_max)

    def note(self, results: Sequence[DeliveryResult], began_at: Millis) -> bool:
        """Take the results of a push that began at that time; return whether an outage has just ended."""
        outcome, kind = results[0].outcome, results[0].kind
        if kind == "unseen":
            return False  # the trouble of this alarm, not of the target
        if kind not in ("later", "paused", "blind"):
            return self._accepted()
        if outcome.reason == "not_sent" or began_at < self._failed_at:
            return False  # it says nothing about the target, or began before a failure that is counted already
        self._failed("failing" if kind == "later" else kind, outcome)
        return False

    def _accepted(self) -> bool:
        was_outage = self._failures >= _FAILURES_OF_AN_OUTAGE
        if self.status.state != "accepting":
            _log.info("target accepts again", target=self._target, action=self.status.action)
            self.status = HealthStatus(action=self.status.action, state="accepting", since=self._clock())
        self._failures = 0
        return was_outage

    def _failed(self, state: HealthState, outcome: Outcome) -> None:
        self._failures += 1
        self._failed_at = self._clock()
        wait = backoff(
            self._failures,
            min_wait=self._settings.retry_min,
            max_wait=self._settings.retry_max,
            random=self._random,
            asked=outcome.retry_after,
        )
        before = self.status
        is_same = (state, outcome.reason) == (before.state, before.reason)
        is_new = state != before.state or (state == "failing" and not is_same)
        self.status = HealthStatus(
            action=before.action,
            state=state,
            since=before.since if state == before.state else self._failed_at,
            reason=outcome.reason,
            detail=outcome.detail,
            next_try_at=self._failed_at + wait,
        )
        if is_new:
            self._log_trouble(outcome)

    def _log_trouble(self, outcome: Outcome) -> None:
        """Log each kind of trouble once; until it ends, single tries are logged at debug level."""
        message, level = "target does not accept; alarms are kept and retried", _log.warning
        if self.status.state == "paused":
            message = "target refuses every alarm in the same way; alarms are kept, operator action needed"
            level = _log.error
        elif self.status.state == "blind":
            message = "clears wait: AOM's lists show no alarm of this bridge; operator action needed"
            level = _log.error
        elif outcome.needs_operator:
            message = "target refuses the credentials or the project; alarms are kept, operator action needed"
            level = _log.error
        status = self.status
        command = f"aom-bridge send-test --target={self._target} tries each step and names the fix"
        fix = {} if "Fix: " in status.detail else {"fix": command}
        level(message, target=self._target, action=status.action, reason=status.reason, detail=status.detail, **fix)


class Refusals:
    """Alarms that were refused one after the other, with one code and none accepted between them.

    Attributes:
        stops_push: whether what is left of a push would be refused, too; reset before each push.
    """

    def __init__(self) -> None:
        self._code = ""
        self._count = 0
        self._rejected: list[Alarm] = []
        self.stops_push = False

    @property
    def is_targets_fault(self) -> bool:
        """Whether the target refuses everything, so that no single alarm is at fault."""
        return self._count >= _MAX_REFUSED_IN_A_ROW

    def end(self) -> None:
        """Note that the target has accepted an alarm."""
        self._count, self.stops_push = 0, False
        self._rejected.clear()

    def add(self, alarm: Alarm, outcome: Outcome) -> None:
        """Note that the target has refused an alarm by itself."""
        code = outcome.code or str(outcome.status)
        if code != self._code:
            self.end()
        self._code = code
        self._count += 1
        if self.is_targets_fault:
            self.stops_push = True
        elif outcome.refuses_events:
            self._rejected.append(alarm)

    def take_rejected(self) -> list[Alarm]:
        """Return, once, the alarms that were rejected before the target turned out to refuse everything."""
        rejected, self._rejected = self._rejected, []
        return rejected


class TargetHealth:
    """Judges how one target takes reports and clears.

    Args:
        target: its name.
        settings: the `delivery:` section.
        clock: the time.
        random: for jitter.
    """

    def __init__(self, target: str, settings: DeliverySettings, clock: Clock, random: Random) -> None:
        self._by_action = {action: ActionHealth(target, action, settings, clock, random) for action in ACTIONS}

    def of(self, action: Action) -> ActionHealth:
        """Return the health of one action."""
        return self._by_action[action]

    def statuses(self) -> tuple[HealthStatus, ...]:
        """Return how the target takes each action now."""
        return tuple(health.status for health in self._by_action.values())
