"""The load: webhook bodies as Alertmanager writes them, with as many different alerts as are asked for.

An alert is a seed and a number: the same pair is the same alert, in every process. It has 10 labels and 3 annotations
and takes about 750 bytes.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from bridge.clock import format_rfc3339

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
_GENERATOR = "http://prometheus.example:9090/graph?g0.expr=kube_pod_status_phase+%3E+0&g0.tab=1"


def fingerprint(seed: str, number: int) -> str:
    """Return what stands for Alertmanager's own hash: as long, and as evenly spread."""
    return hashlib.blake2b(f"{seed}/{number}".encode(), digest_size=8).hexdigest()


def labels_of(seed: str, number: int) -> dict[str, str]:
    """Return the labels of one alert."""
    spread = fingerprint(seed, number)
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
        "fingerprint": fingerprint(seed, number),
    }


def posted(seed: str, number: int) -> Json:
    """Return one alert as Prometheus posts it to Alertmanager."""
    labels = labels_of(seed, number)
    return {"labels": labels, "annotations": annotations_of(labels), "generatorURL": _GENERATOR}


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
