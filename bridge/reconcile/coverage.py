"""Whether the peers' answers prove an absence: all of them answered, and none was started or replaced lately; pure.

In: the answers of one round, and the coverage after the round before. Out: the coverage now. An alert that no peer
lists may have been lost by a restart and not be posted again yet, so a list proves nothing until every peer has been
the same for as long as its sender may take. Nothing is decided about alerts here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from bridge.clock import SECOND, Millis
from bridge.reconcile.answers import ListedAlert, PeerStatus

_DATE_PRECISION: Millis = 3 * SECOND
"""How much later than it was a start may seem: the Date header counts whole seconds, and an answer takes time."""

_MAX_PAST = 20
"""Processes that are remembered for each address."""


class PeerAnswer(msgspec.Struct, frozen=True, gc=False):
    """The valid answer of one peer in one round.

    ``url``: its address. ``status``: None for Mimir, which is not asked. ``answered_at``: when it answered, by our
    clock; ``date``: the same by its own clock, None if it did not say. ``alerts``: its list, by fingerprint.
    ``muting``: whether alerts in groups of our receivers are muted by time; only of those for which it tells.
    ``took``: from the first request to the answer.
    """

    url: str
    status: PeerStatus | None
    answered_at: Millis
    date: Millis | None
    alerts: Mapping[str, ListedAlert]
    muting: Mapping[str, bool] = {}
    took: Millis = 0

    @property
    def now(self) -> Millis:
        """The time of the answer by the clock to which the times of its alerts belong."""
        return self.answered_at if self.date is None else self.date

    @property
    def skew(self) -> Millis:
        """How far the peer's clock is ahead of ours."""
        return self.now - self.answered_at

    @property
    def shown_skew(self) -> Millis:
        """How far the peer's clock is ahead of ours, in whole seconds, as it tells its time."""
        return round(self.skew / SECOND) * SECOND


class Round(msgspec.Struct, frozen=True):
    """What one round has brought.

    ``began_at`` and ``ended_at``: by our clock. ``answers``: of the peers that answered validly. ``failures``: why each
    other one did not, by its address. ``is_listed``: whether the addresses of all peers are known; False where a name
    could not be resolved.
    """

    began_at: Millis
    ended_at: Millis
    answers: tuple[PeerAnswer, ...]
    failures: Mapping[str, str] = {}
    is_listed: bool = True


class Identity(msgspec.Struct, frozen=True):
    """Which process answered at an address: its name, and when it was started by its own clock."""

    name: str
    started_at: Millis


class KnownPeer(msgspec.Struct, frozen=True):
    """Who answered at one address last.

    ``first_seen_at`` and ``answered_at``: when this process was seen there first and last, by our clock. ``past``: the
    processes that were there before.
    """

    identity: Identity
    first_seen_at: Millis
    answered_at: Millis
    past: tuple[Identity, ...] = ()


class Coverage(msgspec.Struct, frozen=True):
    """What is known of the peers after a round.

    ``peers``: by their addresses. ``since``: since when every round was complete and every peer the same; None: the
    last round was not complete. ``balancers``: addresses at which several processes answer in turn. ``unnamed``: names
    of peers that others see and that no address has shown.
    """

    peers: Mapping[str, KnownPeer] = {}
    since: Millis | None = None
    balancers: frozenset[str] = frozenset()
    unnamed: tuple[str, ...] = ()

    def lasts(self, wait: Millis, now: Millis) -> bool:
        """Say whether every peer has been the same for this long."""
        return self.since is not None and now - self.since >= wait


def after(before: Coverage, latest: Round) -> Coverage:
    """Return the coverage after another round."""
    known = {answer.url: _known(before.peers.get(answer.url), answer) for answer in latest.answers}
    balancers = before.balancers | {
        answer.url for answer in latest.answers if _is_balancer(before.peers.get(answer.url), answer)
    }
    unnamed = _unnamed(latest.answers)
    is_complete = latest.is_listed and bool(known) and not (latest.failures or unnamed or balancers & known.keys())
    is_same = before.since is not None and _identities(known) == _identities(before.peers)
    silent = {url: peer for url, peer in before.peers.items() if url in latest.failures}
    return Coverage(
        peers={**silent, **known},
        since=(before.since if is_same else latest.ended_at) if is_complete else None,
        balancers=balancers,
        unnamed=unnamed,
    )


def started_at(coverage: Coverage, answer: PeerAnswer) -> Millis:
    """Return when a peer was started, by our clock, or a later time: when it was seen first, if it does not say."""
    if answer.status is not None and answer.date is not None:
        return answer.answered_at - max(answer.date - answer.status.started_at, 0)
    peer = coverage.peers.get(answer.url)
    return answer.answered_at if peer is None else peer.first_seen_at


def _known(before: KnownPeer | None, answer: PeerAnswer) -> KnownPeer:
    identity, now = _identity(answer), answer.answered_at
    if before is None:
        return KnownPeer(identity, now, now)
    if identity == before.identity:
        return KnownPeer(identity, before.first_seen_at, now, before.past)
    return KnownPeer(identity, now, now, (*before.past, before.identity)[-_MAX_PAST:])


def _identity(answer: PeerAnswer) -> Identity:
    return Identity("", 0) if answer.status is None else Identity(answer.status.name, answer.status.started_at)


def _identities(peers: Mapping[str, KnownPeer]) -> dict[str, Identity]:
    return {url: peer.identity for url, peer in peers.items()}


def _is_balancer(before: KnownPeer | None, answer: PeerAnswer) -> bool:
    """Say whether another process answers at an address although the last one was not replaced meanwhile."""
    if before is None or answer.status is None or _identity(answer) == before.identity:
        return False
    if _identity(answer) in before.past:
        return True
    if answer.date is None:
        return False
    was_started_at = answer.answered_at - (answer.date - answer.status.started_at)
    return was_started_at < before.answered_at - _DATE_PRECISION


def _unnamed(answers: Sequence[PeerAnswer]) -> tuple[str, ...]:
    statuses = [answer.status for answer in answers if answer.status is not None]
    seen = {name for status in statuses for name in status.peers}
    return tuple(sorted(seen - {status.name for status in statuses}))
