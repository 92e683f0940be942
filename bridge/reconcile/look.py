"""One look at every peer of a source, for people: what differs from the ledger now, and what the running bridge knows.

In: the settings of a source, and what its ledger holds. Out: a `Look`. It changes nothing, and needs no running bridge;
without one nothing tells for how long an alert has differed.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bridge.clock import Clock, Millis
from bridge.ledger import HeldAlarm, ListedDifference, OfflineSource
from bridge.notification import Labels
from bridge.reconcile.comparison import Memory, compare
from bridge.reconcile.peer import Wanted
from bridge.reconcile.round import Peers
from bridge.reconcile.settings import AlertmanagerSettings


class Differing(msgspec.Struct, frozen=True):
    """An alert that differs.

    ``labels``: as a peer lists it; empty if none does. ``alertmanager``: whether peers list it as ``firing``, as
    ``suppressed``, or not (``absent``). ``alarm``: its newest alarm without an end. ``known``: what the running bridge
    has stored of the difference; None: not yet, or no bridge compares the source.
    """

    fingerprint: str
    kind: str
    labels: Labels
    alertmanager: str
    alarm: HeldAlarm | None
    known: ListedDifference | None


class Look(msgspec.Struct, frozen=True):
    """What one look has shown: why peers did not answer, by their addresses, and the alerts that differ."""

    at: Millis
    failures: Mapping[str, str]
    differing: list[Differing]


async def look(settings: AlertmanagerSettings, source: OfflineSource, clock: Clock) -> Look:
    """Ask every peer of a source once, and compare.

    Args:
        settings: of the source.
        source: what its ledger holds.
        clock: the time.
    """
    peers = Peers(settings, clock)
    await peers.start()
    try:
        latest = await peers.ask(Wanted())
    finally:
        await peers.stop()
    held = {alarm.fingerprint: alarm for alarm in source.held}
    comparison = compare(settings, Memory(), latest, held, source.knowledge, source.of_source)
    kinds = {one.fingerprint: str(one.kind) for one in comparison.ended} | dict.fromkeys(comparison.missing, "missing")
    differing = []
    for fingerprint, kind in kinds.items():
        sighting, known = comparison.shown.get(fingerprint), source.differences.get(fingerprint)
        differing.append(
            Differing(
                fingerprint=fingerprint,
                kind=kind,
                labels={} if sighting is None else sighting.newest.labels,
                alertmanager="absent" if sighting is None else "suppressed" if sighting.is_suppressed else "firing",
                alarm=held.get(fingerprint),
                known=known if known is not None and known.kind == kind else None,
            )
        )
    return Look(latest.ended_at, latest.failures, differing)
