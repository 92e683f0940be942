"""What this replica has seen, collected from the parts that know it, for the status page and ``/api/v1/status``.

In: the parts and the settings in use. Out: `Sights`, plain values: a page knows no part of the bridge. Nothing is asked
of AOM, of Alertmanager or of the ledger here.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import TypeVar

import msgspec
from prometheus_client import Counter, Gauge

from bridge import __version__
from bridge.aom import AomClient, TargetSettings
from bridge.app.reloader import Parts
from bridge.clock import MINUTE, SECOND, Clock, Millis
from bridge.config import Settings
from bridge.ledger import AlarmView
from bridge.mapping.explain import Explanation, GroupedAlert, explain
from bridge.metrics import History
from bridge.web.overview import (
    ActionSight,
    CheckSight,
    HeartbeatSight,
    NoticeSight,
    PeerSight,
    Sights,
    SourceSight,
    TargetSight,
    WebhookSight,
)

T = TypeVar("T")


class Replica:
    """Collects what this replica has seen.

    Args:
        settings: returns the settings in use.
        parts: the parts of the bridge.
        history: the last hour.
        clock: the time.

    Attributes:
        name: the name of its machine.
        parts: the parts of the bridge.
    """

    def __init__(self, settings: Callable[[], Settings], parts: Parts, history: History, clock: Clock) -> None:
        self._settings = settings
        self.parts = parts
        self._history = history
        self._clock = clock
        self._started_at = clock()
        self.name = socket.gethostname()

    def names(self) -> tuple[list[str], tuple[str, ...]]:
        """Return the names of the targets and of the sources."""
        settings = self._settings()
        return list(settings.targets), settings.audit_settings.every_source

    def sources(self) -> tuple[Sequence[str], Sequence[str]]:
        """Return the names of all sources, and of those that have an Alertmanager."""
        settings = self._settings()
        return settings.all_sources, list(settings.by_source)

    def explain(self, view: AlarmView, now: Millis) -> Explanation:
        """Return what the alert of an alarm becomes by the rules in use, and why."""
        grouped = GroupedAlert(view.alarm.source, view.context.alert, view.context.group)
        return explain(self._settings().mapping, self.parts.intake.mapper, grouped, now)

    def sights(self) -> Sights:
        """Return what this replica has seen until now."""
        settings, metrics = self._settings(), self.parts.metrics
        received, dropped = _total(metrics.alerts), _total(metrics.dropped)
        return Sights(
            replica=self.name,
            version=__version__,
            started_at=self._started_at,
            targets=[self._target(name, one) for name, one in settings.targets.items()],
            sources=[self._source(name, settings) for name in settings.all_sources],
            heartbeats=_plain(self.parts.reconciler.switches_seen(), HeartbeatSight),
            webhooks=_plain(self.parts.webhook.recent.newest(), WebhookSight),
            points=self._history.points(),
            open=self._open(),
            received=received,
            mapped=max(received - dropped, 0),
            ledger=self.parts.ledger.location,
            reload_problem=next(iter(self.parts.config_view.loaded.problems or ()), ""),
        )

    def _open(self) -> Mapping[str, int]:
        counts: dict[str, int] = {}
        for (_, severity), count in self.parts.ledger.open_counts().items():
            counts[severity] = counts.get(severity, 0) + count
        return counts

    def _target(self, name: str, settings: TargetSettings) -> TargetSight:
        client = self.parts.delivery.clients.get(name)
        accepted = self.parts.metrics.last_acceptance
        statuses = self.parts.delivery.health().get(name, ())
        actions = [
            ActionSight(
                action=status.action,
                state=status.state,
                since=status.since,
                reason=status.reason,
                detail=status.detail,
                next_try_at=status.next_try_at,
                accepted_at=_value(accepted.labels(name, status.action)),
            )
            for status in statuses
        ]
        checks = [
            CheckSight(check, not text, text) for check, text in self.parts.auditor.checks().get(name, {}).items()
        ]
        return TargetSight(
            name=name,
            address=settings.aom_url,
            actions=actions,
            checks=checks,
            requests=0 if client is None else client.sight.requests(self._clock()),
            max_requests=round(settings.rate_limit * (MINUTE // SECOND)),
            token_expires_at=_token_expiry(client),
        )

    def _source(self, name: str, settings: Settings) -> SourceSight:
        seen, alertmanager = self.parts.reconciler.sources_seen().get(name), settings.by_source.get(name)
        configured = alertmanager.receivers if alertmanager else ()
        posted = {one.receiver for one in self.parts.webhook.recent.newest() if one.source == name and one.receiver}
        return SourceSight(
            name=name,
            receivers=list(seen.receivers) if seen and seen.receivers else list(configured or sorted(posted)),
            webhook_at=self.parts.webhook.recent.last_at(name),
            interval=alertmanager.interval if alertmanager else None,
            leads=seen is not None and seen.leads,
            round_at=seen.round_at if seen else None,
            peers=_plain(seen.peers if seen else (), PeerSight),
            notices=_plain(seen.notices if seen else (), NoticeSight),
        )


def _token_expiry(client: AomClient | None) -> Millis | None:
    return None if client is None else client.credentials.expires_at


def _plain(values: object, kind: type[T]) -> list[T]:
    """Return values of another package as those of the page, which have the same fields."""
    return msgspec.convert(values, list[kind], from_attributes=True)  # type: ignore[valid-type]  # the type is a value here


def _value(gauge: Gauge) -> Millis | None:
    """Return a gauge of a time in seconds as milliseconds; None: it has not happened yet."""
    (sample,) = chain.from_iterable(family.samples for family in gauge.collect())
    return int(sample.value * SECOND) or None


def _total(counter: Counter) -> int:
    samples = chain.from_iterable(family.samples for family in counter.collect())
    return int(sum(sample.value for sample in samples))
