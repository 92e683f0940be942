"""The load: webhook bodies as Alertmanager writes them, with as many different alerts as are asked for.

An alert is a seed and a number: the same pair is the same alert, in every process. It has 10 labels and 3 annotations
and takes about 750 bytes.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from bridge.clock import format_rfc3339
from bridge.notification import fingerprint

Json = dict[str, Any]

_NO_END = "0001-01-01T00:00:00Z"
_COMMON_LABELS = {
    "alertname": "KubePodNotReady",
    "cluster": "prod-eu-1",
    "job": "kube-state-metrics",
    "prometheus": "monitoring/k8s",
    "severity": "warning",
}
_COMMON_ANNOTATIONS = {
    "runbook_url": "https://runbooks.example/kubernetes/kubepodnotready",
    "summary": "Pod has been in a non-ready state for more than 15 minutes.",
}
_MESSAGE = (
    "The pod is scheduled, yet one of its containers has not passed its readiness probe. Requests to the service go to "
    "the other pods meanwhile. Look at the events and the log of the pod first, then at the node that it runs on, and "
    "at what was rolled out lately; if the image or the configuration is the cause, roll it back, and tell the others."
)
_GENERATOR = "http://prometheus.example:9090/graph?g0.expr=kube_pod_status_phase+%3E+0&g0.tab=1"


def _spread(seed: str, number: int) -> str:
    """Return an id as Kubernetes gives its objects: evenly spread."""
    return hashlib.blake2b(f"{seed}/{number}".encode(), digest_size=8).hexdigest()


def labels_of(seed: str, number: int) -> dict[str, str]:
    """Return the labels of one alert."""
    spread = _spread(seed, number)
    return {
        "alertname": _COMMON_LABELS["alertname"],
        "cluster": _COMMON_LABELS["cluster"],
        "container": "server",
        "instance": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}:8080",
        "job": _COMMON_LABELS["job"],
        "namespace": f"shop-{number % 40}",
        "pod": f"checkout-{seed}-{number}-{spread[:5]}",
        "prometheus": _COMMON_LABELS["prometheus"],
        "severity": _COMMON_LABELS["severity"],
        "uid": spread,
    }


def annotations_of(labels: dict[str, str]) -> dict[str, str]:
    """Return the annotations of an alert with these labels."""
    return {
        "description": f"Pod {labels['namespace']}/{labels['pod']} has been non-ready for longer than 15 minutes.",
        **_COMMON_ANNOTATIONS,
    }


def alert(seed: str, number: int, starts_at: int) -> Json:
    """Return one firing alert of a webhook; ``starts_at`` in epoch milliseconds."""
    labels = labels_of(seed, number)
    return {
        "status": "firing",
        "labels": labels,
        "annotations": annotations_of(labels),
        "startsAt": format_rfc3339(starts_at),
        "endsAt": _NO_END,
        "generatorURL": _GENERATOR,
        "fingerprint": fingerprint(labels),
    }


def posted(seed: str, number: int) -> Json:
    """Return one alert as Prometheus posts it to Alertmanager."""
    labels = labels_of(seed, number)
    return {"labels": labels, "annotations": annotations_of(labels), "generatorURL": _GENERATOR}


def listed(seed: str, number: int, starts_at: int, updated_at: int, validity: int) -> Json:
    """Return one alert as Alertmanager's API lists it; times in epoch milliseconds. It takes about 1.3 KB."""
    labels = labels_of(seed, number)
    return {
        "annotations": {**annotations_of(labels), "message": _MESSAGE},
        "endsAt": format_rfc3339(updated_at + validity),
        "fingerprint": fingerprint(labels),
        "receivers": [{"name": "aom"}],
        "startsAt": format_rfc3339(starts_at),
        "status": {"inhibitedBy": [], "silencedBy": [], "state": "active"},
        "updatedAt": format_rfc3339(updated_at),
        "generatorURL": _GENERATOR,
        "labels": labels,
    }


def body(seed: str, first: int, count: int, starts_at: int) -> bytes:
    """Return the body of one webhook with ``count`` alerts, from the number ``first`` on."""
    alerts = [alert(seed, number, starts_at) for number in range(first, first + count)]
    alone = count == 1
    payload = {
        "receiver": "aom",
        "status": "firing",
        "alerts": alerts,
        "groupLabels": {"alertname": _COMMON_LABELS["alertname"]},
        "commonLabels": alerts[0]["labels"] if alone else _COMMON_LABELS,
        "commonAnnotations": alerts[0]["annotations"] if alone else _COMMON_ANNOTATIONS,
        "externalURL": "http://alertmanager.example:9093",
        "version": "4",
        "groupKey": '{}:{alertname="KubePodNotReady"}',
        "truncatedAlerts": 0,
    }
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
