"""Asks every peer of a source once, for `send-test`: what each says of itself, and what keeps it from being useful.

In: the settings of a source. Out: a `Trial`. It needs no ledger and no running bridge, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from bridge.clock import Clock, Millis
from bridge.ledger import SourceKnowledge
from bridge.mapping.switches import Switch
from bridge.notification import Labels
from bridge.reconcile.comparison import Memory, compare
from bridge.reconcile.coverage import PeerAnswer, Round
from bridge.reconcile.lint import probable_receivers
from bridge.reconcile.notices import Notice
from bridge.reconcile.round import ask_once
from bridge.reconcile.routing import Routing, read_routing
from bridge.reconcile.settings import AlertmanagerSettings


class PeerTrial(msgspec.Struct, frozen=True):
    """What one peer answered.

    ``version``: empty for Mimir, whose status says nothing. ``state``: of its cluster, of ``peers`` peers. ``skew``:
    how far its clock is ahead of ours. ``receivers``: those that have a webhook; None: its configuration cannot be
    read. ``took``: from the first request to the answer.
    """

    url: str
    version: str
    state: str
    peers: int
    skew: Millis
    alerts: int
    receivers: Sequence[str] | None
    took: Millis


class Trial(msgspec.Struct, frozen=True):
    """What every peer answered, and what an operator should know."""

    peers: list[PeerTrial]
    notices: list[Notice]


async def trial(
    settings: AlertmanagerSettings,
    clock: Clock,
    switch_of: Callable[[Labels], Switch | None],
    *,
    alarm_timeout: Millis,
) -> Trial:
    """Ask every peer of a source once.

    Args:
        settings: of the source.
        clock: the time.
        switch_of: the heartbeat of which an alert with these labels is a sign, if there is one.
        alarm_timeout: the shortest of all targets.
    """
    latest = await ask_once(settings, clock)
    known = SourceKnowledge(receivers=_probable_receivers(latest))
    comparison = compare(settings, Memory(), latest, {}, {}, known, switch_of, alarm_timeout=alarm_timeout)
    routings = comparison.memory.routings
    tried = [_tried(answer, routings[answer.url][1]) for answer in latest.answers]
    has_told = settings.receivers or any(one.receivers is not None for one in tried)
    return Trial(tried, [one for one in comparison.notices.values() if has_told or one.kind != "no_receiver"])


def _probable_receivers(latest: Round) -> frozenset[str]:
    """Return the receivers that may send to the bridge: without a ledger it is not known which webhooks have named."""
    texts = {answer.status.config for answer in latest.answers if answer.status is not None}
    routings = (read_routing(text) for text in texts)
    return frozenset(name for one in routings if one is not None for name in probable_receivers(one))


def _tried(answer: PeerAnswer, routing: Routing | None) -> PeerTrial:
    status = answer.status
    return PeerTrial(
        url=answer.url,
        version=status.version if status else "",
        state=status.state if status else "",
        peers=len(status.peers) if status else 0,
        skew=answer.shown_skew,
        alerts=len(answer.alerts),
        receivers=None if routing is None else sorted(routing.webhooks),
        took=answer.took,
    )
