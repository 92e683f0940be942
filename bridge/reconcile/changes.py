"""What follows from a round: alarms are ended, raised and repeated, by the ledger's own rules.

In: a `Comparison`. Out: changes that the ledger has applied, metrics, log lines. When a difference is certain is
decided by `bridge.reconcile.rules`. This module leaves out what the ledger knows better, and lets changes wait where
many are due at once. Nothing is asked of a peer but the labels of groups.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec.structs import replace

from bridge.clock import SECOND, Clock, Millis
from bridge.ledger import (
    API_ENDINGS,
    ENDINGS_BY_HAND,
    Cause,
    Effect,
    EndedAlarm,
    HeldAlarm,
    Knowledge,
    ListedChange,
    OpenAlarms,
)
from bridge.log import logger
from bridge.metrics import Metrics
from bridge.reconcile.comparison import Comparison
from bridge.reconcile.notifications import notification
from bridge.reconcile.round import Peers
from bridge.reconcile.rules import CHANGES, Brake, Change, Difference, braked
from bridge.reconcile.settings import AlertmanagerSettings

_MAX_CHANGES_AT_ONCE = 500
_MIN_AGE: Millis = 5 * SECOND
"""For at least this long after its answers a round's changes may be applied, however short the interval is."""

_PART_OF_TIMEOUT = 2
"""A listed alarm is put as a repeat when AOM's last acceptance is older than its timeout divided by this."""

_RAISED: Mapping[Cause | None, str] = {
    "missing": "alarm raised: Alertmanager shows its alert, and no webhook told of it",
    "remapped": "alarm raised: Alertmanager shows its alert, and the rules no longer drop it",
}

_log = logger("reconcile")


def is_settled(alarm: EndedAlarm, updated_at: Millis) -> bool:
    """Say whether the end of an alert's last alarm says more than a list that shows the alert.

    Args:
        alarm: the newest alarm of the alert.
        updated_at: when the alert was posted last.
    """
    if alarm.ended_by is not None:
        return alarm.ended_by in ENDINGS_BY_HAND
    return alarm.ends_at is not None and alarm.ends_at > updated_at


def needs_repeat(alarm: HeldAlarm, now: Millis) -> bool:
    """Say whether an alarm is to be put as a repeat, so that AOM does not clear it by age."""
    if alarm.reported_at is None or alarm.state != "reported":
        return False
    return (now - max(alarm.reported_at, alarm.last_seen)) * _PART_OF_TIMEOUT >= alarm.timeout


class SourceChanges:
    """Ends, raises and repeats the alarms of one source.

    Args:
        source: its name.
        settings: of its Alertmanager.
        ledger: the open alarms.
        peers: its peers.
        metrics: where differences are counted.
        clock: the time.
        holder: the name of this bridge among those on the same ledger.
    """

    def __init__(
        self,
        source: str,
        settings: AlertmanagerSettings,
        ledger: OpenAlarms,
        peers: Peers,
        *,
        metrics: Metrics,
        clock: Clock,
        holder: str,
    ) -> None:
        self._source = source
        self._settings = settings
        self._ledger = ledger
        self._peers = peers
        self._metrics = metrics
        self._clock = clock
        self._holder = holder
        self._brakes: dict[Change, Brake] = {change: Brake() for change in CHANGES}
        self._dropped: set[str] = set()
        self._dropped_before: set[str] = set()
        self._overruled: dict[str, int] = {}
        self._forgiven: set[int] = set()

    def rules_changed(self) -> None:
        """Map again what the rules have dropped."""
        self._dropped_before |= self._dropped
        self._dropped.clear()

    async def end(
        self, comparison: Comparison, held: Mapping[str, HeldAlarm], knowledge: Mapping[str, Knowledge]
    ) -> dict[str, Knowledge | None]:
        """End the alarms whose difference is certain; return what is to be learned of their alerts."""
        now = comparison.latest.ended_at
        due = self._let_go("clear", comparison.ended, comparison, open_now=len(held))
        changes = [self._ending(one, held[one.fingerprint], comparison) for one in due]
        learned: dict[str, Knowledge | None] = {}
        for change, effect in await self._applied(changes, comparison.latest.ended_at):
            if effect == "resolved":
                self._note("alarm ended: Alertmanager no longer shows its alert as firing for the bridge", change)
                known = knowledge.get(change.fingerprint, Knowledge())
                learned[change.fingerprint] = replace(known, cleared_at=now)
        return learned

    async def raise_missing(self, comparison: Comparison, held: Mapping[str, HeldAlarm]) -> list[Difference]:
        """Raise an alarm for each alert that fires and has none, and whose webhook no longer comes.

        Returns:
            The differences of all such alerts, also of those whose webhook may still come.
        """
        self._forgive(comparison)
        missing = {name: one for name, one in comparison.missing.items() if name not in self._dropped}
        last = await self._ledger.ended(self._source, missing.keys()) if missing else {}
        differences = []
        for name, (sighting, track) in missing.items():
            alarm = last.get(name)
            if alarm is not None and self._is_settled(alarm, sighting.updated_at):
                continue
            is_reopened = alarm is not None and alarm.ended_by in API_ENDINGS
            one = comparison.rules.of_missing(name, sighting, track, is_reopened=is_reopened)
            if one is not None:
                differences.append(one)
        count = sum(one.is_due(comparison.latest.ended_at) for one in differences)
        self._metrics.differences.labels(self._source, "missing").set(count)
        due = self._let_go("raise", differences, comparison, open_now=len(held))
        if due:
            await self._apply_raises(comparison, [one.fingerprint for one in due], last)
        return differences

    def _let_go(
        self, change: Change, differences: Collection[Difference], comparison: Comparison, *, open_now: int
    ) -> list[Difference]:
        """Return the differences that are due and that the brake does not hold back."""
        now = comparison.latest.ended_at
        due = [one for one in differences if one.is_due(now)]
        before = self._brakes[change]
        brake, may = braked(
            before,
            differences,
            now,
            open_now=open_now,
            part=self._settings.max_clears,
            wait=max((comparison.rules.wait(one.fingerprint) for one in due), default=0),
        )
        self._brakes[change] = brake
        self._metrics.braked.labels(self._source, change).set(0 if may else len(brake.waiting))
        if brake.waiting and not before.waiting:
            _log.warning(
                "many alarms would change at once; they wait until the same ones have been due for a while",
                source=self._source,
                change=change,
                alarms=len(brake.waiting),
            )
        return due if may else []

    async def repeat(self, comparison: Comparison, alarms: Mapping[str, HeldAlarm]) -> None:
        """Put listed alerts as repeats, so that AOM does not clear their alarms by age."""
        changes = []
        for name, alarm in alarms.items():
            alert = comparison.shown[name].newest
            bodies = (notification(alert, next(iter(alert.receivers), ""), {}),)
            changes.append(ListedChange(None, name, alarm.seq, alarm.last_seen, alarm.state, bodies=bodies))
        await self._applied(changes, comparison.latest.ended_at)

    def _ending(self, difference: Difference, alarm: HeldAlarm, comparison: Comparison) -> ListedChange:
        track = comparison.memory.tracks[alarm.fingerprint]
        ends_at = min(max(track.shown_at or 0, alarm.newest_fired_at + 1), comparison.latest.ended_at)
        return ListedChange(
            difference.kind, alarm.fingerprint, alarm.seq, alarm.last_seen, alarm.state, ends_at=ends_at
        )

    def _is_settled(self, alarm: EndedAlarm, updated_at: Millis) -> bool:
        """Say whether the end of an alert's last alarm says more than the list."""
        if alarm.ended_by not in ENDINGS_BY_HAND:
            return is_settled(alarm, updated_at)
        if alarm.seq not in self._forgiven:
            self._overruled[alarm.fingerprint] = alarm.seq
        return alarm.seq not in self._forgiven

    def _forgive(self, comparison: Comparison) -> None:
        """Let alerts be raised again whose alarm people have ended, once no peer has listed them."""
        if comparison.memory.coverage.since is not None:
            self._dropped &= comparison.shown.keys()
            self._dropped_before &= comparison.shown.keys()
            for name in self._overruled.keys() - comparison.shown.keys():
                self._forgiven.add(self._overruled.pop(name))

    async def _apply_raises(
        self, comparison: Comparison, names: Collection[str], last: Mapping[str, EndedAlarm]
    ) -> None:
        alerts = {name: comparison.missing[name][0].newest for name in names}
        labels = await self._peers.group_labels(comparison.latest, alerts)
        changes = []
        for name, alert in alerts.items():
            receivers = sorted(comparison.receivers.intersection(alert.receivers))
            bodies = tuple(notification(alert, one, labels.get((one, name), {})) for one in receivers)
            alarm = last.get(name)
            cause: Cause = "remapped" if name in self._dropped_before else "missing"
            change = ListedChange(cause, name, None, None, None, bodies=bodies)
            if alarm is not None:
                change = replace(change, seq=alarm.seq, last_seen=alarm.last_seen, state=alarm.state)
            changes.append(change)
        for change, effect in await self._applied(changes, comparison.latest.ended_at):
            if effect == "new":
                self._note(_RAISED[change.cause], change)
                self._count_lost_webhook(change, last.get(change.fingerprint), comparison)
            elif effect == "dropped":
                self._dropped.add(change.fingerprint)

    def _count_lost_webhook(self, change: ListedChange, before: EndedAlarm | None, comparison: Comparison) -> None:
        """Count it if Alertmanager would have told of this alert, as it does of others of the same receiver."""
        is_reopened = before is not None and before.ended_by in API_ENDINGS
        receivers = comparison.missing[change.fingerprint][0].newest.receivers
        if change.cause == "missing" and not is_reopened and comparison.heard.intersection(receivers):
            self._metrics.lost_webhooks.labels(self._source).inc()

    async def _applied(
        self, changes: Sequence[ListedChange], ended_at: Millis
    ) -> list[tuple[ListedChange, Effect | None]]:
        """Apply changes in transactions that webhooks do not notice, while their answers are young enough.

        ``ended_at``: when the round ended. A process that was stopped since then must not act on what it saw before.
        """
        results: list[tuple[ListedChange, Effect | None]] = []
        for begin in range(0, len(changes), _MAX_CHANGES_AT_ONCE):
            some = changes[begin : begin + _MAX_CHANGES_AT_ONCE]
            max_age = max(self._settings.interval, _MIN_AGE) - (self._clock() - ended_at)
            effects = await self._ledger.apply(self._source, self._holder, some, max_age)
            results += zip(some, effects, strict=True)
        return results

    def _note(self, text: str, change: ListedChange) -> None:
        self._metrics.reconciled.labels(self._source, str(change.cause)).inc()
        _log.info(text, source=self._source, fingerprint=change.fingerprint, reason=change.cause)
