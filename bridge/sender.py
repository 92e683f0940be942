"""Send: one claimed batch to one target, and a verdict on each alarm in it.

In: claims of one target. Out: `Verdict`s, as soon as each is known, for the dispatcher to settle. A request that AOM
refuses as a whole is halved until the bad event stands alone. A clear gets AOM's ids from `bridge.finder`
(`clear_by: lookup`) or trusts our own (`id`). It never touches the ledger and never waits between tries.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

import msgspec

from bridge import event
from bridge.aom import LARGEST_BODY, AomClient, Outcome, TargetSettings
from bridge.clock import Clock, Millis
from bridge.finder import Finder, Sighting
from bridge.ledger import ACTIONS, Action, Alarm, Claim, rules
from bridge.metrics import Metrics
from bridge.turns import unhurried
from bridge.verdict import Kind, Verdict

_ENCODED_AT_ONCE = 10
"""Events that are encoded in a row: webhooks wait for it."""

_ENVELOPE = 64

_MOST_REFUSALS = 8
"""So often a clear is looked up again after AOM refused it: with the waits between, over a minute."""

_SYSTEMATIC = 20
"""So many refused alone in a row, with one code and none accepted between, are no poison but the target's fault."""


class _Item(msgspec.Struct, frozen=True):
    """One alarm with its entries in a push: one for a report, one per match for a clear."""

    claim: Claim
    entries: tuple[bytes, ...]
    is_guess: bool = False
    is_sure: bool = True

    @property
    def size(self) -> int:
        return sum(len(entry) + 1 for entry in self.entries)


class _Streak:
    """Alarms refused alone in a row, with one code and none accepted between."""

    def __init__(self) -> None:
        self._code = ""
        self._count = 0
        self._rejected: list[Alarm] = []
        self.is_hopeless = False

    @property
    def is_systematic(self) -> bool:
        return self._count >= _SYSTEMATIC

    def accepted(self) -> None:
        self._count, self.is_hopeless = 0, False
        self._rejected.clear()

    def refused(self, alarm: Alarm, outcome: Outcome) -> None:
        code = outcome.code or str(outcome.status)
        if code != self._code:
            self.accepted()
        self._code = code
        self._count += 1
        if self.is_systematic:
            self.is_hopeless = True
        else:
            self._rejected.append(alarm)

    def forgive(self) -> list[Alarm]:
        forgiven, self._rejected = self._rejected, []
        return forgiven


class Sender:
    """Sends to one target.

    Args:
        target: its name.
        settings: its settings.
        client: its client, started.
        batch_size: the most events in one push.
        metrics: where pushes are counted.
        clock: the time.
    """

    def __init__(
        self,
        target: str,
        settings: TargetSettings,
        client: AomClient,
        *,
        batch_size: int,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self.target = target
        self._settings = settings
        self._client = client
        self._batch_size = batch_size
        self._metrics = metrics
        self._clock = clock
        self._finder = Finder(target, client, settings.lookup_wait, metrics=metrics, clock=clock)
        self._streaks: dict[Action, _Streak] = {action: _Streak() for action in ACTIONS}

    @property
    def lookup_wait(self) -> Millis | None:
        """How long AOM's list may lag; None for a target that is never looked up."""
        return self._settings.lookup_wait if self._settings.clear_by == "lookup" else None

    def forgive(self, action: Action) -> list[Alarm]:
        """Return, once, the alarms that were rejected before the target turned out to refuse everything."""
        return self._streaks[action].forgive()

    async def send(self, claims: Sequence[Claim], action: Action, deadline: Millis) -> AsyncIterator[list[Verdict]]:
        """Send these claims, all of one action; yields verdicts, each claim in exactly one of them."""
        self._streaks[action].is_hopeless = False
        if action == "report":
            items = [self._report(claim) async for claim in unhurried(claims, _ENCODED_AT_ONCE)]
        elif self._settings.clear_by == "id":
            items = [self._clear(Sighting(claim, (claim.alarm.id,))) for claim in claims]
        else:
            items = []
            # Half of the time is for look-ups: what they have found must still be pushed.
            async for found in self._finder.find(claims, (self._clock() + deadline) // 2):
                if isinstance(found, Verdict):
                    yield [found]
                else:
                    items.append(self._clear(found))
        for batch in self._batches(items):
            async for verdicts in self._push(batch, action, deadline):
                yield verdicts

    async def clear_duplicates(self, claims: Sequence[Claim], deadline: Millis) -> Outcome:
        """Clear what AOM holds open beside these alarms, which fire and stay as they are."""
        outcome, found = await self._finder.duplicates(claims, (self._clock() + deadline) // 2)
        for one in found:
            outcome = await self._push_once([self._clear(one)], "clear", deadline)
            if not (outcome.accepted or outcome.bad_events):  # an id that AOM does not hold any more is no trouble
                return outcome
        return outcome if not found else Outcome("accepted")

    async def _push(self, items: list[_Item], action: Action, deadline: Millis) -> AsyncIterator[list[Verdict]]:
        outcome = await self._push_once(items, action, deadline)
        if outcome.bad_events and len(items) > 1 and self._streaks[action].is_hopeless:
            yield [Verdict(item.claim, "paused", outcome) for item in items]
        elif outcome.bad_events and len(items) > 1:
            middle = (len(items) + 1) // 2
            for half in (items[:middle], items[middle:]):
                async for verdicts in self._push(half, action, deadline):
                    yield verdicts
        elif outcome.bad_events and len(items[0].entries) > 1:
            yield [await self._push_apart(items[0], action, deadline)]
        else:
            yield [self._verdict(item, outcome) for item in items]

    async def _push_apart(self, item: _Item, action: Action, deadline: Millis) -> Verdict:
        """Clear the matches of one alarm one by one: an id that AOM does not hold must not keep the others open."""
        verdicts = []
        for entry in item.entries:
            single = _Item(item.claim, (entry,), item.is_guess, item.is_sure)
            verdicts.append(self._verdict(single, await self._push_once([single], action, deadline)))
        order: tuple[Kind, ...] = ("later", "paused", "not_listed", "refused", "confirm", "accepted", "gone")
        return min(verdicts, key=lambda verdict: order.index(verdict.kind))

    async def _push_once(self, items: list[_Item], action: Action, deadline: Millis) -> Outcome:
        entries = [entry for item in items for entry in item.entries]
        begun = self._clock()
        outcome = await self._client.push(entries, action, deadline)
        self._metrics.push_duration.observe((self._clock() - begun) / 1000)
        self._metrics.batch_events.observe(len(entries))
        self._metrics.pushes.labels(self.target, action, outcome.reason).inc()
        if outcome.accepted:
            self._streaks[action].accepted()
        return outcome

    def _verdict(self, item: _Item, outcome: Outcome) -> Verdict:
        kind: Kind = "later"
        if item.is_guess and (outcome.accepted or outcome.bad_events):
            kind = "gone"
        elif outcome.accepted:
            kind = "accepted" if item.is_sure else "confirm"
        elif outcome.bad_events:
            kind = self._refusal(item.claim)
        if kind == "refused":
            streak = self._streaks[item.claim.action]
            streak.refused(item.claim.alarm, outcome)
            kind = "paused" if streak.is_systematic else kind
        return Verdict(item.claim, kind, outcome)

    def _refusal(self, claim: Claim) -> Kind:
        """Say what a refusal means: a clear is refused, too, when its alarm is not open any more.

        By id there is nobody to ask: AOM has taken the same event as a report, so it is the id that it does not hold.
        """
        alarm = claim.alarm
        if claim.action == "report":
            return "refused"
        if self._settings.clear_by == "id":
            return "gone"
        again = alarm.reason == rules.REFUSED_ONCE and alarm.attempts >= _MOST_REFUSALS
        return "refused" if again else "not_listed"

    def _report(self, claim: Claim) -> _Item:
        alarm = claim.alarm
        entry = event.report(
            claim.event,
            alarm_id=alarm.id,
            starts_at=alarm.fired_at,
            now=self._clock(),
            first_start=alarm.earliest_at,
        )
        return _Item(claim, (self._client.encode(entry),))

    def _clear(self, found: Sighting) -> _Item:
        alarm, now = found.claim.alarm, self._clock()
        ends_at = now if alarm.ends_at is None else alarm.ends_at
        entries = [
            event.clear(found.claim.event, aom_id=aom_id, starts_at=alarm.fired_at, ends_at=ends_at, now=now)
            for aom_id in found.aom_ids
        ]
        return _Item(found.claim, tuple(map(self._client.encode, entries)), found.is_guess, found.is_sure)

    def _batches(self, items: Sequence[_Item]) -> Iterator[list[_Item]]:
        """Cut into pushes that AOM takes: by events and by bytes."""
        batch: list[_Item] = []
        events, size = 0, _ENVELOPE
        for item in items:
            if batch and (events + len(item.entries) > self._batch_size or size + item.size > LARGEST_BODY):
                yield batch
                batch, events, size = [], 0, _ENVELOPE
            batch.append(item)
            events, size = events + len(item.entries), size + item.size
        if batch:
            yield batch
