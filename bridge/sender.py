"""Send: one claimed batch to one target, and a verdict on each alarm in it.

In: claims of one target. Out: `Verdict`s, as soon as each is known, for the dispatcher to settle. A request that AOM
refuses as a whole is halved until the bad event stands alone. A clear finds AOM's ids by look-up first
(`clear_by: lookup`) or trusts our own (`id`). It never touches the ledger and never waits between tries.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Literal

import msgspec

from bridge import event
from bridge.aom import LARGEST_BODY, AomClient, Found, Outcome, Query, TargetSettings
from bridge.clock import DAY, HOUR, Clock, Millis
from bridge.ledger import Action, Claim
from bridge.metrics import Metrics

ORPHAN_RANGE: Millis = 16 * DAY
"""How far back AOM may hold an alarm that we never saw fire: its longest timeout and a day."""

_ENVELOPE = 64
_LOOKUP_MARGIN: Millis = HOUR

Kind = Literal["accepted", "refused", "later", "not_listed", "gone"]


class Verdict(msgspec.Struct, frozen=True):
    """What became of one alarm.

    ``accepted``; ``refused`` for good; ``later``: nothing is decided; ``not_listed``: AOM's list does not show the
    alarm yet; ``gone``: AOM does not hold it any more.
    """

    claim: Claim
    kind: Kind
    outcome: Outcome


class _Item(msgspec.Struct, frozen=True):
    """One alarm with its entries in a push: one for a report, one per match for a clear."""

    claim: Claim
    entries: tuple[bytes, ...]
    is_guess: bool = False

    @property
    def size(self) -> int:
        return sum(len(entry) + 1 for entry in self.entries)


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
        self._alone = False

    async def send(self, claims: Sequence[Claim], action: Action, deadline: Millis) -> AsyncIterator[list[Verdict]]:
        """Send these claims, all of one action; yields verdicts, each claim in exactly one of them."""
        if action == "report":
            items = [self._report(claim) for claim in claims]
        elif self._settings.clear_by == "id":
            items = [self._clear(claim, [claim.alarm.id]) for claim in claims]
        else:
            items = []
            async for found in self._look_up(claims, deadline):
                if isinstance(found, _Item):
                    items.append(found)
                else:
                    yield [found]
        for batch in self._batches(items):
            async for verdicts in self._push(batch, action, deadline):
                yield verdicts

    async def _push(self, items: list[_Item], action: Action, deadline: Millis) -> AsyncIterator[list[Verdict]]:
        outcome = await self._push_once(items, action, deadline)
        if outcome.bad_events and len(items) > 1:
            middle = (len(items) + 1) // 2
            for half in (items[:middle], items[middle:]):
                async for verdicts in self._push(half, action, deadline):
                    yield verdicts
        else:
            yield [self._verdict(item, outcome) for item in items]

    async def _push_once(self, items: list[_Item], action: Action, deadline: Millis) -> Outcome:
        entries = [entry for item in items for entry in item.entries]
        begun = self._clock()
        outcome = await self._client.push(entries, action, deadline)
        self._metrics.push_duration.observe((self._clock() - begun) / 1000)
        self._metrics.batch_events.observe(len(entries))
        self._metrics.pushes.labels(self.target, action, outcome.reason).inc()
        return outcome

    @staticmethod
    def _verdict(item: _Item, outcome: Outcome) -> Verdict:
        if outcome.accepted:
            return Verdict(item.claim, "gone" if item.is_guess else "accepted", outcome)
        if outcome.bad_events:
            return Verdict(item.claim, "gone" if item.is_guess else "refused", outcome)
        return Verdict(item.claim, "later", outcome)

    def _report(self, claim: Claim) -> _Item:
        alarm = claim.alarm
        entry = event.report(claim.event, alarm_id=alarm.id, starts_at=alarm.fired_at, now=self._clock())
        return _Item(claim, (self._client.encode(entry),))

    def _clear(self, claim: Claim, aom_ids: Sequence[str], *, is_guess: bool = False) -> _Item:
        alarm, now = claim.alarm, self._clock()
        ends_at = now if alarm.ends_at is None else alarm.ends_at
        entries = [
            event.clear(claim.event, aom_id=aom_id, starts_at=alarm.fired_at, ends_at=ends_at, now=now)
            for aom_id in aom_ids
        ]
        return _Item(claim, tuple(self._client.encode(entry) for entry in entries), is_guess)

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

    async def _look_up(self, claims: Sequence[Claim], deadline: Millis) -> AsyncIterator[_Item | Verdict]:
        by_source: dict[str, list[Claim]] = {}
        for claim in claims:
            by_source.setdefault(claim.alarm.source, []).append(claim)
        for some in by_source.values():
            for group in [[claim] for claim in some] if self._alone else [some]:
                async for found in self._look_up_group(group, deadline):
                    yield found

    async def _look_up_group(self, claims: Sequence[Claim], deadline: Millis) -> AsyncIterator[_Item | Verdict]:
        outcome, hits = await self._find(claims, deadline)
        missing = []
        for claim in claims:
            ids = _matches(claim, hits)
            if ids:
                yield self._clear(claim, ids)
            elif not outcome.accepted:
                yield Verdict(claim, "later", outcome)
            else:
                missing.append(claim)
        async for found in self._missing(missing, deadline, asked=len(claims)):
            yield found

    async def _missing(
        self, claims: Sequence[Claim], deadline: Millis, *, asked: int
    ) -> AsyncIterator[_Item | Verdict]:
        """Decide about alarms that a look-up did not show.

        AOM may honour one value of a filter only: so one of them is asked for alone, and all of them once that finds
        it. And before a clear is given up, its alarm has been asked for alone.
        """
        for index, claim in enumerate(claims):
            outcome, ids = Outcome("accepted"), list[str]()
            given_up = self._waited_enough(claim)
            if asked > 1 and (index == 0 or given_up or self._alone):
                outcome, hits = await self._find([claim], deadline)
                ids = _matches(claim, hits)
                self._alone = self._alone or bool(ids)
            if ids:
                yield self._clear(claim, ids)
            elif not outcome.accepted:
                yield Verdict(claim, "later", outcome)
            elif given_up:
                yield self._clear(claim, [claim.alarm.id], is_guess=True)
            else:
                yield Verdict(claim, "not_listed", outcome)

    def _waited_enough(self, claim: Claim) -> bool:
        """Say whether "not listed" may be believed: after `lookup_wait`, or once the alert's next alarm waits."""
        if claim.has_successor:
            return True
        since = claim.alarm.resolved_at if claim.alarm.due_since is None else claim.alarm.due_since
        return since is None or self._clock() - since >= self._settings.lookup_wait

    async def _find(self, claims: Sequence[Claim], deadline: Millis) -> tuple[Outcome, list[Found]]:
        now = self._clock()
        query = Query(
            source=claims[0].alarm.source,
            fingerprints=tuple(sorted({claim.alarm.fingerprint for claim in claims})),
            since=max(0, min(_since(claim, now) for claim in claims)),
            until=now,
        )
        outcome, hits = await self._client.find(query, deadline)
        self._metrics.lookups.labels(self.target, outcome.reason).inc()
        if outcome.accepted:
            return outcome, hits
        return msgspec.structs.replace(outcome, message=f"the look-up before a clear: {outcome.message}"), hits


def _since(claim: Claim, now: Millis) -> Millis:
    alarm = claim.alarm
    reported = alarm.first_reported_at
    horizon = now - ORPHAN_RANGE if reported is None else reported - _LOOKUP_MARGIN
    return min(alarm.earliest_at - _LOOKUP_MARGIN, horizon)


def _matches(claim: Claim, hits: Sequence[Found]) -> list[str]:
    """Return AOM's ids of what this clear is for: alarms of its alert that began before it ended."""
    alarm = claim.alarm
    ended = alarm.newest_fired_at if alarm.ends_at is None else alarm.ends_at
    last_start = ended if alarm.first_reported_at is None else max(ended, alarm.newest_fired_at)
    return [hit.id for hit in hits if hit.fingerprint == alarm.fingerprint and hit.starts_at <= last_start and hit.id]
