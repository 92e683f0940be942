"""Finds the ids under which AOM holds alarms that are to be cleared.

In: claims of clears. Out: for each either a `ListedMatches`, the ids to clear, or a `DeliveryResult` if nothing is to
be pushed. It reads AOM's lists and nothing else; what is sent, and when it is tried again, is decided elsewhere. A
list may lag, may honour one value of a filter only, may be cut off or empty for a while, and may be that of another
enterprise project: "not found" is believed only after everything that could make it untrue. And what a list shows may
be an earlier alarm of the alert, cleared since: neither a start nor an id that was named before proves that it is this
one. Facts: AOM API reference, "Querying Events and Alarms".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence

import msgspec

from bridge.aom import AomClient, ListedAlarm, Listing, ListKind, Outcome, Query
from bridge.clock import DAY, HOUR, Clock, Millis
from bridge.delivery.result import DeliveryResult, ResultKind
from bridge.ledger import Alarm, Claim, unpack_ids, unpack_starts
from bridge.metrics import Metrics

ORPHAN_RANGE: Millis = 16 * DAY
"""How far back AOM may hold an alarm whose firing never reached the bridge: the longest timeout and a day."""

_LOOKUP_MARGIN: Millis = HOUR
_SEARCH_AHEAD: Millis = DAY
"""A look-up asks for this much beyond the present time, since our clock may be behind; AOM cuts the range itself."""

_EMPTY = 4
"""How long a list may be empty although AOM holds an alarm that it has accepted, as a multiple of `lookup_wait`."""

_BLIND = (
    "AOM has accepted this alarm, yet its lists show it neither open nor cleared, nor any other alarm of this bridge; a"
    " clear would be a silent no-op. Fix: enterprise_project_id, project_id and endpoint must be those of the alarms,"
    " and the user must have the IAM action aom:alarm:list; aom-bridge send-test shows which it is"
)
_UNSEEN = (
    "AOM has accepted this alarm, yet its lists show it neither open nor cleared, though they show others; its clear is"
    " tried again until they do, or the alarm's timeout is over. Fix: look for it in AOM's console; if it is not there:"
    " aom-bridge alarms discard ID"
)
_WITHOUT_ID = "AOM's list shows this alarm without an id, and so it cannot be cleared; it is looked up again"
_CUT_OFF = "AOM's list was cut off before its end, and says nothing about what it did not show"


class ListedMatches(msgspec.Struct, frozen=True):
    """What is to be cleared for one claim.

    ``is_guess``: no list showed the id, it is our own. ``doubt_at``: since when it is in doubt whether AOM will hold
    the alarm after this clear all the same; None: what is cleared is this alarm.
    """

    claim: Claim
    aom_ids: tuple[str, ...]
    is_guess: bool = False
    doubt_at: Millis | None = None


class IdLookup:
    """Looks up AOM's ids for one target.

    Args:
        target: its name.
        client: its client, started.
        lookup_wait: for how long AOM's list may lag, and AOM may still apply a report in doubt.
        metrics: where look-ups are counted.
        clock: the time.
    """

    def __init__(self, target: str, client: AomClient, lookup_wait: Millis, *, metrics: Metrics, clock: Clock) -> None:
        self._target = target
        self._client = client
        self._lookup_wait = lookup_wait
        self._metrics = metrics
        self._clock = clock
        self._one_by_one = False
        self._list_is_plausible = False

    async def find(self, claims: Sequence[Claim], deadline: Millis) -> AsyncIterator[ListedMatches | DeliveryResult]:
        """Look these claims up; yields one decision for each."""
        by_source: dict[str, list[Claim]] = {}
        for claim in claims:
            by_source.setdefault(claim.alarm.source, []).append(claim)
        for source_claims in by_source.values():
            for group in [[claim] for claim in source_claims] if self._one_by_one else [source_claims]:
                async for found in self._look_up_group(group, deadline):
                    yield found

    async def duplicates(self, claim: Claim, deadline: Millis) -> tuple[Outcome, ListedMatches | None]:
        """Look for what AOM holds open of an alert that fires, beside the one alarm that it should hold.

        Returns:
            The outcome of the look-up, and the ids to clear; None where the list shows not even that one.
        """
        listing = await self._search([claim], deadline)
        same = [listed for listed in listing.alarms if listed.fingerprint == claim.alarm.fingerprint]
        if not (listing.outcome.accepted and listing.is_complete):
            return _undecided(listing), None
        return listing.outcome, ListedMatches(claim, _duplicate_ids(claim.alarm, same)) if same else None

    def doubt_left(self, claim: Claim, matches: Iterable[ListedAlarm] = ()) -> Millis | None:
        """Return since when it is in doubt, after a clear of these, whether AOM will hold the alarm all the same.

        A list that lags may show an earlier alarm of the alert, cleared since, and not yet this one; and a report of
        unknown outcome may reach AOM late. Both are over after `lookup_wait`; until then only an entry with a start
        that we reported, and an id that no clear before has named, is believed. Where AOM has accepted a clear of this
        alarm before, the doubt that this has left is the alarm's own.
        """
        alarm, now = claim.alarm, self._clock()
        is_listed = alarm.phase == "confirming" or any(_is_own(alarm, listed) for listed in matches)
        left = [alarm.doubt_at] if _is_since(alarm.doubt_at, now, self._lookup_wait) else []
        if _is_since(alarm.reported_at, now, self._lookup_wait) and not is_listed:
            left.append(alarm.reported_at)
        return max((at for at in left if at is not None), default=None)

    async def _look_up_group(
        self, claims: Sequence[Claim], deadline: Millis
    ) -> AsyncIterator[ListedMatches | DeliveryResult]:
        listing = await self._search(claims, deadline)
        missing = []
        for claim in claims:
            matches = _matches(claim, listing.alarms)
            if not listing.outcome.accepted:
                yield DeliveryResult(claim, "later", listing.outcome)  # an incomplete list proves nothing about absence
            elif matches and (listing.is_complete or claim.has_successor):
                yield self._listed(claim, matches, is_complete=listing.is_complete)
            else:
                missing.append(claim)
        async for decided in self._missing(missing, deadline, listing, asked=len(claims)):
            yield decided

    async def _missing(
        self, claims: Sequence[Claim], deadline: Millis, listing: Listing, *, asked: int
    ) -> AsyncIterator[ListedMatches | DeliveryResult]:
        """Decide about alarms that a look-up did not show.

        AOM may honour one value of a filter only: so one of them is asked for alone, and all of them once that finds
        it. And before a clear is given up, its alarm has been asked for alone.
        """
        absent = []
        for index, claim in enumerate(claims):
            if asked > 1 and (index == 0 or self._has_waited(claim) or self._one_by_one or not listing.is_complete):
                alone = await self._search([claim], deadline)
            else:
                alone = msgspec.structs.replace(listing, alarms=[])
            matches = _matches(claim, alone.alarms)
            self._one_by_one = self._one_by_one or (bool(matches) and listing.is_complete)
            if not alone.outcome.accepted:
                yield DeliveryResult(claim, "later", alone.outcome)
            elif matches and (alone.is_complete or claim.has_successor):
                yield self._listed(claim, matches, is_complete=alone.is_complete)
            elif not alone.is_complete and not claim.has_successor:
                yield DeliveryResult(claim, "later", _undecided(alone))
            elif claim.alarm.phase == "confirming":
                yield self._confirmed(claim, alone.outcome)
            elif not self._has_waited(claim):
                yield DeliveryResult(claim, "not_listed", alone.outcome)
            else:
                absent.append(claim)
        async for decided in self._absent(absent, deadline):
            yield decided

    async def _absent(self, claims: Sequence[Claim], deadline: Millis) -> AsyncIterator[ListedMatches | DeliveryResult]:
        """Clear by our own id what the list does not show; what AOM must hold, only once its history shows the end."""
        expected = [claim for claim in claims if self._must_be_listed(claim)]
        for claim in claims:
            if claim not in expected:
                yield self._guess(claim)
        together = await self._search(expected, deadline, "history_alert") if expected else None
        for claim in expected:
            history = together
            if history is None or (len(expected) > 1 and not _shows_end(claim, history.alarms)):
                history = await self._search([claim], deadline, "history_alert")
            yield self._by_history(claim, history)

    def _by_history(self, claim: Claim, history: Listing) -> ListedMatches | DeliveryResult:
        """Decide about an alarm that AOM has accepted and does not show as open."""
        if _shows_end(claim, history.alarms):
            return self._guess(claim)
        if not (history.outcome.accepted and history.is_complete):
            return DeliveryResult(claim, "later", _undecided(history))
        if self._list_is_plausible:
            return DeliveryResult(claim, "unseen", Outcome("not_found", message=_UNSEEN))
        return DeliveryResult(claim, "blind", Outcome("not_found", message=_BLIND))

    def _confirmed(self, claim: Claim, outcome: Outcome) -> DeliveryResult:
        """Decide about an alarm whose clear AOM has accepted, and that its list does not show.

        What AOM has accepted, and its list has never shown, is waited for longer: an empty list may be wrong.
        """
        alarm = claim.alarm
        doubt_at = self.doubt_left(claim)
        if alarm.doubt_at == alarm.reported_at and _is_since(alarm.doubt_at, self._clock(), _EMPTY * self._lookup_wait):
            doubt_at = alarm.doubt_at
        kind: ResultKind = "accepted" if doubt_at is None or claim.has_successor else "confirm"
        return DeliveryResult(claim, kind, outcome, doubt_at=doubt_at)

    def _guess(self, claim: Claim) -> ListedMatches:
        """Return our own id; where the next alarm waits, whether AOM holds this one is not known, however long ago."""
        alarm = claim.alarm
        reported_at = max(alarm.reported_at or 0, alarm.doubt_at or 0) or None
        doubt_at = reported_at if claim.has_successor else self.doubt_left(claim)
        return ListedMatches(claim, (alarm.id,), is_guess=True, doubt_at=doubt_at)

    def _must_be_listed(self, claim: Claim) -> bool:
        """Say whether AOM should show the alarm somewhere; where the next one waits, it is not held up by that."""
        reported_at = claim.alarm.reported_at
        return reported_at is not None and not claim.has_successor and self._clock() < reported_at + claim.alarm.timeout

    def _listed(
        self, claim: Claim, matches: Sequence[ListedAlarm], *, is_complete: bool
    ) -> ListedMatches | DeliveryResult:
        ids = tuple(match.id for match in matches if match.id)
        if len(ids) < len(matches) and not claim.has_successor:
            return DeliveryResult(claim, "unseen", Outcome("not_found", message=_WITHOUT_ID))
        if not ids:
            return self._guess(claim)
        doubt_at = self.doubt_left(claim, matches) if is_complete else self._guess(claim).doubt_at
        return ListedMatches(claim, ids, doubt_at=doubt_at)

    def _has_waited(self, claim: Claim) -> bool:
        """Say whether "not listed" may be believed: after `lookup_wait`, or once the alert's next alarm waits."""
        alarm = claim.alarm
        since = max(alarm.reported_at or 0, alarm.doubt_at or 0, alarm.due_since or 0)
        return claim.has_successor or self._clock() - since >= self._lookup_wait

    async def _search(self, claims: Sequence[Claim], deadline: Millis, kind: ListKind = "active_alert") -> Listing:
        now = self._clock()
        query = Query(
            source=claims[0].alarm.source,
            fingerprints=tuple(sorted({claim.alarm.fingerprint for claim in claims})),
            since=max(0, min(_search_begin(claim.alarm, now) for claim in claims)),
            until=now + _SEARCH_AHEAD,
        )
        listing = await self._client.find(query, deadline, kind)
        self._list_is_plausible = self._list_is_plausible or bool(listing.alarms)
        self._metrics.lookups.labels(self._target, listing.outcome.reason).inc()
        if listing.outcome.accepted:
            return listing
        message = f"the look-up before a clear: {listing.outcome.message}"
        outcome = msgspec.structs.replace(listing.outcome, message=message)
        return msgspec.structs.replace(listing, outcome=outcome)


def _undecided(listing: Listing) -> Outcome:
    if not listing.outcome.accepted:
        return listing.outcome
    return Outcome("unavailable", status=listing.outcome.status, message=_CUT_OFF)


def _is_since(at: Millis | None, now: Millis, wait: Millis) -> bool:
    return at is not None and now - at < wait


def _sent_starts(alarm: Alarm) -> tuple[Millis | None, ...]:
    """Return the starts under which AOM may show the alarm; of one from an earlier version, those of its firings."""
    if alarm.sent_start is None:
        return alarm.earliest_at, alarm.fired_at
    return alarm.first_sent_start, alarm.sent_start


def _is_own(alarm: Alarm, listed: ListedAlarm) -> bool:
    """Say whether an entry of AOM's list can only be this alarm's: by our id, where AOM keeps it, or by a start."""
    if listed.id == alarm.id:
        return True
    is_alike = listed.starts_at in _sent_starts(alarm) and listed.id not in unpack_ids(alarm.earlier_ids)
    # Where an earlier alarm was perhaps missed, its id was never seen: there a start is none of this alarm alone.
    return is_alike and (alarm.doubt_at is None or listed.starts_at not in unpack_starts(alarm.earlier_starts))


def _search_begin(alarm: Alarm, now: Millis) -> Millis:
    """Return where a look-up begins: AOM may have merged our report into an alarm that it has held for long."""
    first = alarm.earliest_at if alarm.first_sent_start is None else min(alarm.earliest_at, alarm.first_sent_start)
    return min(first - _LOOKUP_MARGIN, now - ORPHAN_RANGE)


def _duplicate_ids(alarm: Alarm, same: Sequence[ListedAlarm]) -> tuple[str, ...]:
    """Return the ids of all but one of what AOM holds open of an alert that fires; the alarm's own stays."""
    last_is_own = sorted(
        same, key=lambda listed: (listed.id == alarm.id, _is_own(alarm, listed), listed.starts_at, listed.arrives_at)
    )
    return tuple(listed.id for listed in last_is_own[:-1] if listed.id)


def _shows_end(claim: Claim, history: Sequence[ListedAlarm]) -> bool:
    """Say whether AOM's history shows the end of this alarm, and not only that of an earlier one of its alert."""
    alarm = claim.alarm
    earlier = unpack_ids(alarm.earlier_ids)
    ends = [
        listed.ends_at for listed in history if listed.fingerprint == alarm.fingerprint and listed.id not in earlier
    ]
    return any(end >= min(alarm.received_at, alarm.ends_at or alarm.received_at) for end in ends)


def _matches(claim: Claim, listed_alarms: Sequence[ListedAlarm]) -> list[ListedAlarm]:
    """Return what this clear is for: AOM's alarms of its alert that began before it ended."""
    alarm = claim.alarm
    ended = alarm.newest_fired_at if alarm.ends_at is None else alarm.ends_at
    sent = [start for start in _sent_starts(alarm) if start is not None and alarm.sent_start is not None]
    last_start = max(ended, alarm.newest_fired_at, *sent) if alarm.first_reported_at is not None else ended
    return [
        listed for listed in listed_alarms if listed.fingerprint == alarm.fingerprint and listed.starts_at <= last_start
    ]
