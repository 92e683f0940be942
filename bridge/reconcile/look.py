"""One look at every peer of a source, for people: what differs from the ledger now, and what the running bridge knows.

In: the settings of a source, its ledger, and the rules. Out: a `Look`. It changes nothing, and needs no running bridge;
without one nothing tells for how long an alert has differed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from bridge.clock import Clock, Millis
from bridge.ledger import HeldAlarm, ListedDifference, NotificationReader, OfflineLedger, OfflineSource
from bridge.mapping.switches import Switch
from bridge.notification import Labels
from bridge.reconcile.answers import ListedAlert
from bridge.reconcile.changes import is_settled
from bridge.reconcile.comparison import Memory, compare
from bridge.reconcile.notices import Notice
from bridge.reconcile.notifications import notification
from bridge.reconcile.round import ask_once
from bridge.reconcile.settings import AlertmanagerSettings
from bridge.reconcile.tracks import Sighting


class Differing(msgspec.Struct, frozen=True):
    """An alert that differs.

    ``labels``: as a peer lists it, or else as its alarm holds them. ``alertmanager``: whether peers list it as
    ``firing``, as ``suppressed``, or not (``absent``). ``alarm``: its newest alarm without an end. ``known``: what the
    running bridge has stored of the difference; None: not yet, or no bridge compares the source.
    """

    fingerprint: str
    kind: str
    labels: Labels
    alertmanager: str
    alarm: HeldAlarm | None
    known: ListedDifference | None


class Look(msgspec.Struct, frozen=True):
    """What one look has shown.

    ``is_complete``: whether every peer answered. ``notices``: what an operator should know. ``is_compared``: whether a
    running bridge compares the source; if none does, nothing will be done about the alerts that differ.
    """

    at: Millis
    is_complete: bool
    notices: list[Notice]
    differing: list[Differing]
    is_compared: bool


async def look(
    settings: AlertmanagerSettings,
    name: str,
    ledger: OfflineLedger,
    reader: NotificationReader,
    clock: Clock,
    switch_of: Callable[[Labels], Switch | None],
    *,
    alarm_timeout: Millis,
) -> Look:
    """Ask every peer of a source once, and compare.

    Args:
        settings: of the source.
        name: the source's.
        ledger: its ledger.
        reader: maps alerts, since one that the rules drop is no difference.
        clock: the time.
        switch_of: the heartbeat of which an alert with these labels is a sign, if there is one.
        alarm_timeout: the shortest of all targets.

    Raises:
        LedgerUnavailableError: there is no ledger, or it cannot be read.
    """
    latest = await ask_once(settings, clock)
    source = ledger.source(name)
    held = {alarm.fingerprint: alarm for alarm in source.held}
    compared = partial(compare, settings, Memory(), latest, held, source.knowledge, source.of_source)
    comparison = compared(switch_of, alarm_timeout=alarm_timeout)
    last = ledger.ended(name, comparison.missing.keys())
    missing = [
        fingerprint
        for fingerprint, (sighting, _) in comparison.missing.items()
        if not (fingerprint in last and is_settled(last[fingerprint], sighting.newest.updated_at))
        and not _is_dropped(name, sighting.newest, comparison.receivers, reader)
    ]
    kinds = {one.fingerprint: str(one.kind) for one in comparison.ended} | dict.fromkeys(missing, "missing")
    stored = ledger.labels([held[fingerprint].seq for fingerprint in kinds if fingerprint in held])
    return Look(
        at=latest.ended_at,
        is_complete=not latest.failures,
        notices=list(comparison.notices.values()),
        differing=[
            _differing(fingerprint, kind, comparison.shown.get(fingerprint), held.get(fingerprint), source, stored)
            for fingerprint, kind in kinds.items()
        ],
        is_compared=source.is_compared,
    )


def _differing(
    fingerprint: str,
    kind: str,
    sighting: Sighting | None,
    alarm: HeldAlarm | None,
    source: OfflineSource,
    stored: Mapping[int, Labels],
) -> Differing:
    known = source.differences.get(fingerprint)
    return Differing(
        fingerprint=fingerprint,
        kind=kind,
        labels=sighting.newest.labels if sighting else stored.get(alarm.seq, {}) if alarm else {},
        alertmanager="absent" if sighting is None else "suppressed" if sighting.is_suppressed else "firing",
        alarm=alarm,
        known=known if known is not None and known.kind == kind else None,
    )


def _is_dropped(source: str, alert: ListedAlert, receivers: frozenset[str], reader: NotificationReader) -> bool:
    """Say whether the rules drop an alert for each of our receivers."""
    bodies = (notification(alert, one, {}) for one in sorted(receivers.intersection(alert.receivers)))
    return all(incoming.mapped is None for body in bodies for incoming in reader.open(source, body).incoming())
