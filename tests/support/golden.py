"""Captured webhooks, and the events that each of their alerts becomes with the default mapping.

``tests/data/webhook/*.json`` are bodies that real Alertmanagers sent, ``tests/data/events/*.json`` are their events.
After a wanted change of the mapping, run this file as a script and read the difference before it is committed:

    python tests/support/golden.py && git diff tests/data/events
"""

import json

import msgspec
from paths import DATA

from bridge.clock import DAY
from bridge.mapping import Mapper, MappingSettings
from bridge.notification import parse

WEBHOOKS = sorted((DATA / "webhook").glob("*.json"))
NOW = 1_795_600_000_000
"""Some hours after the webhooks were captured, in November 2026."""


def golden(webhook):
    """Give the file that holds what a webhook's alerts become."""
    return DATA / "events" / webhook.name


def mapped(webhook):
    """Map a webhook's alerts with the default settings; give each with what it became."""
    mapper = Mapper(MappingSettings(), {"default": 5 * DAY}, "default")
    notification = parse(webhook.read_bytes())
    return [(alert, mapper.map("default", alert, notification.group)) for alert in notification.alerts]


def spelled(webhook):
    """Give the text of the golden file, as the code of today would write it."""
    rows = [
        {
            "fingerprint": alert.fingerprint,
            "status": alert.status,
            "target": result.mapped.target,
            "rule": result.mapped.rule,
            "event": msgspec.to_builtins(result.mapped.event),
            "left_out": result.left_out,
        }
        for alert, result in mapped(webhook)
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"


def rewrite():
    """Write every golden file anew, and remove those whose webhook is gone."""
    for left_over in (DATA / "events").glob("*.json"):
        left_over.unlink()
    for webhook in WEBHOOKS:
        golden(webhook).write_text(spelled(webhook), encoding="utf-8")


if __name__ == "__main__":
    rewrite()
