"""The ledger as delivery sees it: claims due alarms, and settles the decisions about them.

In: targets, actions, claims and decisions. Out: claims. Each alarm has one holder at a time, and of each alert only the
oldest unfinished alarm is claimed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from bridge.clock import HOUR, Millis
from bridge.errors import LedgerUnavailableError
from bridge.ledger import doubts
from bridge.ledger.alarm import Alarm, Claim, Key, due_states
from bridge.ledger.core import Core, Due
from bridge.ledger.decisions import Decision, DoubtCleared, Doubtful, DoubtPulledBack, Requeued, Unreadable
from bridge.ledger.operations import claims as claim_operations
from bridge.ledger.operations import queries
from bridge.ledger.operations.claims import Settlement, Taken
from bridge.ledger.states import Action
from bridge.ledger.writer.messages import ClaimRequest, SettleRequest
from bridge.log import logger

_MAX_RETRIED_AT_ONCE = 1_000
_MAX_DECODED_IN_A_ROW = 10
"""The number of events decoded before the event loop serves webhooks again."""

_log = logger("ledger")


class DueAlarms:
    """Claims, settles and reschedules alarms.

    Args:
        core: the ledger's.
        lease: for how long a claim is held.
    """

    def __init__(self, core: Core, lease: Millis) -> None:
        self._core = core
        self._lease = lease

    def on_edit(self, listener: Callable[[], None]) -> None:
        """As `Core.on_edit`."""
        self._core.on_edit(listener)

    def on_due(self, listener: Callable[[Due], None]) -> None:
        """Call ``listener`` in the event loop after each commit that made alarms due; None: of every target."""
        self._core.on_due(listener)

    async def claim(
        self, target: str, action: Action, holder: str, limit: int, longest_wait: Millis = HOUR
    ) -> list[Claim]:
        """Take up to ``limit`` alarms of a target that are due for an action, until the lease ends.

        An alarm that is due later than both ``longest_wait`` and a lease is claimed, too: the clock has stepped back.
        """
        now = self._core.clock()
        request = ClaimRequest(target, action, holder, self._lease, limit, now, now + max(self._lease, longest_wait))
        claimed = await self._core.transactions.execute(request)
        return await self._decoded(claimed.alarms, action)

    async def _decoded(self, taken: Sequence[Taken], action: Action) -> list[Claim]:
        claims, unreadable = [], []
        for number, item in enumerate(taken):
            if number % _MAX_DECODED_IN_A_ROW == 0:
                await asyncio.sleep(0)
            try:
                claims.append(claim_operations.decoded(item, action))
            except ValueError as error:
                detail = f"the stored event: {error}"
                unreadable.append(Settlement(item.alarm, Unreadable(detail)))
                alarm = item.alarm
                _log.error("alarm rejected", id=alarm.id, target=alarm.target, reason="unreadable", detail=detail)
        with contextlib.suppress(
            LedgerUnavailableError
        ):  # then they stay claimed, and are found unreadable again later
            await self.settle(unreadable)
        return claims

    async def settle(self, settlements: Sequence[Settlement]) -> set[int]:
        """Apply the decisions about the alarms of one claim; return the numbers of those that the claim still held."""
        if not settlements:
            return set()
        holder = settlements[0].alarm.claimed_by or ""
        decisions = [(settlement.alarm.seq, settlement.decision) for settlement in settlements]
        settled = await self._core.transactions.execute(SettleRequest(holder, decisions, self._core.clock()))
        self._core.count(settled.changes)
        if settled.due:
            self._core.notify_due(settled.due)
        return settled.seqs

    async def release(self, holder: str) -> None:
        """Make alarms due again that a stopped worker still holds; ``holder``: the prefix of its claims' names."""
        await self._core.write(partial(claim_operations.release, holder=holder, now=self._core.clock()))

    async def mark_doubtful(self, keys: Sequence[Key]) -> None:
        """Mark alerts whose claim was lost while AOM may have accepted the push; a cleared one is looked up again."""
        await self._change_newest(keys, Doubtful(self._core.clock()))
        self._core.notify_due()

    async def doubtful_alarms(self, target: str, before: Millis, limit: int) -> list[Claim]:
        """Return open alarms of a target with doubts older than ``before``, and the events to clear their duplicates.

        A doubt with a future time is set to now, because the clock has stepped back, and is returned later.
        """
        now = self._core.clock()
        doubtful = await self._core.read(
            lambda connection: claim_operations.doubtful(connection, target, before, now, limit)
        )
        ahead = [claim.alarm for claim in doubtful if doubts.pulled_back(claim.alarm, now) is not claim.alarm]
        if ahead:
            await self._change_alarms(ahead, DoubtPulledBack())
        return [claim for claim in doubtful if claim.alarm not in ahead]

    async def clear_doubt(self, alarms: Sequence[Alarm], before: Millis) -> None:
        """Note that a search in AOM's list has ended doubts older than ``before`` about these alarms."""
        await self._change_alarms(alarms, DoubtCleared(before))

    async def requeue(self, alarms: Sequence[Alarm], action: Action, due_at: Millis) -> None:
        """Make rejected alarms due again whose target, and not the alarm, was the cause of the refusal."""
        await self._change_alarms(alarms, Requeued(action, due_at))

    async def retry_now(self, target: str, action: Action) -> int:
        """Make alarms due now that wait only because the target did not accept, the oldest first; return how many."""
        now, total = self._core.clock(), 0
        while True:
            count = await self._core.write(
                partial(claim_operations.retry_now, target=target, action=action, now=now, limit=_MAX_RETRIED_AT_ONCE)
            )
            total += count
            if count < _MAX_RETRIED_AT_ONCE:
                return total

    async def next_due(self, target: str, action: Action) -> Millis | None:
        """Return when the next alarm of a target comes due for an action."""
        return await self._core.read(lambda connection: queries.next_due(connection, target, action))

    async def waiting_since(self, targets: Iterable[str]) -> dict[str, Millis | None]:
        """Return since when the longest waiting alarm of each target has been due."""
        names = tuple(targets)
        return await self._core.read(lambda c: {name: queries.waiting_since(c, name) for name in names})

    def waiting(self, target: str, action: Action) -> int:
        """Return how many alarms of a target wait for an action for the first time or after a resolve."""
        return self._core.counts.states.get((due_states(action)[0], target), 0)

    async def _change_alarms(self, alarms: Sequence[Alarm], decision: Decision) -> None:
        await self._change_newest([alarm.key for alarm in alarms], decision, [alarm.seq for alarm in alarms])

    async def _change_newest(self, keys: Sequence[Key], decision: Decision, seqs: Sequence[int] | None = None) -> None:
        now = self._core.clock()
        change = partial(claim_operations.change_newest, keys=keys, decision=decision, now=now, seqs=seqs)
        self._core.count(await self._core.write(change))
