"""What several rounds have shown of each alert of one source, between the rounds; pure.

In: a round, its coverage, and the alarms that the ledger holds open. Out: for each alert since when it is absent,
without a route, muted or missing. Nothing is decided here: `bridge.reconcile.rules` does, from these tracks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from bridge.clock import SECOND, Millis
from bridge.ledger import HeldAlarm
from bridge.reconcile.answers import ListedAlert
from bridge.reconcile.coverage import Coverage, PeerAnswer, Round

_MIN_REMAINING: Millis = 10 * SECOND
"""An alert that ends sooner by its peer's clock is not raised: its sender may have fallen silent."""

_DATE_PRECISION: Millis = SECOND
"""The Date header counts whole seconds."""

_STEADY_PART = 0.05
"""Two posts have the same validity if they differ by less than this part: each is on its way for some milliseconds."""

_FRESH_PART = 0.75
"""An alert is fresh while less than this part of its validity has passed since its last post."""


class Post(msgspec.Struct, frozen=True, gc=False):
    """The last post of an alert; ``is_steady``: its validity is that of the post before, as a sender of rules posts."""

    updated_at: Millis
    ends_at: Millis
    is_steady: bool = False

    def followed_by(self, alert: ListedAlert) -> Post:
        """Return the last post after another list."""
        if alert.updated_at == self.updated_at:
            return self
        difference = abs(alert.validity - (self.ends_at - self.updated_at))
        return Post(alert.updated_at, alert.ends_at, is_steady=difference <= _STEADY_PART * alert.validity)


class Track(msgspec.Struct, frozen=True, gc=False):
    """What the rounds have shown of one alert.

    ``shown_at``: the end of the last round that showed it. ``absent_since`` and ``absent_rounds``: since when, and in
    how many rounds, every peer answered and none listed it. ``unrouted_since``: since when each peer that lists it has
    none of our receivers for it. ``suppressed_since``: since when each of them suppresses it. ``missing_since`` and
    ``missing_rounds``: since when it fires for one of our receivers without an alarm; ``first_update``: the time of its
    last post then. ``post``: how it was posted last.
    """

    shown_at: Millis | None = None
    absent_since: Millis | None = None
    absent_rounds: int = 0
    unrouted_since: Millis | None = None
    suppressed_since: Millis | None = None
    suppressed_rounds: int = 0
    missing_since: Millis | None = None
    missing_rounds: int = 0
    first_update: Millis = 0
    post: Post | None = None


class Sighting(msgspec.Struct, frozen=True, gc=False):
    """One alert as the peers that answered in one round list it."""

    listed: tuple[tuple[PeerAnswer, ListedAlert], ...]

    @property
    def newest(self) -> ListedAlert:
        """The alert as its last post shows it."""
        return max(self.listed, key=lambda one: one[1].updated_at - one[0].skew)[1]

    @property
    def updated_at(self) -> Millis:
        """When its last post came, by our clock; not later than it was, and as much earlier as a Date is imprecise."""
        return max(alert.updated_at - answer.skew for answer, alert in self.listed) - _DATE_PRECISION

    @property
    def is_suppressed(self) -> bool:
        """Whether every peer that lists it suppresses it."""
        return all(alert.is_suppressed for _, alert in self.listed)

    @property
    def is_muted(self) -> bool:
        """Whether a peer that tells it shows the alert as muted by time."""
        return any(answer.muting.get(alert.fingerprint, False) for answer, alert in self.listed)

    def is_routed(self, ours: Mapping[str, Collection[str]]) -> bool:
        """Say whether a peer that lists it has one of our receivers for it; ``ours``: by the peers' addresses."""
        return any(not _is_foreign(alert, ours.get(answer.url, ())) for answer, alert in self.listed)

    def can_be_raised(self, ours: Mapping[str, Collection[str]], *, is_timed: bool) -> bool:
        """Say whether every peer that lists it would send it to the bridge now.

        Args:
            ours: our receivers, by the peers' addresses.
            is_timed: whether their routes are muted at times, so that a peer must show that the alert is not.
        """
        return all(
            not alert.is_suppressed
            and not _is_foreign(alert, ours.get(answer.url, ()))
            and alert.ends_at > answer.now + _MIN_REMAINING
            and (not is_timed or answer.muting.get(alert.fingerprint) is False)
            for answer, alert in self.listed
        )

    def is_confirmed(self, first_update: Millis) -> bool:
        """Say whether its sender has posted it since a time, or so lately that it is due to post it again."""
        return any(
            alert.updated_at > first_update or answer.now - alert.updated_at < _FRESH_PART * alert.validity
            for answer, alert in self.listed
        )


def sightings(answers: Sequence[PeerAnswer]) -> dict[str, Sighting]:
    """Return every alert that a peer lists, by its fingerprint."""
    listed: dict[str, list[tuple[PeerAnswer, ListedAlert]]] = {}
    for answer in answers:
        for fingerprint, alert in answer.alerts.items():
            listed.setdefault(fingerprint, []).append((answer, alert))
    return {fingerprint: Sighting(tuple(each)) for fingerprint, each in listed.items()}


def after(
    tracks: Mapping[str, Track],
    latest: Round,
    coverage: Coverage,
    shown: Mapping[str, Sighting],
    held: Mapping[str, HeldAlarm],
    *,
    ours: Mapping[str, Collection[str]],
    is_timed: bool,
) -> dict[str, Track]:
    """Return the tracks after another round.

    Args:
        tracks: those before it.
        latest: the round.
        coverage: the coverage after it.
        shown: its alerts.
        held: the alarms that the ledger holds open.
        ours: our receivers, by the peers' addresses.
        is_timed: whether their routes are muted at times.
    """
    if not latest.answers:
        return dict(tracks)
    now, is_complete = latest.ended_at, coverage.since is not None
    following: dict[str, Track] = {}
    for fingerprint, alarm in held.items():
        track, sighting = tracks.get(fingerprint, Track()), shown.get(fingerprint)
        following[fingerprint] = (
            _absent(track, alarm, now, is_complete=is_complete)
            if sighting is None
            else _listed(track, sighting, now, ours, is_complete=is_complete)
        )
    for fingerprint, sighting in _without_alarm(shown, held):
        if sighting.can_be_raised(ours, is_timed=is_timed):
            following[fingerprint] = _missing(tracks.get(fingerprint, Track()), sighting, now)
    return following


def expected_ends(tracks: Mapping[str, Track], held: Mapping[str, HeldAlarm]) -> dict[str, Millis]:
    """Return the alerts that have ended since the last round, each with its end if its sender had fallen silent."""
    return {
        name: track.post.ends_at
        for name, track in tracks.items()
        if name not in held and track.post is not None and track.post.is_steady
    }


def _without_alarm(shown: Mapping[str, Sighting], held: Mapping[str, HeldAlarm]) -> Iterator[tuple[str, Sighting]]:
    return ((fingerprint, sighting) for fingerprint, sighting in shown.items() if fingerprint not in held)


def _absent(track: Track, alarm: HeldAlarm, now: Millis, *, is_complete: bool) -> Track:
    """Return the track of an alert that no peer lists; only a round in which every peer answered counts."""
    if not is_complete:
        return track
    since = track.absent_since
    if since is None or since < alarm.last_seen:  # a webhook has shown it since
        return Track(shown_at=track.shown_at, absent_since=now, absent_rounds=1, post=track.post)
    return Track(shown_at=track.shown_at, absent_since=since, absent_rounds=track.absent_rounds + 1, post=track.post)


def _listed(
    track: Track, sighting: Sighting, now: Millis, ours: Mapping[str, Collection[str]], *, is_complete: bool
) -> Track:
    """Return the track of an alert that is listed and has an alarm."""
    newest = sighting.newest
    post = Post(newest.updated_at, newest.ends_at) if track.post is None else track.post.followed_by(newest)
    is_unrouted = is_complete and any(ours.values()) and not sighting.is_routed(ours)
    is_suppressed = is_complete and sighting.is_suppressed
    return Track(
        shown_at=now,
        unrouted_since=_since(track.unrouted_since, now, is_so=is_unrouted),
        suppressed_since=_since(track.suppressed_since, now, is_so=is_suppressed),
        suppressed_rounds=track.suppressed_rounds + 1 if is_suppressed else 0,
        post=post,
    )


def _missing(track: Track, sighting: Sighting, now: Millis) -> Track:
    """Return the track of an alert that fires for one of our receivers and has no alarm."""
    if track.missing_since is None:
        return Track(shown_at=now, missing_since=now, missing_rounds=1, first_update=sighting.newest.updated_at)
    return Track(
        shown_at=now,
        missing_since=track.missing_since,
        missing_rounds=track.missing_rounds + 1,
        first_update=track.first_update,
    )


def _since(before: Millis | None, now: Millis, *, is_so: bool) -> Millis | None:
    if not is_so:
        return None
    return now if before is None else before


def _is_foreign(alert: ListedAlert, ours: Collection[str]) -> bool:
    return not any(receiver in ours for receiver in alert.receivers)
