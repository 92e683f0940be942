"""Writes an alert that the API shows as the notification that Alertmanager would have sent; pure.

In: an alert, the receiver, and the labels of its group. Out: the body of a webhook (payload v4), so that the rules map
it as they map any other.
"""

from __future__ import annotations

import msgspec

from bridge.clock import format_rfc3339
from bridge.notification import Labels, quoted_receiver
from bridge.reconcile.answers import ListedAlert


def notification(alert: ListedAlert, receiver: str, group_labels: Labels) -> bytes:
    """Return a notification that this alert fires, for one receiver."""
    common = {"labels": alert.labels, "annotations": alert.annotations}
    payload = {
        "version": "4",
        "status": "firing",
        "receiver": quoted_receiver(receiver),
        "groupLabels": group_labels,
        "commonLabels": alert.labels,
        "commonAnnotations": alert.annotations,
        "externalURL": "",
        "groupKey": "",
        "truncatedAlerts": 0,
        "alerts": [
            {
                **common,
                "status": "firing",
                "startsAt": format_rfc3339(alert.starts_at),
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": alert.generator_url,
                "fingerprint": alert.fingerprint,
            }
        ],
    }
    return msgspec.json.encode(payload)
