"""Tries each target at the start and every few minutes: credentials, AOM's list, and the clock.

In: the clients of targets. Out: metrics, and log lines: at the start for each target what works, later what has
changed; each trouble with its fix. A look-up that works shows them by the way, and then nothing is tried. It pushes
nothing, and readiness does not depend on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, get_args

from bridge.aom import AomClient, Outcome, Query, TargetSettings
from bridge.aom.auth.grant import MAX_SKEW
from bridge.aom.fixes import outcome_failure
from bridge.clock import MINUTE, SECOND, Clock, Millis, format_duration
from bridge.log import logger
from bridge.metrics import Metrics

Check = Literal["credentials", "list", "clock"]
CHECKS: tuple[Check, ...] = get_args(Check)

EACH: Millis = 5 * MINUTE
_DEADLINE: Millis = 30 * SECOND
_NO_ALERT = "0" * 16
"""The fingerprint of no alert: the list is asked for nothing, and answers whether it may be asked."""

_log = logger("targets")


class _Trouble(NamedTuple):
    """What does not work; ``text`` has the fix, and what differs each time: AOM's trace, seconds.

    ``fact``: what it is, the same as long as it lasts.
    """

    fact: str
    text: str

    @classmethod
    def of(cls, outcome: Outcome, action: str, hint: str) -> _Trouble:
        """Return the trouble of a request that AOM or IAM has not accepted."""
        return cls(f"{outcome.reason} {outcome.status} {outcome.code}", str(outcome_failure(outcome, action, hint)))


class TargetChecks:
    """Tries every target.

    Args:
        targets: returns the settings of the targets now.
        clients: the running clients by target; it changes as they do.
        source: of the question that AOM's list is asked.
        metrics: where results are shown.
        clock: the time.

    Attributes:
        results: what was tried last at each target: what does not work with the fix, or the empty text if it works.
    """

    def __init__(
        self,
        targets: Callable[[], Mapping[str, TargetSettings]],
        clients: Mapping[str, AomClient],
        source: str,
        *,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._targets = targets
        self._clients = clients
        self._source = source
        self._metrics = metrics
        self._clock = clock
        self._facts: dict[str, dict[Check, str]] = {}
        self.results: dict[str, dict[Check, str]] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to try."""
        self._task = asyncio.create_task(self._run(), name="target-checks")

    async def stop(self) -> None:
        """End to try."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            for name, settings in self._targets().items():
                client = self._clients.get(name)
                if client is not None:
                    try:
                        await self._check(name, settings, client)
                    except Exception:  # noqa: BLE001 - whatever it was, the next try may do better
                        _log.exception("unexpected error while a target was tried; retrying", target=name)
            await asyncio.sleep(EACH / 1000)

    async def _check(self, name: str, settings: TargetSettings, client: AomClient) -> None:
        troubles = await self._tried(settings, client)
        self.results[name] = results = {}
        for check in CHECKS:
            results[check] = troubles[check].text if check in troubles else ""
            self._metrics.target_up.labels(name, check).set(check not in troubles)
            if check in troubles:
                break  # what comes after it was not tried
        before = self._facts.get(name)
        self._facts[name] = {check: trouble.fact for check, trouble in troubles.items()}
        for check, (fact, text) in troubles.items():
            if before is None or before.get(check) != fact:
                _log.warning(f"the target does not work: {text}", target=name, check=check)
        if not troubles and before != {}:
            _log.info("the target works: credentials, AOM's list and the clock", target=name)

    async def _tried(self, settings: TargetSettings, client: AomClient) -> dict[Check, _Trouble]:
        """Return what does not work, with the fix."""
        listed_at, now = client.sight.listed_at, self._clock()
        if listed_at is None or not 0 <= now - listed_at < EACH:
            outcome = await client.authenticate()
            if not outcome.accepted:
                return {"credentials": _Trouble.of(outcome, "", settings.auth.hint)}
            query = Query(self._source, (_NO_ALERT,), max(0, now - MINUTE), now)
            outcome = (await client.find(query, now + _DEADLINE)).outcome
            if not outcome.accepted:
                check: Check = "credentials" if outcome.reason == "unauthorized" else "list"
                return {check: _Trouble.of(outcome, "aom:alarm:list", settings.auth.hint)}
        skew = client.sight.skew or 0
        if abs(skew) < MAX_SKEW:
            return {}
        which = "ahead of" if skew > 0 else "behind"
        text = f"our clock is {format_duration(abs(skew) // SECOND * SECOND)} {which} AOM's"
        return {"clock": _Trouble(which, f"{text}. Fix: synchronize the clock (NTP).")}
