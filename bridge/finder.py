"""Finds the ids under which AOM holds alarms that are to be cleared.

In: claims of clears. Out: for each either a `Sighting`, the ids to clear, or a `Verdict` where nothing is to be pushed.
It reads AOM's lists and nothing else; what is sent, and when it is tried again, is decided elsewhere. A list may lag,
may honour one value of a filter only, and may be that of another enterprise project: "not found" is believed only after
everything that could make it untrue. Facts: AOM API reference, "Querying Events and Alarms".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec

from bridge.aom import AomClient, Found, ListKind, Outcome, Query
from bridge.clock import DAY, HOUR, Clock, Millis
from bridge.ledger import Claim, rules
from bridge.metrics import Metrics
from bridge.verdict import Verdict

ORPHAN_RANGE: Millis = 16 * DAY
"""How far back AOM may hold an alarm that we never saw fire: its longest timeout and a day."""

_LOOKUP_MARGIN: Millis = HOUR

_BLIND = (
    "AOM has accepted this alarm, yet its lists show it neither open nor cleared, nor anything else of ours; a clear"
    " would be a silent no-op. Fix: enterprise_project_id, project_id and endpoint must be those of the alarms, and the"
    " user must have the IAM action aom:alarm:list; aom-bridge send-test tells which it is"
)


class Sighting(msgspec.Struct, frozen=True):
    """What is to be cleared for one claim.

    ``is_guess``: nobody showed the id, it is our own. ``is_sure``: it is this alarm, not an earlier one's stale entry.
    """

    claim: Claim
    aom_ids: tuple[str, ...]
    is_guess: bool = False
    is_sure: bool = True


class Finder:
    """Looks up for one target.

    Args:
        target: its name.
        client: its client, started.
        lookup_wait: for how long "not found" is a lag.
        metrics: where look-ups are counted.
        clock: the time.
    """

    def __init__(self, target: str, client: AomClient, lookup_wait: Millis, *, metrics: Metrics, clock: Clock) -> None:
        self._target = target
        self._client = client
        self._lookup_wait = lookup_wait
        self._metrics = metrics
        self._clock = clock
        self._alone = False
        self._sees = False

    async def find(self, claims: Sequence[Claim], deadline: Millis) -> AsyncIterator[Sighting | Verdict]:
        """Look these claims up; yields one decision for each."""
        by_source: dict[str, list[Claim]] = {}
        for claim in claims:
            by_source.setdefault(claim.alarm.source, []).append(claim)
        for some in by_source.values():
            for group in [[claim] for claim in some] if self._alone else [some]:
                async for found in self._look_up_group(group, deadline):
                    yield found

    async def duplicates(self, claims: Sequence[Claim], deadline: Millis) -> tuple[Outcome, list[Sighting]]:
        """Look for what AOM holds open beside alarms that fire: earlier ones of their alerts, which a clear has missed.

        Returns:
            What came of the look-ups, and for each claim with such alarms their ids.
        """
        found = []
        for claim in claims:
            outcome, hits = await self._find([claim], deadline)
            if not outcome.accepted:
                return outcome, []
            earlier = _earlier(claim, hits)
            if earlier:
                found.append(Sighting(claim, tuple(hit.id for hit in earlier)))
        return Outcome("accepted"), found

    async def _look_up_group(self, claims: Sequence[Claim], deadline: Millis) -> AsyncIterator[Sighting | Verdict]:
        outcome, hits = await self._find(claims, deadline)
        missing = []
        for claim in claims:
            found = _matches(claim, hits)
            if not outcome.accepted:
                yield Verdict(claim, "later", outcome)  # with a page missing, the rest may show only a part
            elif found:
                yield self._sighting(claim, found)
            else:
                missing.append(claim)
        async for decided in self._missing(missing, deadline, asked=len(claims)):
            yield decided

    async def _missing(
        self, claims: Sequence[Claim], deadline: Millis, *, asked: int
    ) -> AsyncIterator[Sighting | Verdict]:
        """Decide about alarms that a look-up did not show.

        AOM may honour one value of a filter only: so one of them is asked for alone, and all of them once that finds
        it. And before a clear is given up, its alarm has been asked for alone.
        """
        absent = []
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
                yield self._sighting(claim, matches)
            elif given_up and claim.alarm.reason == rules.CONFIRMING:
                yield Verdict(claim, "accepted", outcome)
            elif given_up:
                absent.append(claim)
            else:
                yield Verdict(claim, "not_listed", outcome)
        async for decided in self._give_up(absent, deadline):
            yield decided

    async def _give_up(self, claims: Sequence[Claim], deadline: Millis) -> AsyncIterator[Sighting | Verdict]:
        """Clear by our own id what the list does not show, after a look at AOM's history.

        A list that has never shown anything of ours, open or cleared, is the wrong list.
        """
        if not claims:
            return
        outcome, _ = await self._find(claims, deadline, "history_alert")
        for claim in claims:
            if not outcome.accepted:
                yield Verdict(claim, "later", outcome)
            elif not self._sees and self._must_be_there(claim):
                yield Verdict(claim, "blind", Outcome("not_found", message=_BLIND))
            else:
                yield Sighting(claim, (claim.alarm.id,), is_guess=True)

    def _must_be_there(self, claim: Claim) -> bool:
        """Say whether AOM should show the alarm somewhere; where the next one waits, it is not held up by that."""
        told_at = claim.alarm.reported_at
        return told_at is not None and not claim.has_successor and self._clock() < told_at + claim.alarm.timeout

    def _sighting(self, claim: Claim, matches: Sequence[Found]) -> Sighting:
        return Sighting(claim, tuple(match.id for match in matches), is_sure=self._is_sure(claim, matches))

    def _is_sure(self, claim: Claim, matches: Sequence[Found]) -> bool:
        """Say whether this alarm itself is among what the list shows.

        A list that lags may still show an earlier alarm of the alert, cleared since, and not yet this one; and a push
        of unknown outcome may reach AOM late. Both are over after `lookup_wait`; until then only an entry with the
        start that we reported is believed, and a successor that waits: its own clear will take every match.
        """
        alarm = claim.alarm
        if claim.has_successor or self._clock() - _told_at(claim) >= self._lookup_wait:
            return True
        starts = (alarm.earliest_at, alarm.fired_at)
        return alarm.doubt_at is None and any(match.starts_at in starts for match in matches)

    def _waited_enough(self, claim: Claim) -> bool:
        """Say whether "not listed" may be believed: after `lookup_wait`, or once the alert's next alarm waits."""
        since = max(_told_at(claim), claim.alarm.due_since or 0)
        return claim.has_successor or self._clock() - since >= self._lookup_wait

    async def _find(
        self, claims: Sequence[Claim], deadline: Millis, kind: ListKind = "active_alert"
    ) -> tuple[Outcome, list[Found]]:
        now = self._clock()
        query = Query(
            source=claims[0].alarm.source,
            fingerprints=tuple(sorted({claim.alarm.fingerprint for claim in claims})),
            since=max(0, min(_since(claim, now) for claim in claims)),
            until=max(now, *(claim.alarm.newest_fired_at for claim in claims)),
        )
        outcome, hits = await self._client.find(query, deadline, kind)
        self._sees = self._sees or bool(hits)
        self._metrics.lookups.labels(self._target, outcome.reason).inc()
        if outcome.accepted:
            return outcome, hits
        return msgspec.structs.replace(outcome, message=f"the look-up before a clear: {outcome.message}"), hits


def _told_at(claim: Claim) -> Millis:
    """Return when AOM was last told of the alarm, or may have been; 0 for an orphan."""
    return max(claim.alarm.reported_at or 0, claim.alarm.doubt_at or 0)


def _since(claim: Claim, now: Millis) -> Millis:
    """Return where a look-up begins: AOM may have merged our report into an alarm that it has held for long."""
    return min(claim.alarm.earliest_at - _LOOKUP_MARGIN, now - ORPHAN_RANGE)


def _earlier(claim: Claim, hits: Sequence[Found]) -> list[Found]:
    """Return AOM's alarms that began before this one; none unless AOM shows this one by its own start.

    Where AOM has merged our report into an alarm that it held, it shows that one's start, and it is ours.
    """
    alarm = claim.alarm
    starts = (alarm.earliest_at, alarm.fired_at)
    same = [hit for hit in hits if hit.fingerprint == alarm.fingerprint and hit.id]
    if not any(hit.starts_at in starts for hit in same):
        return []
    return [hit for hit in same if hit.starts_at < min(starts)]


def _matches(claim: Claim, hits: Sequence[Found]) -> list[Found]:
    """Return what this clear is for: AOM's alarms of its alert that began before it ended."""
    alarm = claim.alarm
    ended = alarm.newest_fired_at if alarm.ends_at is None else alarm.ends_at
    last_start = ended if alarm.first_reported_at is None else max(ended, alarm.newest_fired_at)
    return [hit for hit in hits if hit.fingerprint == alarm.fingerprint and hit.starts_at <= last_start and hit.id]
