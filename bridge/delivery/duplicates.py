"""Looks for duplicates: of an alert that fires AOM must hold one alarm only.

In: open alarms of the ledger that are in doubt: a clear before them did not wait for AOM's list, or a push of unknown
outcome went out for them. Out: clears of what AOM holds beside them, which ends the doubt. It looks only after
`lookup_wait`, when the list shows what there is. Where it may not look (`clear_by: id` needs no permission to list),
the next clear settles the doubt. It changes no alarm but what it has looked at, and delays no lane.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bridge.clock import MINUTE, SECOND, Clock, Millis
from bridge.delivery.sender import Sender
from bridge.errors import LedgerUnavailableError
from bridge.ledger import Alarm, Claim, DueAlarms
from bridge.log import logger

_MAX_ALARMS = 20
_MIN_PAUSE: Millis = SECOND
_MAX_PAUSE: Millis = 30 * SECOND
_PAUSE_AFTER_REFUSAL: Millis = 10 * MINUTE
"""For how long AOM's list is not asked for after AOM has refused it."""

_log = logger("dispatcher")


class DuplicateSweep:
    """Looks for duplicates at one target.

    Args:
        ledger: where alarms in doubt come from.
        sender: the target's.
        lookup_wait: how long AOM's list may lag.
        lease: how long one sweep may take.
        clock: the time.
    """

    def __init__(self, ledger: DueAlarms, sender: Sender, lookup_wait: Millis, *, lease: Millis, clock: Clock) -> None:
        self.target = sender.target
        self._ledger = ledger
        self._sender = sender
        self._lookup_wait = lookup_wait
        self._lease = lease
        self._clock = clock
        self._resume_at: Millis = 0

    async def run(self) -> None:
        """Sweep until cancelled."""
        pause = min(max(self._lookup_wait // 2, _MIN_PAUSE), _MAX_PAUSE)
        while True:
            await asyncio.sleep(pause / 1000)
            try:
                while await self._clear_duplicates():
                    pass
            except LedgerUnavailableError as error:
                _log.error("looking for duplicates failed; retrying", target=self.target, error=str(error))
            except Exception:  # noqa: BLE001 - whatever it was, the next sweep may do better
                _log.exception("unexpected error while looking for duplicates; retrying", target=self.target)

    async def _clear_duplicates(self) -> bool:
        """Look at some alarms; return whether there may be more."""
        before = self._clock() - self._lookup_wait
        if 0 < self._resume_at - self._clock() <= _PAUSE_AFTER_REFUSAL:  # further ahead, the clock has stepped back
            return False
        claims = await self._ledger.doubtful_alarms(self.target, before, _MAX_ALARMS)
        if not claims:
            return False
        settled = await self._cleared_beside(claims)
        if settled:
            await self._ledger.clear_doubt(settled, before)
        return len(settled) == _MAX_ALARMS

    async def _cleared_beside(self, claims: Sequence[Claim]) -> list[Alarm]:
        """Clear what AOM holds beside these alarms; return those for which that has ended well."""
        settled = []
        deadline = self._clock() + self._lease // 2
        for claim in claims:
            outcome, is_settled = await self._sender.clear_duplicates(claim, deadline)
            if outcome.needs_operator:
                self._resume_at = self._clock() + _PAUSE_AFTER_REFUSAL
            if is_settled:
                settled.append(claim.alarm)
            elif not outcome.accepted:
                _log.debug(
                    "looking for duplicates not accepted; retried later", target=self.target, detail=outcome.detail
                )
                break
        return settled
