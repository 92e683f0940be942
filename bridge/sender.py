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
from bridge.ledger import ACTIONS, Action, Alarm, Claim, rules
from bridge.metrics import Metrics

ORPHAN_RANGE: Millis = 16 * DAY
"""How far back AOM may hold an alarm that we never saw fire: its longest timeout and a day."""

_ENVELOPE = 64
_LOOKUP_MARGIN: Millis = HOUR

_MOST_REFUSALS = 8
"""So often a clear is looked up again after AOM refused it: with the waits between, over a minute."""

_SYSTEMATIC = 20
"""So many refused alone in a row, with one code and none accepted between, are no poison but the target's fault."""

Kind = Literal["accepted", "confirm", "refused", "later", "paused", "not_listed", "gone"]


class Verdict(msgspec.Struct, frozen=True):
    """What became of one alarm.

    ``accepted``; ``confirm``: a clear was accepted, yet what it cleared may have been a stale entry of AOM's list;
    ``refused`` for good; ``later``: nothing is decided; ``paused``: the target refuses everything;
    ``not_listed``: AOM's list does not show the alarm yet, or it
    refused the id that it showed; ``gone``: AOM does not hold it any more.
    """

    claim: Claim
    kind: Kind
    outcome: Outcome


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
        self._alone = False
        self._streaks: dict[Action, _Streak] = {action: _Streak() for action in ACTIONS}

    def forgive(self, action: Action) -> list[Alarm]:
        """Return, once, the alarms that were rejected before the target turned out to refuse everything."""
        return self._streaks[action].forgive()

    async def send(self, claims: Sequence[Claim], action: Action, deadline: Millis) -> AsyncIterator[list[Verdict]]:
        """Send these claims, all of one action; yields verdicts, each claim in exactly one of them."""
        self._streaks[action].is_hopeless = False
        if action == "report":
            items = [self._report(claim) for claim in claims]
        elif self._settings.clear_by == "id":
            items = [self._clear(claim, [claim.alarm.id]) for claim in claims]
        else:
            items = []
            # Half of the time is for look-ups: what they have found must still be pushed.
            async for found in self._look_up(claims, (self._clock() + deadline) // 2):
                if isinstance(found, _Item):
                    items.append(found)
                else:
                    yield [found]
        for batch in self._batches(items):
            async for verdicts in self._push(batch, action, deadline):
                yield verdicts

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

    def _clear(self, claim: Claim, aom_ids: Sequence[str], *, is_guess: bool = False, is_sure: bool = True) -> _Item:
        alarm, now = claim.alarm, self._clock()
        ends_at = now if alarm.ends_at is None else alarm.ends_at
        entries = [
            event.clear(claim.event, aom_id=aom_id, starts_at=alarm.fired_at, ends_at=ends_at, now=now)
            for aom_id in aom_ids
        ]
        return _Item(claim, tuple(self._client.encode(entry) for entry in entries), is_guess, is_sure)

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
            found = _matches(claim, hits)
            if not outcome.accepted:
                yield Verdict(claim, "later", outcome)  # with a page missing, the rest may show only a part
            elif found:
                yield self._clear_found(claim, found)
            else:
                missing.append(claim)
        async for decided in self._missing(missing, deadline, asked=len(claims)):
            yield decided

    async def _missing(
        self, claims: Sequence[Claim], deadline: Millis, *, asked: int
    ) -> AsyncIterator[_Item | Verdict]:
        """Decide about alarms that a look-up did not show.

        AOM may honour one value of a filter only: so one of them is asked for alone, and all of them once that finds
        it. And before a clear is given up, its alarm has been asked for alone.
        """
        for index, claim in enumerate(claims):
            outcome, matches = Outcome("accepted"), list[Found]()
            given_up = self._waited_enough(claim)
            if asked > 1 and (index == 0 or given_up or self._alone):
                outcome, hits = await self._find([claim], deadline)
                matches = _matches(claim, hits)
                self._alone = self._alone or bool(matches)
            if not outcome.accepted:
                yield Verdict(claim, "later", outcome)
            elif matches:
                yield self._clear_found(claim, matches)
            elif given_up and claim.alarm.reason == rules.CONFIRMING:
                yield Verdict(claim, "accepted", outcome)
            elif given_up:
                yield self._clear(claim, [claim.alarm.id], is_guess=True)
            else:
                yield Verdict(claim, "not_listed", outcome)

    def _clear_found(self, claim: Claim, matches: Sequence[Found]) -> _Item:
        return self._clear(claim, [match.id for match in matches], is_sure=self._is_sure(claim, matches))

    def _is_sure(self, claim: Claim, matches: Sequence[Found]) -> bool:
        """Say whether this alarm itself is among what the list shows.

        A list that lags may still show an earlier alarm of the alert, cleared since, and not yet this one; and a push
        of unknown outcome may reach AOM late. Both are over after `lookup_wait`; until then only an entry with the
        start that we reported is believed, and a successor that waits: its own clear will take every match.
        """
        alarm = claim.alarm
        if claim.has_successor or self._clock() - _told_at(claim) >= self._settings.lookup_wait:
            return True
        starts = (alarm.earliest_at, alarm.fired_at)
        return alarm.doubt_at is None and any(match.starts_at in starts for match in matches)

    def _waited_enough(self, claim: Claim) -> bool:
        """Say whether "not listed" may be believed: after `lookup_wait`, or once the alert's next alarm waits."""
        since = max(_told_at(claim), claim.alarm.due_since or 0)
        return claim.has_successor or self._clock() - since >= self._settings.lookup_wait

    async def _find(self, claims: Sequence[Claim], deadline: Millis) -> tuple[Outcome, list[Found]]:
        now = self._clock()
        query = Query(
            source=claims[0].alarm.source,
            fingerprints=tuple(sorted({claim.alarm.fingerprint for claim in claims})),
            since=max(0, min(_since(claim, now) for claim in claims)),
            until=max(now, *(claim.alarm.newest_fired_at for claim in claims)),
        )
        outcome, hits = await self._client.find(query, deadline)
        self._metrics.lookups.labels(self.target, outcome.reason).inc()
        if outcome.accepted:
            return outcome, hits
        return msgspec.structs.replace(outcome, message=f"the look-up before a clear: {outcome.message}"), hits


def _told_at(claim: Claim) -> Millis:
    """Return when AOM was last told of the alarm, or may have been; 0 for an orphan."""
    return max(claim.alarm.reported_at or 0, claim.alarm.doubt_at or 0)


def _since(claim: Claim, now: Millis) -> Millis:
    """Return where a look-up begins: AOM may have merged our report into an alarm that it has held for long."""
    return min(claim.alarm.earliest_at - _LOOKUP_MARGIN, now - ORPHAN_RANGE)


def _matches(claim: Claim, hits: Sequence[Found]) -> list[Found]:
    """Return what this clear is for: AOM's alarms of its alert that began before it ended."""
    alarm = claim.alarm
    ended = alarm.newest_fired_at if alarm.ends_at is None else alarm.ends_at
    last_start = ended if alarm.first_reported_at is None else max(ended, alarm.newest_fired_at)
    return [hit for hit in hits if hit.fingerprint == alarm.fingerprint and hit.starts_at <= last_start and hit.id]
