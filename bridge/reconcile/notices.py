"""What an operator should know about a source's Alertmanager, in words and with the fix; pure.

In: what a round has shown of the peers, the receivers that send to the bridge, and what was found in the peers'
configurations. Out: a `Notice` for each fact that keeps the ledger from being held in step, or loses alerts, or will.
It is said once in the log, and shown as long as it is true. Nothing is decided here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal, get_args

import msgspec

from bridge.clock import MINUTE, SECOND, Millis, format_duration
from bridge.mapping.switches import Switch
from bridge.reconcile.answers import ListedAlert
from bridge.reconcile.coverage import Coverage, PeerAnswer, Round
from bridge.reconcile.lint import Finding, FindingKind
from bridge.reconcile.routing import Route

NoticeKind = Literal[
    "silent", "clock", "balancer", "unlisted", "no_receiver", "hidden_mutes", "rare_signs", FindingKind
]
"""``silent``: a peer gives no valid answer. ``clock``: its clock differs from the bridge's. ``balancer``: several peers
answer at one address. ``unlisted``: the cluster has a peer that is not asked. ``no_receiver``: it is not known which
receiver sends to the bridge. ``hidden_mutes``: the peer does not show which alerts are muted by time. ``rare_signs``:
the alert of a heartbeat is posted more rarely than it is expected. The kinds of findings: a peer's configuration loses
alerts."""

NOTICE_KINDS: tuple[NoticeKind, ...] = get_args(NoticeKind)

_MAX_SKEW: Millis = MINUTE
_MAX_LINES = 5
_RESENDS = 2
"""A sender posts an alert again after this part of its validity at the latest (measured: Prometheus after half)."""

_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})")
_SHOWS_MUTES = (0, 28)
"""The first version whose groups tell which alerts are muted by time (measured)."""


class Notice(msgspec.Struct, frozen=True):
    """One fact; ``subject``: the peer's address, or another name of what it is about. ``text``: with the fix."""

    kind: NoticeKind
    subject: str
    text: str


def notices(
    latest: Round,
    coverage: Coverage,
    names: Collection[str],
    receivers: Collection[str],
    routes: Collection[Route],
    findings: Mapping[str, Sequence[Finding]],
    posts: Collection[tuple[Switch, ListedAlert]],
) -> dict[tuple[str, str], Notice]:
    """Return the notices after a round, by kind and subject.

    Args:
        latest: the round.
        coverage: the coverage after it.
        names: the receivers that the settings name, or that webhooks have named.
        receivers: those of them that have a webhook in a peer's configuration.
        routes: those that lead to them.
        findings: in each peer's configuration, by its address.
        posts: the alerts that are signs of heartbeats.
    """
    found = [
        *_silent(latest.failures),
        *(notice for answer in latest.answers for notice in _of_answer(answer, coverage, routes)),
        *(() if latest.failures else _unlisted(latest, coverage)),
        *(_no_receiver(names) if latest.answers and not receivers else ()),
        # Where none of ours has a webhook, the notice above says it all.
        *(_of_findings(findings) if receivers or not latest.answers else ()),
        *(notice for switch, alert in posts for notice in _rare_signs(switch, _seconds(alert.validity / _RESENDS))),
    ]
    return {(notice.kind, notice.subject): notice for notice in found}


def _silent(failures: Mapping[str, str]) -> Iterator[Notice]:
    for url, reason in failures.items():
        yield Notice("silent", url, f"the peer gives no valid answer, so no alarm is ended by absence: {reason}")


def _of_answer(answer: PeerAnswer, coverage: Coverage, routes: Collection[Route]) -> Iterator[Notice]:
    skew = answer.shown_skew
    if abs(skew) > _MAX_SKEW:
        difference = f"{format_duration(abs(skew))} {'ahead of' if skew > 0 else 'behind'} the bridge's"
        yield Notice("clock", answer.url, f"the peer's clock is {difference}. Fix: set both clocks by NTP.")
    if answer.url in coverage.balancers:
        text = "several Alertmanagers answer at this address in turn, so no alarm is ended by absence."
        yield Notice("balancer", answer.url, f"{text} Fix: urls with every peer, or dns with a headless Service.")
    timed = sorted({route.receiver for route in routes if route.is_timed})
    if timed and answer.status is not None and _version(answer.status.version) < _SHOWS_MUTES:
        text = f"routes to {', '.join(timed)} have time intervals, and Alertmanager {answer.status.version} does not "
        text += "show which alerts they mute, so no alert is raised whose webhook was lost."
        yield Notice("hidden_mutes", answer.url, f"{text} Fix: Alertmanager 0.28 or later.")


def _unlisted(latest: Round, coverage: Coverage) -> Iterator[Notice]:
    addresses = {
        name: address
        for answer in latest.answers
        if answer.status is not None
        for name, address in answer.status.peers.items()
    }
    for name in coverage.unnamed:
        text = f"the cluster has a peer {name} (its gossip address: {addresses.get(name, 'unknown')}) that the bridge "
        text += "does not ask, so no alarm is ended by absence."
        yield Notice("unlisted", name, f"{text} Fix: add its address to urls, or use dns.")


def _no_receiver(names: Collection[str]) -> Iterator[Notice]:
    if names:
        what = f"none of the receivers {', '.join(sorted(names))} has a webhook in Alertmanager's configuration"
        fix = "correct receivers, or add webhook_configs to the receiver."
    else:
        what = "it is not known which receiver sends to the bridge"
        fix = "receivers: [NAME], or wait for the first webhook."
    yield Notice("no_receiver", "receivers", f"{what}, so no alert is raised and none counts as unrouted. Fix: {fix}")


def _rare_signs(switch: Switch, pause: Millis) -> Iterator[Notice]:
    """Yield a notice if the alert of a heartbeat is posted again only after a longer pause than it may be."""
    if switch.missing_after is None or pause <= switch.every:
        return
    what = "late between two posts, and holds back clears meanwhile"
    fix = f"every: {format_duration(pause)}, and missing_after: {format_duration(2 * pause)} or longer"
    if pause >= switch.missing_after:
        what = f"missing between two posts, since missing_after is {format_duration(switch.missing_after)}"
    text = f"its alert is posted again only after up to {format_duration(pause)}, so it is {what}. Fix: {fix}; or a "
    text += "shorter interval of its rule and a shorter --rules.alert.resend-delay of Prometheus."
    yield Notice("rare_signs", f"heartbeat {switch.name}", text)


def _of_findings(findings: Mapping[str, Sequence[Finding]]) -> Iterator[Notice]:
    """Yield one notice for all findings of a kind and a receiver, though several peers have the same configuration."""
    groups: dict[tuple[FindingKind, str], dict[Finding, list[str]]] = {}
    for url, each in findings.items():
        for one in each:
            groups.setdefault((one.kind, one.receiver), {}).setdefault(one, []).append(url)
    for (kind, receiver), group in groups.items():
        first, urls = next(iter(group.items()))
        lines = list(dict.fromkeys(str(one.line) for one in group))
        shown = ", ".join(lines[:_MAX_LINES]) + (f" and {len(lines) - _MAX_LINES} more" * (len(lines) > _MAX_LINES))
        subject = f"receiver {receiver}, line{'s' * (len(lines) > 1)} {shown} of Alertmanager's configuration"
        only = "" if len(urls) == len(findings) else f" (only {', '.join(urls)})"
        yield Notice(kind, subject, f"{first.text}{only}")


def _seconds(span: float) -> Millis:
    return round(span / SECOND) * SECOND


def _version(text: str) -> tuple[int, ...]:
    """Return the first two numbers of a version; an unknown one counts as new."""
    found = _VERSION.match(text)
    return tuple(map(int, found.groups())) if found else _SHOWS_MUTES
