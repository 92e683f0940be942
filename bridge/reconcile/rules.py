"""Which alarms differ from what Alertmanager says, and when each difference is certain enough to act on; pure.

In: the tracks of a source's alerts after a round, its coverage, and what the ledger knows of the alerts. Out: a
`Difference` for each, with the time at which it may be acted on. No clock is read and nothing is changed here. The
reasons for each rule are the ways in which a list may lack an alert that fires: a restarted peer has forgotten it until
its sender posts it again, a sender posts to one peer only, a peer does not answer, or its webhook is still to come.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal, get_args

import msgspec

from bridge.clock import HOUR, MINUTE, SECOND, Millis
from bridge.ledger import HeldAlarm, Knowledge
from bridge.reconcile.coverage import Coverage, Round, started_at
from bridge.reconcile.routing import Route
from bridge.reconcile.tracks import Sighting, Track

Kind = Literal["vanished", "unrouted", "silenced", "missing"]
"""``vanished``: an open alarm whose alert no peer lists. ``unrouted``: the alert fires, and goes to none of our
receivers. ``silenced``: it fires and is suppressed. ``missing``: it fires for one of our receivers, and has no
alarm."""

KINDS: tuple[Kind, ...] = get_args(Kind)

Change = Literal["clear", "raise"]
"""What follows from a difference."""

CHANGES: tuple[Change, ...] = get_args(Change)

Wait = Literal["coverage", "webhook", "heartbeat"]
"""What a difference waits for."""

MIN_UNKNOWN_VALIDITY: Millis = HOUR
"""The validity of an alert's post where it is not known, at least."""

VALIDITY_PART = 1.25
_MIN_ROUNDS = 2
_MIN_BRAKED = 5
_PEER_WAIT: Millis = 15 * SECOND
_SLACK: Millis = 30 * SECOND
DEFAULT_MISSING_AFTER: Millis = 6 * MINUTE + 30 * SECOND
"""How long a webhook may still come where the routes are not known: Alertmanager's defaults, and the slack."""


class Policy(msgspec.Struct, frozen=True):
    """The settings of a source that the rules use; ``missing_after``: how long a webhook may still come."""

    settle: Millis
    missing_after: Millis
    clears_vanished: bool
    clears_unrouted: bool
    clears_silenced: bool
    max_clears: float


class Difference(msgspec.Struct, frozen=True, gc=False):
    """One alert whose alarm is not what Alertmanager says.

    ``seq``: of its alarm; None if it has none. ``due_at``: when it is certain; None while that cannot be said.
    ``waits_for``: what it waits for until then.
    """

    kind: Kind
    fingerprint: str
    seq: int | None
    since: Millis
    due_at: Millis | None
    waits_for: Wait

    def is_due(self, now: Millis) -> bool:
        """Say whether its time is up."""
        return self.due_at is not None and self.due_at <= now


def missing_after(routes: Collection[Route], peers: int) -> Millis:
    """Return how long the webhook of an alert may still come, by the routes that lead to our receivers."""
    if not routes:
        return DEFAULT_MISSING_AFTER
    longest = max(route.group_wait + route.group_interval for route in routes)
    return longest + _PEER_WAIT * max(peers - 1, 0) + _SLACK


class Rules:
    """The rules of one source after one round.

    Args:
        policy: its settings.
        latest: the round.
        coverage: the coverage after it.
        knowledge: what is known of alerts, by their fingerprints.
        longest_validity: the longest that this source has shown; None: unknown.
        routed_since: when a peer's configuration was seen to change last.
        shown: the alerts of the round, whose validity counts where nothing is known.
    """

    def __init__(
        self,
        policy: Policy,
        latest: Round,
        coverage: Coverage,
        knowledge: Mapping[str, Knowledge],
        longest_validity: Millis | None,
        routed_since: Millis,
        shown: Mapping[str, Sighting],
    ) -> None:
        self._policy = policy
        self._now = latest.ended_at
        self._coverage = coverage
        self._knowledge = knowledge
        self._unknown_validity = max(longest_validity or 0, MIN_UNKNOWN_VALIDITY)
        self._routed_since = routed_since
        self._shown = shown
        # Mimir does not say when its replicas were started, so any of them may have been.
        starts = [
            latest.ended_at if answer.status is None else started_at(coverage, answer) for answer in latest.answers
        ]
        self._last_start = max(starts, default=latest.ended_at)

    def of_alarm(self, alarm: HeldAlarm, track: Track) -> Difference | None:
        """Return the difference of an alert that has an alarm without an end."""
        if track.absent_since is not None:
            return self._vanished(alarm, track, track.absent_since)
        if track.unrouted_since is not None and self._policy.clears_unrouted:
            since = max(track.unrouted_since, self._routed_since)
            at = since + self.wait(alarm.fingerprint) + self._policy.missing_after
            due_at = None if self._coverage.since is None else at
            return self._difference("unrouted", alarm, track.unrouted_since, due_at, is_covered=due_at is not None)
        if track.suppressed_since is not None and self._policy.clears_silenced:
            is_seen = track.suppressed_rounds >= _MIN_ROUNDS
            return self._difference("silenced", alarm, track.suppressed_since, self._now if is_seen else None)
        return None

    def of_missing(self, fingerprint: str, sighting: Sighting, track: Track, *, is_reopened: bool) -> Difference | None:
        """Return the difference of an alert that fires and has no alarm.

        Args:
            fingerprint: the alert's.
            sighting: how it is listed.
            track: what the rounds have shown of it.
            is_reopened: its last alarm was cleared here, so that Alertmanager believes that the bridge knows it.
        """
        if track.missing_since is None or not sighting.is_confirmed(track.first_update):
            return None
        due_at = track.missing_since + self._policy.missing_after
        if is_reopened and track.missing_rounds >= _MIN_ROUNDS:
            due_at = self._now
        return Difference("missing", fingerprint, None, track.missing_since, due_at, "webhook")

    def validity(self, fingerprint: str) -> Millis:
        """Return the validity of an alert's posts, or the longest that it may have."""
        known, sighting = self._knowledge.get(fingerprint), self._shown.get(fingerprint)
        if known is not None and known.validity is not None:
            return known.validity
        return self._unknown_validity if sighting is None else sighting.newest.validity

    def wait(self, fingerprint: str) -> Millis:
        """Return for how long every peer must have been the same before the absence of an alert counts."""
        return max(self._policy.settle, int(VALIDITY_PART * self.validity(fingerprint)))

    def _vanished(self, alarm: HeldAlarm, track: Track, since: Millis) -> Difference | None:
        if not self._policy.clears_vanished:
            return None
        patience = self._patience(alarm.fingerprint)
        if patience is None and self._can_send_webhook(alarm, track):
            patience = self._policy.missing_after
        is_seen = track.absent_rounds >= _MIN_ROUNDS
        at = (self._now if is_seen else None) if patience is None else since + patience
        due_at = None if at is None else self._covered_at(alarm, at)
        return self._difference("vanished", alarm, since, due_at, is_covered=due_at is not None or at is None)

    def _patience(self, fingerprint: str) -> Millis | None:
        """Return how long an alert must be absent whose alarm was cleared before and fired again; None: no longer."""
        strikes = self._knowledge.get(fingerprint, Knowledge()).strikes
        if not strikes:
            return None
        most = self.validity(fingerprint) + self._policy.missing_after
        return min(self._policy.missing_after * (1 << min(strikes, 30)), most)

    def _can_send_webhook(self, alarm: HeldAlarm, track: Track) -> bool:
        """Say whether the alert's own webhook may still come."""
        is_quiet = self._knowledge.get(alarm.fingerprint, Knowledge()).is_quiet
        return not is_quiet and (track.shown_at is None or self._last_start < track.shown_at)

    def _covered_at(self, alarm: HeldAlarm, at: Millis) -> Millis | None:
        """Return when the absence of an alert counts, at a time or later; None while a peer does not answer."""
        since = self._coverage.since
        if since is None:
            return None
        if self._last_start < alarm.last_seen:  # no restart can be the cause of the absence
            return at
        return max(at, since + self.wait(alarm.fingerprint))

    def _difference(
        self, kind: Kind, alarm: HeldAlarm, since: Millis, due_at: Millis | None, *, is_covered: bool = True
    ) -> Difference:
        return Difference(kind, alarm.fingerprint, alarm.seq, since, due_at, "webhook" if is_covered else "coverage")


class Brake(msgspec.Struct, frozen=True):
    """Holds back many changes at once until the same ones have been due for a while.

    ``waiting``: the alerts that are held back; ``since``: since when there are no others. ``open_at``: how many alarms
    were open when each alert was seen to differ first.
    """

    waiting: frozenset[str] = frozenset()
    since: Millis = 0
    open_at: Mapping[str, int] = {}


def braked(
    before: Brake, differences: Collection[Difference], now: Millis, *, open_now: int, part: float, wait: Millis
) -> tuple[Brake, bool]:
    """Return the brake after another round, and whether the changes that are due may be made.

    Args:
        before: the brake after the round before.
        differences: the differences for each of which the same change follows, due or not.
        now: the time.
        open_now: how many alarms are open.
        part: the part of the alarms, open when the first of those due differed, that may change at once.
        wait: for how long the same changes must have been due if there are more.
    """
    open_at = {one.fingerprint: before.open_at.get(one.fingerprint, open_now) for one in differences}
    due = [one for one in differences if one.is_due(now)]
    first = min(due, key=lambda one: one.since, default=None)
    if first is None or len(due) <= max(_MIN_BRAKED, part * open_at[first.fingerprint]):
        return Brake(open_at=open_at), True
    alerts = frozenset(one.fingerprint for one in due)
    since = before.since if before.waiting and alerts <= before.waiting else now
    return Brake(alerts, since, open_at), now - since >= wait
