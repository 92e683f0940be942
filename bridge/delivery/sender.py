"""Send: one claimed batch to one target, and a result on each alarm in it.

In: claims of one target. Out: `DeliveryResult`s, as soon as each is known, for the dispatcher to settle. A request that
AOM refuses as a whole is halved until the bad event stands alone. A clear gets AOM's ids from
`bridge.delivery.id_lookup` (`clear_by: lookup`) or trusts our own (`id`). It never touches the ledger and never waits
between tries.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec

from bridge.aom import AomClient, Outcome, TargetSettings
from bridge.clock import Clock, Millis
from bridge.delivery.id_lookup import IdLookup, ListedMatches
from bridge.delivery.push_items import PushItem, PushItems
from bridge.delivery.result import DeliveryResult, ResultKind
from bridge.delivery.target_health import TargetHealth
from bridge.ledger import Action, Claim, unpack_ids
from bridge.metrics import Metrics

_MAX_REFUSALS = 8
"""How often a clear is looked up again after AOM refused it: with the waits between, over a minute."""

_WORST_FIRST: tuple[ResultKind, ...] = ("later", "paused", "not_listed", "refused", "confirm", "accepted", "gone")


class Sender:
    """Sends to one target.

    Args:
        target: its name.
        settings: its settings.
        client: its client, started.
        health: judges how the target takes reports and clears.
        batch_size: the most events in one push.
        metrics: where pushes are counted.
        clock: the time.

    Attributes:
        health: the same.
    """

    def __init__(
        self,
        target: str,
        settings: TargetSettings,
        client: AomClient,
        health: TargetHealth,
        *,
        batch_size: int,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self.target = target
        self._settings = settings
        self._client = client
        self._items = PushItems(client.encode, batch_size, clock)
        self._metrics = metrics
        self._clock = clock
        self._id_lookup = IdLookup(target, client, settings.lookup_wait, metrics=metrics, clock=clock)
        self.health = health

    @property
    def lookup_wait(self) -> Millis:
        """For how long AOM's list may lag, and a report in doubt may still be applied."""
        return self._settings.lookup_wait

    @property
    def looks_up(self) -> bool:
        """Whether clears are for the ids that AOM's list shows."""
        return self._settings.clear_by == "lookup"

    async def send(
        self, claims: Sequence[Claim], action: Action, deadline: Millis
    ) -> AsyncIterator[list[DeliveryResult]]:
        """Send these claims, all of one action; yields results, each claim in exactly one of them."""
        self.health.of(action).refusals.stops_push = False
        if action == "report":
            items = await self._items.reports(claims)
        elif not self.looks_up:
            items = [self._items.clear(self._by_id(claim)) for claim in claims]
        else:
            items = []
            # Half of the time is for look-ups: what they have found must still be pushed.
            async for found in self._id_lookup.find(claims, (self._clock() + deadline) // 2):
                if isinstance(found, DeliveryResult):
                    yield [found]
                else:
                    items.append(self._items.clear(found))
        for batch in self._items.batches(items):
            async for results in self._push(batch, action, deadline):
                yield results

    async def clear_duplicates(self, claim: Claim, deadline: Millis) -> tuple[Outcome, bool]:
        """Clear what AOM holds open beside an alarm that fires and stays as it is.

        Returns:
            The outcome, and whether AOM now holds this alarm and no other of its alert.
        """
        outcome, found = await self._id_lookup.duplicates(claim, (self._clock() + deadline) // 2)
        if found is None or not found.aom_ids:
            return outcome, found is not None
        outcome = await self._push_once([self._items.clear(found)], "clear", deadline)
        # An id that AOM does not hold any more is no trouble.
        return outcome, outcome.accepted or outcome.refuses_events

    def _by_id(self, claim: Claim) -> ListedMatches:
        """Return what to clear by our own ids: AOM may have merged the alarm into an earlier one that came late."""
        alarm = claim.alarm
        is_in_doubt = alarm.doubt_at is not None and self._clock() - alarm.doubt_at < self.lookup_wait
        return ListedMatches(
            claim, (alarm.id, *unpack_ids(alarm.earlier_ids)), doubt_at=alarm.doubt_at if is_in_doubt else None
        )

    async def _push(
        self, items: list[PushItem], action: Action, deadline: Millis
    ) -> AsyncIterator[list[DeliveryResult]]:
        outcome = await self._push_once(items, action, deadline)
        if outcome.refuses_content and len(items) > 1 and self.health.of(action).refusals.stops_push:
            yield [DeliveryResult(item.claim, "paused", outcome) for item in items]
        elif outcome.refuses_content and len(items) > 1:
            middle = (len(items) + 1) // 2
            for half in (items[:middle], items[middle:]):
                async for results in self._push(half, action, deadline):
                    yield results
        elif outcome.refuses_content and len(items[0].entries) > 1:
            yield [await self._push_one_by_one(items[0], action, deadline)]
        elif outcome.refuses_events and action == "clear" and not self.looks_up:
            yield [await self._contradicted(items[0], outcome, deadline)]
        else:
            yield [self._result(item, outcome) for item in items]

    async def _push_one_by_one(self, item: PushItem, action: Action, deadline: Millis) -> DeliveryResult:
        """Clear the matches of one alarm one by one: an id that AOM does not hold must not keep the others open."""
        results = []
        for single in item.one_by_one():
            outcome = await self._push_once([single], action, deadline)
            results.append(self._result(single, outcome))
        worst = min(results, key=lambda result: _WORST_FIRST.index(result.kind))
        if worst.kind == "gone" and worst.outcome.refuses_events and not self.looks_up:
            return await self._contradicted(item, worst.outcome, deadline)
        return msgspec.structs.replace(worst, named=item.ids)

    async def _contradicted(self, item: PushItem, outcome: Outcome, deadline: Millis) -> DeliveryResult:
        """Decide about a clear by our own id that AOM refused, though it accepted the alarm's report under that id.

        Either AOM does not hold the alarm any more, or it holds it under another id: its list tells, where we may ask.
        """
        claim, alarm = item.claim, item.claim.alarm
        gone = DeliveryResult(claim, "gone", outcome, named=item.ids, doubt_at=item.doubt_at)
        if item.doubt_at is not None and not claim.has_successor:
            return msgspec.structs.replace(gone, kind="confirm")
        if claim.has_successor or alarm.reported_at is None:
            return gone
        async for found in self._id_lookup.find([claim], (self._clock() + deadline) // 2):
            if isinstance(found, ListedMatches):
                return gone if found.is_guess else await self._push_listed(found, deadline)
            if found.kind in ("not_listed", "later") and not found.outcome.needs_operator:
                return found
        return gone

    async def _push_listed(self, found: ListedMatches, deadline: Millis) -> DeliveryResult:
        item = self._items.clear(found)
        outcome = await self._push_once([item], "clear", deadline)
        if outcome.refuses_events:
            return DeliveryResult(found.claim, "not_listed", outcome, named=item.ids)
        return self._result(item, outcome)

    async def _push_once(self, items: list[PushItem], action: Action, deadline: Millis) -> Outcome:
        entries = [entry for item in items for entry in item.entries]
        begun = self._clock()
        outcome = await self._client.push(entries, action, deadline)
        self._metrics.push_duration.observe((self._clock() - begun) / 1000)
        self._metrics.batch_events.observe(len(entries))
        self._metrics.pushes.labels(self.target, action, outcome.reason).inc()
        if outcome.accepted:
            self.health.of(action).refusals.end()
        return outcome

    def _result(self, item: PushItem, outcome: Outcome) -> DeliveryResult:
        kind = self._kind(item, outcome)
        if kind == "refused" or (outcome.refuses_content and not outcome.refuses_events):
            refusals = self.health.of(item.claim.action).refusals
            refusals.add(item.claim.alarm, outcome)
            kind = "paused" if refusals.is_targets_fault else kind
        return DeliveryResult(item.claim, kind, outcome, item.sent_start, item.ids, item.doubt_at)

    def _kind(self, item: PushItem, outcome: Outcome) -> ResultKind:
        if item.is_guess and (outcome.accepted or outcome.refuses_events):
            return "gone"
        if outcome.accepted and item.doubt_at is not None and not item.claim.has_successor:
            return "confirm"
        if outcome.accepted:
            return "accepted"
        return self._refusal(item.claim) if outcome.refuses_events else "later"

    def _refusal(self, claim: Claim) -> ResultKind:
        """Say what a refusal means: a clear is refused, too, when its alarm is not open any more."""
        alarm = claim.alarm
        if claim.action == "report":
            return "refused"
        if not self.looks_up:
            return "gone"
        again = alarm.phase == "refused_once" and alarm.attempts >= _MAX_REFUSALS
        return "refused" if again else "not_listed"
