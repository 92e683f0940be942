"""Reads what a look at one target compares: AOM's list, the ledger's alarms, and what Alertmanager's peers show.

In: the target's client, the ledger, the settings of each source. Out: a `Look`, or the outcome that kept AOM's list
from being read. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

import msgspec

from bridge.aom import AomClient, ListedAlarm, Outcome, Query
from bridge.clock import DAY, MINUTE, Clock, Millis
from bridge.ledger import Alarm, Key, OpenAtTarget, SourceKnowledge
from bridge.reconcile import coverage
from bridge.reconcile.audit.judge import ApiView, Look
from bridge.reconcile.coverage import Coverage, Round, started_at
from bridge.reconcile.round import ask_once
from bridge.reconcile.rules import MIN_UNKNOWN_VALIDITY, VALIDITY_PART
from bridge.reconcile.settings import AlertmanagerSettings
from bridge.reconcile.tracks import sightings

RANGE: Millis = 16 * DAY
"""How far back AOM may hold an alarm: the longest timeout and a day."""

_AHEAD: Millis = DAY
"""A look asks for this much beyond the present time, since our clock may be behind; AOM cuts the range itself."""

_MAX_PAGES = 1_000
_MAX_SEARCHED = 3
DEADLINE: Millis = 10 * MINUTE
"""How long AOM's list may take: with many pages and the target's rate limit."""


class Lists(msgspec.Struct, frozen=True):
    """What AOM's list shows open of some sources; ``outcome``: of the request that failed, or of the last one."""

    outcome: Outcome
    entries: Mapping[Key, list[ListedAlarm]]
    is_complete: bool


class AuditedLedger(Protocol):
    """The alarms that a look compares; as `bridge.ledger.Audits`."""

    async def open_at(self, target: str, /) -> list[OpenAtTarget]:
        """Return the open alarms of a target that AOM should hold."""

    async def newest(self, keys: Collection[Key], /) -> dict[Key, Alarm]:
        """Return the newest alarm of each of these alerts."""

    async def created_at(self) -> Millis:
        """Return since when the ledger knows of alarms."""


class KnownSources(Protocol):
    """What is known of sources; as `bridge.ledger.OpenAlarms`."""

    async def source_knowledge(self, source: str, /) -> SourceKnowledge:
        """Return what is known of a source."""


class Looking:
    """Looks at one target.

    Args:
        target: its name.
        audits: the ledger's alarms.
        open_alarms: tells what is known of sources.
        clock: the time.
    """

    def __init__(self, target: str, audits: AuditedLedger, open_alarms: KnownSources, clock: Clock) -> None:
        self._target = target
        self._audits = audits
        self._open_alarms = open_alarms
        self._clock = clock
        self._coverage: dict[str, Coverage] = {}
        self._is_plausible = False

    async def count(self, client: AomClient, sources: Collection[str]) -> tuple[Outcome, int]:
        """Return how many alarms AOM holds open of these sources."""
        outcome, total = Outcome("accepted"), 0
        for source in sources:
            outcome, count = await client.count(self._query(source), self._clock() + DEADLINE)
            if not outcome.accepted:
                return outcome, 0
            total += count
        self._is_plausible = self._is_plausible or total > 0
        return outcome, total

    async def expected(self) -> int:
        """Return how many alarms AOM should hold open."""
        return sum(one.reported_at is not None for one in await self._audits.open_at(self._target))

    async def lists(self, client: AomClient, sources: Collection[str], *, with_metadata: bool) -> Lists:
        """Read AOM's list of these sources."""
        found: dict[Key, dict[tuple[str, Millis], ListedAlarm]] = {}
        outcome, is_complete = Outcome("accepted"), True
        for source in sources:
            query = self._query(source, with_metadata=with_metadata)
            listing = await client.find(query, self._clock() + DEADLINE, max_pages=_MAX_PAGES)
            for one in listing.alarms:  # a page that has shifted shows some entries once more
                found.setdefault((one.source, one.fingerprint), {})[one.id, one.starts_at] = one
            outcome, is_complete = listing.outcome, is_complete and listing.is_complete
            if not outcome.accepted:
                break
        self._is_plausible = self._is_plausible or bool(found)
        if outcome.accepted and not self._is_plausible:
            await self._search_history(client)
        return Lists(outcome, {key: list(entries.values()) for key, entries in found.items()}, is_complete)

    async def _search_history(self, client: AomClient) -> None:
        """See whether AOM's history shows an alarm that its list of open ones does not: then it is the right list."""
        for one in (await self._audits.open_at(self._target))[:_MAX_SEARCHED]:
            query = self._query(one.source, one.fingerprint)
            history = await client.find(query, self._clock() + DEADLINE, "history_alert")
            self._is_plausible = self._is_plausible or bool(history.alarms)

    async def is_shown(self, client: AomClient, key: Key) -> bool | None:
        """Say whether AOM's list shows an alert's alarm when it is asked for alone; None: it is not known."""
        source, fingerprint = key
        listing = await client.find(self._query(source, fingerprint), self._clock() + DEADLINE)
        return bool(listing.alarms) if listing.outcome.accepted and listing.is_complete else None

    async def look(self, lists: Lists, alertmanagers: Mapping[str, AlertmanagerSettings]) -> Look:
        """Compare lists with the ledger; the peers of a source are asked only where something differs."""
        open_alarms = {one.key: one for one in await self._audits.open_at(self._target)}
        newest = await self._audits.newest(lists.entries.keys() - open_alarms.keys())
        differing = {source for source, _ in lists.entries.keys() ^ open_alarms.keys()}
        api = {name: await self._view(name, one) for name, one in alertmanagers.items() if name in differing}
        return Look(
            at=self._clock(),
            target=self._target,
            entries=lists.entries,
            is_complete=lists.is_complete,
            is_plausible=self._is_plausible,
            open_alarms=open_alarms,
            newest=newest,
            api=api,
            created_at=await self._audits.created_at(),
        )

    async def _view(self, source: str, settings: AlertmanagerSettings) -> ApiView:
        latest = await ask_once(settings, self._clock)
        covered = coverage.after(self._coverage.get(source, Coverage()), latest)
        self._coverage[source] = covered
        known = await self._open_alarms.source_knowledge(source)
        longest = max(known.longest_validity or 0, MIN_UNKNOWN_VALIDITY)
        return view(latest, covered, max(settings.settle, int(VALIDITY_PART * longest)))

    def _query(self, source: str, *fingerprints: str, with_metadata: bool = False) -> Query:
        now = self._clock()
        return Query(source, fingerprints, max(0, now - RANGE), now + _AHEAD, with_metadata)


def view(latest: Round, covered: Coverage, wait: Millis) -> ApiView:
    """Return what a round shows; ``wait``: after which the absence of an alert counts."""
    shown = sightings(latest.answers)
    starts = [latest.ended_at if one.status is None else started_at(covered, one) for one in latest.answers]
    return ApiView(
        shown={name: one.newest for name, one in shown.items()},
        active=frozenset(
            name for name, one in shown.items() if not any(alert.is_suppressed for _, alert in one.listed)
        ),
        is_complete=covered.since is not None,
        last_start=max(starts, default=latest.ended_at),
        is_settled=covered.lasts(wait, latest.ended_at),
    )
