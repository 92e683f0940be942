"""Parses a webhook's body and maps its alerts for the ledger; pure.

In: the body, its source and the rules. Out: one `ArrivedAlert` for each alert, which is mapped when the put asks for
it, and an `IntakeReport`: what is counted and logged about a notification, besides what the put made of its alerts.
Nothing is counted or logged here, so that it can run in the bridge's or in the writer process.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import msgspec
from msgspec.structs import replace

from bridge.event import Mapped
from bridge.ledger import ArrivedAlert, Effect, ParsedAlerts
from bridge.mapping import Fallback, Mapper
from bridge.notification import Alert, Group, Labels, Notification, Status, parse
from bridge.receiving.recent import cut
from bridge.receiving.replica_labels import ReplicaSighting, sightings

_MIN_ALERT_BYTES = 60
"""A lower bound for the size of one alert in a body: none with labels and a time is shorter."""

_MIN_GROUP_TEXT = 512
"""Characters of each text of the group that are stored beside each alert, however short the body is."""

_MAX_EVENT_NAMES = 20
"""Names of events that are logged of one notification."""

_encoder = msgspec.msgpack.Encoder()


class IntakeReport(msgspec.Struct, array_like=True):
    """What is counted and logged about one notification.

    ``statuses``: of its alerts, in their order. ``matched`` and ``dropped``: the number of alerts by rule.
    ``left_out``: the names of the labels and annotations that did not fit into AOM's limits, and ``fallbacks``: each
    with its alert's fingerprint. ``replicas``: the alerts that have the label of a Prometheus replica. ``effects``: how
    many alerts of each status had each effect on the ledger; known once they are committed. ``group``: the beginning of
    its group's key; ``group_labels``: that of its labels. ``event_names``: some of those that its alerts became.
    """

    receiver: str
    truncated_alerts: int
    statuses: list[Status]
    matched: dict[str, int] = {}
    dropped: dict[str, int] = {}
    left_out: list[tuple[str, tuple[str, ...]]] = []
    fallbacks: list[tuple[str, Fallback]] = []
    replicas: list[ReplicaSighting] = []
    effects: dict[Status, dict[Effect, int]] = {}
    group: str = ""
    group_labels: str = ""
    event_names: list[str] = []

    def add_effects(self, effects: Sequence[Effect]) -> None:
        """Add what the put made of each alert, in their order."""
        for status, effect in zip(self.statuses, effects, strict=True):
            counts = self.effects.setdefault(status, {})
            counts[effect] = counts.get(effect, 0) + 1

    def totals(self) -> dict[str, int]:
        """Return how many alerts had each effect."""
        totals: dict[str, int] = {}
        for effects in self.effects.values():
            for effect, count in effects.items():
                totals[effect] = totals.get(effect, 0) + count
        return totals

    @classmethod
    def unpacked(cls, packed: bytes) -> IntakeReport:
        """Return the report that `packed` has encoded."""
        return _decoder.decode(packed)

    def add(self, other: IntakeReport) -> None:
        """Add the report of another process that has mapped alerts of the same notification."""
        for counts, added in ((self.matched, other.matched), (self.dropped, other.dropped)):
            for rule, count in added.items():
                counts[rule] = counts.get(rule, 0) + count
        self.left_out += other.left_out
        self.event_names += other.event_names[: _MAX_EVENT_NAMES - len(self.event_names)]
        self.fallbacks += other.fallbacks

    def packed(self) -> bytes:
        """Return the report as MessagePack."""
        return _encoder.encode(self)


_decoder = msgspec.msgpack.Decoder(IntakeReport)


class ParsedNotification:
    """One notification that has been parsed.

    Args:
        source: the name of its source.
        notification: the notification.
        mapper: the rules.
        size: bytes of its body.

    Attributes:
        alerts: its alerts.
        report: what is counted and logged about it; complete once every alert that the put needs is mapped.
    """

    def __init__(self, source: str, notification: Notification, mapper: Mapper, size: int) -> None:
        self.alerts = notification.alerts
        self._source = source
        self._group = notification.group
        self._stored_group = _shortened(notification.group, max(_MIN_GROUP_TEXT, 4 * size // (len(self.alerts) or 1)))
        self._mapper = mapper
        statuses = [alert.status for alert in notification.alerts]
        self.report = IntakeReport(
            notification.group.receiver,
            notification.truncated_alerts,
            statuses,
            replicas=sightings(notification.alerts),
            group=cut(notification.group.group_key),
            group_labels=cut(", ".join(f"{name}={value}" for name, value in notification.group.group_labels.items())),
        )

    def arrival(self, alert: Alert) -> ArrivedAlert:
        """Return one of its alerts for the ledger; the put maps it when it needs to."""
        sign = self._mapper.switches.sign(self._source, alert.labels)
        group = self._group_of(alert)
        return ArrivedAlert(self._source, alert, group, partial(self.map, alert), sign)

    def mapped_arrival(self, alert: Alert) -> ArrivedAlert:
        """Return one of its alerts for the ledger, already mapped unless it is a sign of a heartbeat."""
        arrival = self.arrival(alert)
        if arrival.sign is not None:
            return arrival
        mapped = self.map(alert)
        return replace(arrival, mapped=lambda: mapped)

    def _group_of(self, alert: Alert) -> Group:
        """Return the part of the group that is stored beside an alert: the labels and annotations of the alert itself.

        For Alertmanager's own notifications that is all of them. For others it bounds what is stored to a multiple of
        the body's size, however many alerts share a large group.
        """
        group = self._stored_group
        return replace(
            group,
            group_labels=_common(group.group_labels, alert.labels),
            common_labels=_common(group.common_labels, alert.labels),
            common_annotations=_common(group.common_annotations, alert.annotations),
        )

    def map(self, alert: Alert) -> Mapped:
        """Map one of its alerts, and add what the rules did to the report."""
        result = self._mapper.map(self._source, alert, self._group)
        report, mapped = self.report, result.mapped
        for rule in result.matched or (mapped.rule,):
            report.matched[rule] = report.matched.get(rule, 0) + 1
        if mapped.event is None:
            report.dropped[mapped.rule] = report.dropped.get(mapped.rule, 0) + 1
        elif len(report.event_names) < _MAX_EVENT_NAMES:
            report.event_names.append(mapped.event.metadata["event_name"])
        if result.names_left_out:
            report.left_out.append((alert.fingerprint, result.names_left_out))
        report.fallbacks += [(alert.fingerprint, fallback) for fallback in result.fallbacks]
        return mapped


class AlertmanagerReader:
    """Parses and maps Alertmanager's notifications; the ledger's `NotificationReader`.

    Args:
        mapper: the rules.
    """

    def __init__(self, mapper: Mapper) -> None:
        self._mapper = mapper

    def open(self, source: str, body: bytes, /) -> ParsedAlerts:
        """Parse the body of a notification; the put maps the alerts when it needs to.

        Raises:
            PayloadError: the body is not a payload of Alertmanager.
        """
        notification = parse(body)
        parsed = ParsedNotification(source, notification, self._mapper, len(body))
        return ParsedAlerts([parsed.arrival(alert) for alert in notification.alerts], parsed.report.packed)


def max_alerts(body: bytes) -> int:
    """Return an upper bound for the number of alerts in a body."""
    return len(body) // _MIN_ALERT_BYTES + 1


def _shortened(group: Group, max_characters: int) -> Group:
    texts = {name: getattr(group, name)[:max_characters] for name in ("receiver", "group_key", "external_url")}
    return replace(group, **texts)


def _common(shared: Labels, own: Labels) -> Labels:
    if shared.items() <= own.items():  # fast path: almost every alert
        return shared
    return {name: value for name, value in own.items() if shared.get(name) == value}
