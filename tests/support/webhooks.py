"""Webhooks as Alertmanager writes them: alerts, their resolves, and the bodies that carry them."""

import json

import aiohttp

from bridge.clock import format_rfc3339, system_clock
from bridge.notification import fingerprint

NO_END = "0001-01-01T00:00:00Z"


def alert(name="DiskFull", *, starts_at=None, ends_at=None, annotations=None, **labels):
    """Give one alert of a webhook; with ``ends_at`` it is resolved. Times are epoch milliseconds."""
    starts_at = system_clock() - 60_000 if starts_at is None else starts_at
    labels = {"alertname": name, "severity": "critical", **labels}
    return {
        "status": "firing" if ends_at is None else "resolved",
        "labels": labels,
        "annotations": {"summary": f"{name} summary"} if annotations is None else annotations,
        "startsAt": format_rfc3339(starts_at),
        "endsAt": NO_END if ends_at is None else format_rfc3339(ends_at),
        "generatorURL": "http://prometheus.example:9090/graph",
        "fingerprint": fingerprint(labels),
    }


def payload(*alerts, truncated=0, **more):
    """Give the body of one webhook."""
    return {
        "version": "4",
        "receiver": "aom",
        "status": "firing",
        "groupKey": "{}:{}",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example:9093",
        "truncatedAlerts": truncated,
        "alerts": list(alerts),
        **more,
    }


def resolved(one, after=30_000):
    """Give the resolve of a firing alert."""
    started = system_clock() - 60_000 + after
    return {**one, "status": "resolved", "endsAt": alert(ends_at=started)["endsAt"]}


async def post(url, *alerts):
    """Post one webhook; give the status."""
    data = json.dumps(payload(*alerts)).encode()
    async with aiohttp.ClientSession() as session, session.post(f"{url}/webhook", data=data) as response:
        return response.status
