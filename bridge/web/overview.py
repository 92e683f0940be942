"""What the status page and ``/api/v1/status`` show, as plain values; pure.

In: what the ledger says, and what this process has seen (`Sights`, which the app fills from the packages that know).
Out: an `Overview`. Whatever only this process knows belongs to its replica; the rest is the whole ledger's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from bridge.clock import MINUTE, Millis
from bridge.event import SEVERITIES
from bridge.ledger import LedgerStatus
from bridge.metrics import Point
from bridge.web.languages import Span
from bridge.web.status import Trouble, in_step, troubles

_MAX_REFUSAL_AGE: Millis = 10 * MINUTE
"""Alertmanager sends a webhook again for about as long as this: an older refusal says nothing about now."""

StageName = Literal["received", "mapped", "waiting", "in_flight", "accepted", "clear_waiting", "rejected"]
_STAGES_OF_ALARMS: Mapping[StageName, tuple[str, str]] = {
    "waiting": ("reports", "waiting"),
    "in_flight": ("in_flight", "in_flight"),
    "accepted": ("accepted", "reported"),
    "clear_waiting": ("clears", "clear_due"),
    "rejected": ("rejected", "rejected"),
}
"""The stages that count alarms: the field of `bridge.ledger.Stages`, and the state that lists them."""


class ActionSight(msgspec.Struct, frozen=True):
    """How a target takes one action, as this replica has seen it; ``accepted_at``: when it accepted one last."""

    action: str
    state: str
    since: Millis
    reason: str
    detail: str
    next_try_at: Millis | None
    accepted_at: Millis | None


class CheckSight(msgspec.Struct, frozen=True):
    """What was tried at a target: credentials, list or clock; ``text``: what does not work, with the fix."""

    check: str
    works: bool
    text: str = ""


class TargetSight(msgspec.Struct, frozen=True):
    """One target, as this replica has seen it.

    ``requests``: to AOM within the last minute; ``max_requests``: how many its rate limit allows in a minute.
    ``token_expires_at``: None without a token.
    """

    name: str
    address: str
    actions: Sequence[ActionSight]
    checks: Sequence[CheckSight]
    requests: int
    max_requests: int
    token_expires_at: Millis | None


class PeerSight(msgspec.Struct, frozen=True):
    """One peer of a source in the last round; ``problem``: why its answer does not count, empty if it does."""

    address: str
    version: str
    problem: str


class NoticeSight(msgspec.Struct, frozen=True):
    """What an operator should know about a source's Alertmanager, with the fix."""

    kind: str
    subject: str
    text: str


class SourceSight(msgspec.Struct, frozen=True):
    """One source, as this replica has seen it.

    ``interval``: how often its Alertmanager is asked; None: it has none in the configuration. ``leads``: whether this
    replica asks it. ``webhook_at``: when a webhook of it was kept last. ``round_at``: when the last round ended.
    """

    name: str
    receivers: Sequence[str]
    webhook_at: Millis | None
    interval: Millis | None
    leads: bool
    round_at: Millis | None
    peers: Sequence[PeerSight]
    notices: Sequence[NoticeSight]


class HeartbeatSight(msgspec.Struct, frozen=True):
    """One switch of a heartbeat; ``by``: the values of its labels. ``text``: what is wrong, empty if nothing is."""

    name: str
    by: Mapping[str, str]
    state: str
    seen_at: Millis | None
    every: Millis
    text: str


class WebhookSight(msgspec.Struct, frozen=True):
    """One webhook that this replica has answered; ``took`` in milliseconds."""

    at: Millis
    source: str
    peer: str
    status: int
    took: Millis
    text: str
    receiver: str
    group: str
    alerts: int
    effects: Mapping[str, int]


class Sights(msgspec.Struct, frozen=True):
    """What this replica has seen; ``received`` and ``mapped``: alerts since its start.

    ``reload_problem``: why the configuration could not be reloaded the last time, empty if it could.
    """

    replica: str
    version: str
    started_at: Millis
    targets: Sequence[TargetSight]
    sources: Sequence[SourceSight]
    heartbeats: Sequence[HeartbeatSight]
    webhooks: Sequence[WebhookSight]
    points: Sequence[Point]
    open: Mapping[str, int]
    received: int
    mapped: int
    ledger: str
    reload_problem: str


class Stage(msgspec.Struct, frozen=True):
    """One stage of the path: how many are there, and since when the oldest is, or when the newest came.

    ``state``: what `/alarms` lists for it; empty for stages before the ledger.
    """

    name: StageName
    count: int
    at: Millis | None
    state: str


class Overview(msgspec.Struct, frozen=True):
    """Everything that the status page shows; ``wrong``: what is wrong, the worst first."""

    at: Millis
    is_in_step: bool
    sentence: Trouble
    wrong: Sequence[Trouble]
    stages: Sequence[Stage]
    open: Mapping[str, int]
    ledger: LedgerStatus
    sights: Sights


def overview(status: LedgerStatus, sights: Sights, known: Sequence[Trouble] = ()) -> Overview:
    """Put together what the ledger says and what this replica has seen; ``known``: what is wrong besides."""
    intervals = {one.name: one.interval for one in sights.sources if one.interval and one.name in status.sources}
    silent = {one.name: peer.address for one in sights.sources for peer in one.peers if peer.problem}
    late = [_late(one, status.at) for one in sights.heartbeats if one.text]
    wrong = [*known, *_not_kept(sights, status.at), *troubles(status, intervals, late, silent), *_unseen(sights)]
    return Overview(
        at=status.at,
        is_in_step=not wrong,
        sentence=wrong[0] if wrong else in_step(status),
        wrong=wrong,
        stages=list(_stages(status, sights)),
        open={severity: sights.open.get(severity, 0) for severity in SEVERITIES},
        ledger=status,
        sights=sights,
    )


def _late(one: HeartbeatSight, now: Millis) -> Trouble:
    return Trouble.of_heartbeat(one.name, one.by, one.state, None if one.seen_at is None else now - one.seen_at)


def _not_kept(sights: Sights, now: Millis) -> Iterator[Trouble]:
    """Yield the sources whose newest webhook could not be kept, as on a full disk: what they send is missing."""
    newest: dict[str, WebhookSight] = {}
    for one in sights.webhooks:
        newest.setdefault(one.source, one)
    for name, one in newest.items():
        if one.status >= 500 and now - one.at <= _MAX_REFUSAL_AGE:
            values = {"source": name, "status": one.status, "age": Span(max(now - one.at, 0)), "why": one.text}
            yield Trouble("status_not_kept", values, "bad", "AomBridgeWebhooksFailing")


def _unseen(sights: Sights) -> Iterator[Trouble]:
    """Yield what the ledger does not show: a reload that failed, and checks of targets that fail."""
    if sights.reload_problem:
        yield Trouble("status_reload", {"text": sights.reload_problem}, "warn", "AomBridgeConfigReloadFailed")
    for target in sights.targets:
        for check in target.checks:
            if not check.works:
                yield Trouble.of_check(target.name, check.check, check.text)


def _stages(status: LedgerStatus, sights: Sights) -> Iterator[Stage]:
    kept_at = max((one.webhook_at for one in sights.sources if one.webhook_at is not None), default=None)
    yield Stage("received", sights.received, kept_at, "")
    yield Stage("mapped", sights.mapped, kept_at, "")
    for name, (field, state) in _STAGES_OF_ALARMS.items():
        parts = [getattr(target.stages, field) for target in status.targets.values()]
        times = [part.at for part in parts if part.at is not None]
        newest = name in ("accepted", "rejected")
        at = (max if newest else min)(times, default=None)
        yield Stage(name, sum(part.count for part in parts), at, state)
