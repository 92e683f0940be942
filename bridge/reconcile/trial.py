"""Asks every peer of a source once, for `send-test`: what each says of itself, and what keeps it from being useful.

In: the settings of a source. Out: a `Trial`. It needs no ledger and no running bridge, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bridge.clock import Clock, Millis
from bridge.ledger import SourceKnowledge
from bridge.reconcile.comparison import Memory, compare
from bridge.reconcile.coverage import PeerAnswer
from bridge.reconcile.notices import Notice
from bridge.reconcile.round import ask_once
from bridge.reconcile.routing import Routing
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


async def trial(settings: AlertmanagerSettings, clock: Clock, *, alarm_timeout: Millis) -> Trial:
    """Ask every peer of a source once.

    Args:
        settings: of the source.
        clock: the time.
        alarm_timeout: the shortest of all targets.
    """
    latest = await ask_once(settings, clock)
    comparison = compare(settings, Memory(), latest, {}, {}, SourceKnowledge(), alarm_timeout=alarm_timeout)
    routings = comparison.memory.routings
    # Without a ledger it is not known which receivers webhooks have named.
    notices = [one for one in comparison.notices.values() if settings.receivers or one.kind != "no_receiver"]
    return Trial([_tried(answer, routings[answer.url][1]) for answer in latest.answers], notices)


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
