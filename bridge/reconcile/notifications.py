"""Writes an alert that the API shows as the notification that Alertmanager would have sent; pure.

In: an alert, the receiver, and the labels of its group. Out: the body of a webhook (payload v4), so that the rules map
it as they map any other.
"""

from __future__ import annotations

from bridge.notification import Alert, Group, Labels, Notification, quoted_receiver, written
from bridge.reconcile.answers import ListedAlert


def notification(alert: ListedAlert, receiver: str, group_labels: Labels) -> bytes:
    """Return a notification that this alert fires, for one receiver."""
    group = Group(
        receiver=quoted_receiver(receiver),
        group_key="",
        group_labels=group_labels,
        common_labels=alert.labels,
        common_annotations=alert.annotations,
        external_url="",
    )
    firing = Alert(
        fingerprint=alert.fingerprint,
        status="firing",
        labels=alert.labels,
        annotations=alert.annotations,
        starts_at=alert.starts_at,
        ends_at=None,
        generator_url=alert.generator_url,
    )
    return written(Notification(group, (firing,), truncated_alerts=0))
