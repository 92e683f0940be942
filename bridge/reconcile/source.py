"""Holds one source in step: a round every interval, and what follows from it, put into the ledger.

In: the settings of a source, the ledger's open alarms. Out: alarms that are ended or raised, metrics, log lines. Of
several bridges on one ledger one leads; the others wait for its lease to end. A change is decided by
`bridge.reconcile.rules` and applied by the ledger only to the alarm for which it was decided.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial

import msgspec
from msgspec.structs import replace

from bridge.clock import SECOND, Clock, Millis, format_duration
from bridge.errors import LedgerUnavailableError
from bridge.ledger import HeldAlarm, Knowledge, ListedDifference, OpenAlarms, SourceKnowledge
from bridge.log import ThrottledLine, logger
from bridge.metrics import Metrics
from bridge.reconcile.changes import SourceChanges, needs_repeat
from bridge.reconcile.comparison import Comparison, Memory, compare
from bridge.reconcile.heartbeats import HeartbeatWatch
from bridge.reconcile.peer import Wanted
from bridge.reconcile.round import Peers
from bridge.reconcile.rules import Difference
from bridge.reconcile.seen import SourceSeen
from bridge.reconcile.settings import AlertmanagerSettings
from bridge.reconcile.telling import Telling
from bridge.reconcile.tracks import expected_ends

_MAX_PART = 0.1
"""Rounds take at most this part of the time: those of many alerts are made less often."""

_LEASES = 3
"""The lead lasts for this number of pauses without a round."""

_MIN_LEASE: Millis = 15 * SECOND

_log = logger("reconcile")


class Holds(msgspec.Struct, frozen=True):
    """What holds back changes.

    ``watch``: takes the signs of heartbeats, and tells which clears wait for one. ``may_raise``: says whether alerts
    may be raised that only the API shows.
    """

    watch: HeartbeatWatch
    may_raise: Callable[[], Awaitable[bool]]


class SourceInStep:
    """One source and its Alertmanager.

    Args:
        source: its name.
        settings: of its Alertmanager.
        ledger: the open alarms.
        metrics: where rounds and differences are counted.
        clock: the time.
        holder: the name of this bridge among those on the same ledger.
        holds: what holds back changes.
        alarm_timeout: the shortest of all targets.

    Attributes:
        seen: what the last round has shown, for people.
    """

    def __init__(
        self,
        source: str,
        settings: AlertmanagerSettings,
        ledger: OpenAlarms,
        *,
        metrics: Metrics,
        clock: Clock,
        holder: str,
        holds: Holds,
        alarm_timeout: Millis,
    ) -> None:
        self.seen = SourceSeen()
        self._may_raise = holds.may_raise
        self._source = source
        self._settings = settings
        self._ledger = ledger
        self._metrics = metrics
        self._clock = clock
        self._holder = holder
        self._watch = holds.watch
        self._telling = Telling(source, metrics)
        self._alarm_timeout = alarm_timeout
        self._peers = Peers(settings, clock)
        self._changes = SourceChanges(
            source, settings, ledger, self._peers, metrics=metrics, clock=clock, holder=holder
        )
        self._memory = Memory()
        self._knowledge: dict[str, Knowledge] | None = None
        self._muting_of: frozenset[str] = frozenset()
        self._led_at = 0.0
        self._covered_at: Millis | None = None
        self._pause = settings.interval
        self._task: asyncio.Task[None] | None = None
        self._unavailable = ThrottledLine(partial(_log.error, "the ledger cannot be compared with Alertmanager"))

    async def start(self) -> None:
        """Begin the rounds."""
        await self._peers.start()
        self._task = asyncio.create_task(self._run(), name=f"reconcile-{self._source}")

    async def stop(self) -> None:
        """End the rounds, and give up the lead."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            with contextlib.suppress(LedgerUnavailableError):  # then the lease ends by itself
                await self._ledger.give_up(self._source, self._holder)
        await self._peers.stop()

    def reconfigure(self, alarm_timeout: Millis) -> None:
        """Map again what the rules have dropped, and judge by another timeout."""
        self._alarm_timeout = alarm_timeout
        self._changes.rules_changed()

    async def _run(self) -> None:
        while True:
            try:
                if await self._leads():
                    await self._timed_round()
            except LedgerUnavailableError as error:
                self._unavailable.add(source=self._source, error=str(error))
            except Exception:  # noqa: BLE001 - whatever it was, the next round may do better
                _log.exception("unexpected error in a round; retrying", source=self._source)
            await asyncio.sleep(self._pause / 1000)

    async def _timed_round(self) -> None:
        """Make a round, and lengthen the pause after it if it was long; waiting for silent peers does not count."""
        began = self._clock()
        comparison = await self.round()
        latest = comparison.latest
        asking = max((answer.took for answer in latest.answers), default=0)
        took = asking + max(self._clock() - began - (latest.ended_at - latest.began_at), 0)
        pause = max(self._settings.interval, int(took / _MAX_PART))
        if pause > self._settings.interval and self._pause == self._settings.interval:
            text = "rounds take long; they are made less often than the interval"
            _log.warning(text, source=self._source, took=format_duration(took), pause=format_duration(pause))
        self._pause = pause

    async def _leads(self) -> bool:
        """Take or keep the lead; what is known from before another bridge may have had it no longer counts."""
        lease, now = max(_LEASES * self._pause, _MIN_LEASE), time.monotonic()
        leads = await self._ledger.lead(self._source, self._holder, lease, self._covered_at)
        if not leads and self._led_at:
            self._metrics.clear_source(self._source)
            self.seen = SourceSeen()
        if not leads or now - self._led_at > lease / 1000:
            self._memory, self._knowledge = Memory(), None
        self._led_at = now
        return leads

    async def round(self) -> Comparison:
        """Ask every peer once, compare, and do what is due."""
        alarms = await self._ledger.held(self._source)
        knowledge, of_source = await self._known()
        held, repeats, known = await asyncio.to_thread(self._sorted, alarms)
        latest = await self._peers.ask(Wanted(known, self._muting_of))
        compared = partial(compare, self._settings, self._memory, latest, held, knowledge, of_source)
        switch_of = partial(self._watch.switch, self._source)
        comparison = await asyncio.to_thread(compared, switch_of, alarm_timeout=self._alarm_timeout)
        is_complete = comparison.memory.coverage.since is not None
        self._covered_at = latest.ended_at if is_complete else self._covered_at
        await self._watch.note(self._source, latest, comparison.signs, is_complete=is_complete)
        comparison = await self._with_holds(comparison, held)
        is_timed = any(route.is_timed for route in comparison.routes)
        self._muting_of = comparison.receivers if is_timed else frozenset()
        memory, self._memory = self._memory, comparison.memory
        await self._count_expired(expected_ends(memory.tracks, held))
        self._telling.round(comparison)
        self.seen = SourceSeen.of(comparison)
        await self._learn(comparison.learned, comparison.longest_validity)
        await self._learn(await self._changes.end(comparison, held, self._knowledge or {}))
        missing = await self._changes.raise_missing(comparison, held) if await self._may_raise() else []
        await self._store_differences(comparison, missing)
        await self._changes.repeat(comparison, {name: held[name] for name in repeats if name in comparison.shown})
        await asyncio.to_thread(self._peers.forget_all_but, comparison.shown.keys())
        return comparison

    async def _with_holds(self, comparison: Comparison, held: Mapping[str, HeldAlarm]) -> Comparison:
        """Return the comparison with those clears of absent alerts waiting that a heartbeat may explain."""
        now = comparison.latest.ended_at
        absent = [one for one in comparison.ended if one.kind == "vanished" and one.is_due(now)]
        if not absent:
            return comparison
        labels = await self._ledger.labels([held[one.fingerprint].seq for one in absent])
        waiting = {
            one.fingerprint: replace(one, due_at=None, waits_for="heartbeat")
            for one in absent
            if self._watch.holds_back(
                self._source, labels.get(one.seq or 0, {}), one.since, comparison.rules.wait(one.fingerprint)
            )
        }
        return replace(comparison, ended=[waiting.get(one.fingerprint, one) for one in comparison.ended])

    async def _count_expired(self, ends: Mapping[str, Millis]) -> None:
        """Count the resolves that Alertmanager invented: they end when the last post was no longer valid."""
        ended = await self._ledger.ended(self._source, ends.keys()) if ends else {}
        self._telling.expired(
            [
                name
                for name, alarm in ended.items()
                if alarm.ended_by is None and alarm.ends_at is not None and abs(alarm.ends_at - ends[name]) <= 1
            ]
        )

    def _sorted(self, alarms: Sequence[HeldAlarm]) -> tuple[dict[str, HeldAlarm], set[str], set[str]]:
        """Return alarms by fingerprint, which of them are put as repeats if they are listed, and which are not."""
        now = self._clock()
        held = {alarm.fingerprint: alarm for alarm in alarms}
        repeats = {name for name, alarm in held.items() if needs_repeat(alarm, now)}
        return held, repeats, held.keys() - repeats

    async def _known(self) -> tuple[dict[str, Knowledge], SourceKnowledge]:
        """Return what the ledger knows; that of alerts is read once, since only the leader changes it."""
        if self._knowledge is None:
            self._knowledge = await self._ledger.knowledge(self._source)
        return self._knowledge, await self._ledger.source_knowledge(self._source)

    async def _learn(self, learned: Mapping[str, Knowledge | None], longest_validity: Millis | None = None) -> None:
        if not learned and longest_validity is None:
            return
        await self._ledger.learn(self._source, learned, longest_validity)
        known = self._knowledge if self._knowledge is not None else {}
        for name, one in learned.items():
            if one is None:
                known.pop(name, None)
            else:
                known[name] = one

    async def _store_differences(self, comparison: Comparison, missing: Iterable[Difference]) -> None:
        """Store what differs now, for people; only what has changed since the last round is written."""
        now = {
            one.fingerprint: ListedDifference(one.kind, one.since, one.due_at, one.waits_for)
            for one in (*comparison.ended, *missing)
        }
        before = await self._ledger.differences(self._source)
        changed: dict[str, ListedDifference | None] = {
            name: one for name, one in now.items() if before.get(name) != one
        }
        changed.update(dict.fromkeys(before.keys() - now.keys()))
        if changed:
            await self._ledger.store_differences(self._source, changed)
