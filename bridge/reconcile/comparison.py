"""Compares one round of answers with the ledger: what differs, since when, and what has been learnt; pure.

In: a round, the alarms without an end, and the memory of earlier rounds. Out: a `Comparison` with the new memory. For
100,000 alerts it takes seconds, so it runs on a thread. What may be done about a difference is decided by
`bridge.reconcile.rules`, and done by `bridge.reconcile.source`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

import msgspec
from msgspec.structs import replace

from bridge.clock import Millis
from bridge.ledger import HeldAlarm, Knowledge, SourceKnowledge
from bridge.mapping.switches import Switch
from bridge.notification import Labels, Sign
from bridge.reconcile import coverage, peer_findings, tracks
from bridge.reconcile.coverage import Coverage, PeerAnswer, Round
from bridge.reconcile.lint import Question
from bridge.reconcile.notices import Notice, notices
from bridge.reconcile.peer_findings import Found
from bridge.reconcile.routing import Route, Routing, read_routing
from bridge.reconcile.rules import Difference, Policy, Rules, missing_after
from bridge.reconcile.settings import AlertmanagerSettings
from bridge.reconcile.tracks import Sighting, Track

_VALIDITY_TOLERANCE = 0.8
"""A shorter validity is stored only below this part of the known one: two posts differ by some milliseconds."""


class Memory(msgspec.Struct, frozen=True):
    """What several rounds of one source have shown.

    ``routings``: what each peer's configuration says, by its text. ``routed_since``: when one was seen to change last.
    ``found``: what loses alerts in their configurations.
    """

    coverage: Coverage = Coverage()
    tracks: Mapping[str, Track] = {}
    routings: Mapping[str, tuple[str, Routing | None]] = {}
    routed_since: Millis = 0
    found: Found = {}


class Comparison(msgspec.Struct, frozen=True):
    """What one round has shown.

    ``memory``: for the next round. ``ended``: the differences of alerts that have an alarm; ``missing``: how those
    without one are listed, with their tracks. ``learned``: what the ledger does not know yet. ``rules``: for the
    differences of the missing ones, once the ledger has told which alarms they had. ``receivers``: those that send to
    the bridge; ``heard``: those of them whose notifications have come. ``notices``: by kind and subject.
    ``signs``: those of heartbeats, each as its alert is listed.
    """

    latest: Round
    memory: Memory
    rules: Rules
    ended: list[Difference]
    missing: dict[str, tuple[Sighting, Track]]
    shown: Mapping[str, Sighting]
    signs: list[tuple[Sign, Sighting]]
    learned: dict[str, Knowledge | None]
    longest_validity: Millis | None
    receivers: frozenset[str]
    heard: frozenset[str]
    routes: tuple[Route, ...]
    notices: Mapping[tuple[str, str], Notice]


def compare(
    settings: AlertmanagerSettings,
    memory: Memory,
    latest: Round,
    held: Mapping[str, HeldAlarm],
    knowledge: Mapping[str, Knowledge],
    of_source: SourceKnowledge,
    switch_of: Callable[[Labels], Switch | None] = lambda _: None,
    *,
    alarm_timeout: Millis,
) -> Comparison:
    """Return what a round has shown.

    Args:
        settings: of the source.
        memory: of the rounds before.
        latest: the round.
        held: the newest alarm of each alert that has no end, by fingerprint.
        knowledge: what the ledger knows of alerts, by fingerprint.
        of_source: what it knows of the source.
        switch_of: the heartbeat of which an alert with these labels is a sign, if there is one.
        alarm_timeout: the shortest of all targets.
    """
    routings, routed_since = _routings(memory, latest)
    ours = {answer.url: _ours(settings, of_source, answer, routings) for answer in latest.answers}
    receivers = frozenset().union(*ours.values()) if ours else frozenset()
    routes = tuple(route for _, one in routings.values() if one is not None for route in one.to(receivers))
    is_timed = any(route.is_timed for route in routes)
    covered = coverage.after(memory.coverage, latest)
    shown = tracks.sightings(latest.answers)
    followed = tracks.after(memory.tracks, latest, covered, shown, held, ours=ours, is_timed=is_timed)
    policy = _policy(settings, routes, len(latest.answers))
    rules = Rules(policy, latest, covered, knowledge, of_source.longest_validity, routed_since, shown)
    compared = (rules.of_alarm(alarm, followed.get(name, Track())) for name, alarm in held.items())
    ended = [one for one in compared if one is not None]
    signs = dict(_signs(shown, held, switch_of))
    missing = {
        name: (shown[name], track)
        for name, track in followed.items()
        if name in shown and name not in signs and track.missing_since is not None
    }
    names = settings.receivers or of_source.receivers
    peers = peer_findings.number_of_peers(latest, routings)
    question = Question(frozenset(names), bool(settings.receivers), peers, alarm_timeout, is_in_step=True)
    found = peer_findings.find(memory.found, routings, question)
    posts = [(switch, shown[name].newest) for name, switch in signs.items()]
    findings = peer_findings.by_peer(latest, found, routings, question)
    learned = dict(_learned(knowledge, held, shown, ours, latest.ended_at)) if latest.answers else {}
    return Comparison(
        latest=latest,
        memory=Memory(covered, followed, routings, routed_since, found),
        rules=rules,
        ended=ended,
        missing=missing,
        shown=shown,
        signs=[(switch.sign(shown[name].newest.labels), shown[name]) for name, switch in signs.items()],
        learned=learned,
        longest_validity=_longest(of_source, shown),
        receivers=receivers,
        heard=receivers & of_source.receivers,
        routes=routes,
        notices=notices(latest, covered, names, receivers, routes, findings, posts),
    )


def _signs(
    shown: Mapping[str, Sighting], held: Mapping[str, HeldAlarm], switch_of: Callable[[Labels], Switch | None]
) -> Iterator[tuple[str, Switch]]:
    """Yield the listed alerts that are signs, each with its heartbeat; one with an alarm is none yet."""
    for name, sighting in shown.items():
        switch = None if name in held else switch_of(sighting.newest.labels)
        if switch is not None:
            yield name, switch


def _routings(memory: Memory, latest: Round) -> tuple[dict[str, tuple[str, Routing | None]], Millis]:
    """Return what each peer's configuration says, and when one was seen to change last."""
    routings, routed_since = dict(memory.routings), memory.routed_since
    for answer in latest.answers:
        text = "" if answer.status is None else answer.status.config
        if answer.url not in routings or routings[answer.url][0] != text:
            routings[answer.url] = text, read_routing(text)
            routed_since = latest.ended_at
    return routings, routed_since


def _ours(
    settings: AlertmanagerSettings,
    of_source: SourceKnowledge,
    answer: PeerAnswer,
    routings: Mapping[str, tuple[str, Routing | None]],
) -> Collection[str]:
    """Return the receivers of a peer that send to the bridge: named or learnt, and with a webhook in its routes."""
    names = settings.receivers or of_source.receivers
    _, routing = routings[answer.url]
    if routing is None:
        return frozenset(names) if settings.kind == "mimir" else frozenset()
    return frozenset(name for name in names if name in routing.webhooks)


def _policy(settings: AlertmanagerSettings, routes: Collection[Route], peers: int) -> Policy:
    own = settings.missing_after
    return Policy(
        settle=settings.settle,
        missing_after=missing_after(routes, peers) if own is None else own,
        clears_vanished=settings.vanished == "clear",
        clears_unrouted=settings.unrouted == "clear",
        clears_silenced=settings.silenced == "clear",
        max_clears=settings.max_clears,
    )


def _learned(
    knowledge: Mapping[str, Knowledge],
    held: Mapping[str, HeldAlarm],
    shown: Mapping[str, Sighting],
    ours: Mapping[str, Collection[str]],
    now: Millis,
) -> Iterator[tuple[str, Knowledge | None]]:
    """Return what the ledger does not know yet of alerts; None: what it knows is no longer needed."""
    for name, alarm in held.items():
        known = knowledge.get(name, Knowledge())
        after = _after_return(known, alarm)
        if name in shown:
            after = _after_sighting(after, shown[name], ours)
        if after != known:
            yield name, after
    for name, known in knowledge.items():
        is_recent = known.cleared_at is not None and now - known.cleared_at <= (known.validity or 0)
        if name not in held and not is_recent:
            yield name, None


def _after_return(known: Knowledge, alarm: HeldAlarm) -> Knowledge:
    """Count it if an alert fires again soon after its alarm was cleared for its absence."""
    if known.cleared_at is None:
        return known
    is_soon = alarm.last_seen - known.cleared_at <= (known.validity or 0)
    return replace(known, strikes=known.strikes + 1 if is_soon else 0, cleared_at=None)


def _after_sighting(known: Knowledge, sighting: Sighting, ours: Mapping[str, Collection[str]]) -> Knowledge:
    validity = sighting.newest.validity
    before = known.validity or 0
    if _VALIDITY_TOLERANCE * before <= validity <= before:
        validity = before
    is_quiet = sighting.is_suppressed or (any(ours.values()) and not sighting.is_routed(ours)) or sighting.is_muted
    return replace(known, validity=validity, is_quiet=is_quiet)


def _longest(of_source: SourceKnowledge, shown: Mapping[str, Sighting]) -> Millis | None:
    """Return the longest validity of the source, if a round has shown a longer one."""
    longest = max((sighting.newest.validity for sighting in shown.values()), default=0)
    return longest if longest > (of_source.longest_validity or 0) else None
