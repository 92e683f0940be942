"""Intake: from a webhook's body to what the ledger puts; pure, so that it runs in whichever process has time for it.

In: the body, its source and the rules. Out: the `ArrivedAlert`s of its alerts, which are mapped when the put asks for
it, and `IntakeReport`: all that is counted and logged of a notification besides its outcomes. Nothing is counted or
logged here.
"""

from __future__ import annotations

import pickle
from functools import lru_cache, partial

import msgspec
from msgspec.structs import replace

from bridge.event import Mapped
from bridge.ledger import ArrivedAlert, ParsedAlerts
from bridge.mapping import Fallback, Mapper
from bridge.notification import Alert, Group, Labels, Notification, Status, parse
from bridge.receiving.replica_labels import ReplicaSighting, sightings

_MIN_ALERT_BYTES = 60
"""Bytes of a body; none with labels and a time is shorter."""

_MIN_SHARE = 512
"""Characters of a text of the group that are kept beside each alert, however short the body."""

_encoder = msgspec.msgpack.Encoder()


class IntakeReport(msgspec.Struct, array_like=True):
    """What is to be told of one notification.

    ``statuses``: of its alerts, in their order. ``matched`` and ``dropped``: so many alerts by rule. ``left_out``: the
    names of the labels and annotations that found no place within AOM's limits; and ``fallbacks``: each with its
    alert's fingerprint. ``replicas``: those that have the label of a Prometheus replica.
    """

    receiver: str
    truncated_alerts: int
    statuses: list[Status]
    matched: dict[str, int] = {}
    dropped: dict[str, int] = {}
    left_out: list[tuple[str, tuple[str, ...]]] = []
    fallbacks: list[tuple[str, Fallback]] = []
    replicas: list[ReplicaSighting] = []

    @classmethod
    def unpacked(cls, packed: bytes) -> IntakeReport:
        """Return what `packed` packed."""
        return _decoder.decode(packed)

    def add(self, other: IntakeReport) -> None:
        """Add what was noted elsewhere while the same notification was mapped."""
        for mine, theirs in ((self.matched, other.matched), (self.dropped, other.dropped)):
            for rule, count in theirs.items():
                mine[rule] = mine.get(rule, 0) + count
        self.left_out += other.left_out
        self.fallbacks += other.fallbacks

    def packed(self) -> bytes:
        """Return it as bytes."""
        return _encoder.encode(self)


_decoder = msgspec.msgpack.Decoder(IntakeReport)


class Intake:
    """One notification that has been parsed.

    Args:
        source: where it came from.
        notification: the notification.
        mapper: the rules.
        size: bytes of its body.

    Attributes:
        alerts: its alerts.
        notes: what is to be told of it; complete once all is mapped that has to be.
    """

    def __init__(self, source: str, notification: Notification, mapper: Mapper, size: int) -> None:
        self.alerts = notification.alerts
        self._source = source
        self._group = notification.group
        self._kept_group = _shortened(notification.group, max(_MIN_SHARE, 4 * size // (len(self.alerts) or 1)))
        self._mapper = mapper
        statuses = [alert.status for alert in notification.alerts]
        self.notes = IntakeReport(
            notification.group.receiver,
            notification.truncated_alerts,
            statuses,
            replicas=sightings(notification.alerts),
        )

    def arrival(self, alert: Alert) -> ArrivedAlert:
        """Return one of its alerts for the ledger, to be mapped when it is asked for."""
        return ArrivedAlert(
            source=self._source, alert=alert, group=self._carried(alert), mapped=partial(self.map, alert)
        )

    def mapped_arrival(self, alert: Alert) -> ArrivedAlert:
        """Return one of its alerts for the ledger, mapped."""
        mapped = self.map(alert)
        return ArrivedAlert(source=self._source, alert=alert, group=self._carried(alert), mapped=lambda: mapped)

    def _carried(self, alert: Alert) -> Group:
        """Return what is kept of the group beside an alert: what the alert itself carries, which honest senders share.

        So what is kept of a body is no more than a multiple of it, however many alerts share a large group.
        """
        group = self._kept_group
        return replace(
            group,
            group_labels=_common(group.group_labels, alert.labels),
            common_labels=_common(group.common_labels, alert.labels),
            common_annotations=_common(group.common_annotations, alert.annotations),
        )

    def map(self, alert: Alert) -> Mapped:
        """Map one of its alerts, and note how."""
        result = self._mapper.map(self._source, alert, self._group)
        notes, mapped = self.notes, result.mapped
        for rule in result.matched or (mapped.rule,):
            notes.matched[rule] = notes.matched.get(rule, 0) + 1
        if mapped.event is None:
            notes.dropped[mapped.rule] = notes.dropped.get(mapped.rule, 0) + 1
        if result.names_left_out:
            notes.left_out.append((alert.fingerprint, result.names_left_out))
        notes.fallbacks += [(alert.fingerprint, fallback) for fallback in result.fallbacks]
        return mapped


class RawNotification(msgspec.Struct, frozen=True):
    """One notification as it came, with the rules to map it by; another process can open it.

    ``rules``: a `Mapper`, as pickle packs it.
    """

    source: str
    body: bytes
    rules: bytes

    @property
    def most(self) -> int:
        """At most so many alerts are in it."""
        return len(self.body) // _MIN_ALERT_BYTES + 1

    def open(self) -> ParsedAlerts:
        """Parse it; its alerts are mapped when they are asked for.

        Raises:
            PayloadError: it is no payload of Alertmanager.
        """
        notification = parse(self.body)
        intake = Intake(self.source, notification, _mapper(self.rules), len(self.body))
        return ParsedAlerts([intake.arrival(alert) for alert in notification.alerts], intake.notes.packed)


def _shortened(group: Group, longest: int) -> Group:
    texts = {name: getattr(group, name)[:longest] for name in ("receiver", "group_key", "external_url")}
    return replace(group, **texts)


def _common(shared: Labels, own: Labels) -> Labels:
    if shared.items() <= own.items():  # as nearly always
        return shared
    return {name: value for name, value in own.items() if shared.get(name) == value}


@lru_cache(maxsize=2)
def _mapper(rules: bytes) -> Mapper:
    mapper: Mapper = pickle.loads(rules)  # noqa: S301 - it is our own other half
    return mapper
