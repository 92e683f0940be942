"""The alarm of a switch that is missing, in the words of an operator who sees nothing but the alarm; pure.

In: the verdict of a switch. Out: the alert for the ledger, mapped already. The rules of the configuration do not apply:
severity and target are those of the heartbeat.
"""

from __future__ import annotations

from bridge import event as aom
from bridge.clock import Millis, format_duration, format_rfc3339
from bridge.event import FINGERPRINT_KEY, SOURCE_KEY, Event, Mapped
from bridge.ledger import ArrivedAlert, IncomingAlert, ParsedAlerts
from bridge.notification import HEARTBEAT_MISSING, HEARTBEATS, Alert, Group, Sign, Status
from bridge.reconcile.heartbeats.states import FORGOTTEN_AFTER, Verdict

RUNBOOK = "https://github.com/aom-bridge/aom-bridge/blob/main/docs/runbooks/HeartbeatMissing.md"
RULE = "heartbeat"
"""What the alarm shows as its rule."""

_NO_GROUP = Group("", "", {}, {}, {}, "")


def missing(verdict: Verdict, target: str, timeout: Millis, now: Millis) -> IncomingAlert:
    """Return the alert that a switch is missing; ``target`` and its ``timeout``: where the alarm goes."""
    return _incoming(verdict.sign, _missing_text(verdict, now), "firing", verdict, target, timeout)


def recovered(verdict: Verdict, text: str, target: str, timeout: Millis, now: Millis) -> tuple[IncomingAlert, ...]:
    """Return the alerts that end the alarm of a switch, the first of which brings the text of its recovery."""
    told = _incoming(verdict.sign, text, "firing", verdict, target, timeout)
    over = IncomingAlert(HEARTBEATS, told.fingerprint, "resolved", told.starts_at, now, None, is_mapped=True)
    return told, over


def name_of(sign: Sign) -> str:
    """Return how a switch is called: the heartbeat's name, and the values of its `by` labels."""
    return "/".join([sign.heartbeat, *(f"{name}={value}" for name, value in sign.by.items())])


def recovery_text(verdict: Verdict, missing_since: Millis) -> str:
    """Return the text for a switch that has shown a sign again."""
    back = format_rfc3339(verdict.since)
    away = format_duration(_seconds(verdict.since - missing_since))
    return f"Heartbeat {name_of(verdict.sign)} is back since {back}; there was no sign of it for {away}."


def _missing_text(verdict: Verdict, now: Millis) -> str:
    name, since = name_of(verdict.sign), format_rfc3339(verdict.since)
    if verdict.has_ended:
        begin = f"Heartbeat {name} has stopped: Alertmanager says that its alert no longer fires; last sign at {since}."
    elif verdict.row is None:
        begin = f"Heartbeat {name} has never come since it is expected ({since})."
    else:
        begin = (
            f"Heartbeat {name} is missing: last sign at {since}, {format_duration(_seconds(now - verdict.since))} ago."
        )
    causes = (
        "Until it is back, alerts of this Prometheus may not be raised. Look, in this order: does Prometheus run and"
        " evaluate its rules (its page /rules)? Does it reach Alertmanager (/status, and the metric"
        " prometheus_notifications_dropped_total)? Does Alertmanager show the alert, and send it to aom-bridge?"
    )
    return f"{begin} {causes}{_forgotten_text(verdict)}"


def _forgotten_text(verdict: Verdict) -> str:
    if not verdict.settings.by:
        return ""
    clear = f"aom-bridge alarms clear {verdict.sign.fingerprint}"
    return f" If it is gone for good: {clear}; else this alarm ends by itself in {format_duration(FORGOTTEN_AFTER)}."


def _incoming(sign: Sign, text: str, status: Status, verdict: Verdict, target: str, timeout: Millis) -> IncomingAlert:
    annotations = {"message": text, "runbook_url": RUNBOOK}
    alert = Alert(sign.fingerprint, status, sign.labels, annotations, verdict.since, None, "")
    event = Event(_metadata(sign, verdict), aom.build_annotations(annotations)[0], timeout)
    mapped = Mapped(event, target, RULE)
    arrival = ArrivedAlert(HEARTBEATS, alert, _NO_GROUP, lambda: mapped)
    return ParsedAlerts([arrival]).incoming()[0]


def _metadata(sign: Sign, verdict: Verdict) -> dict[str, str]:
    fixed = {
        "event_name": HEARTBEAT_MISSING,
        "event_severity": verdict.settings.severity,
        "event_type": "alarm",
        "resource_provider": "aom-bridge",
        "resource_type": "heartbeat",
        "resource_id": name_of(sign),
        FINGERPRINT_KEY: sign.fingerprint,
        SOURCE_KEY: HEARTBEATS,
        "heartbeat": sign.heartbeat,
    }
    return aom.build_metadata(fixed, sign.by.items())[0]


def _seconds(duration: Millis) -> Millis:
    return max(duration, 0) // 1000 * 1000
