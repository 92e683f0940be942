"""The alarm of a switch that is missing, in the words of an operator who sees nothing but the alarm; pure.

In: the verdict of a switch, and why it may be so. Out: the alert for the ledger, mapped already. The rules of the
configuration do not apply: severity and target are those of the heartbeat.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bridge import event as aom
from bridge.clock import Millis, format_duration, format_rfc3339
from bridge.event import FINGERPRINT_KEY, SOURCE_KEY, Event, Mapped
from bridge.ledger import ArrivedAlert, IncomingAlert, ParsedAlerts
from bridge.notification import HEARTBEAT_MISSING, HEARTBEATS, Alert, Group, Sign
from bridge.reconcile.heartbeats.explanation import Both, Explanation
from bridge.reconcile.heartbeats.states import FORGOTTEN_AFTER, Verdict

RUNBOOK = "https://github.com/aom-bridge/aom-bridge/blob/main/docs/runbooks/HeartbeatMissing.md"
RULE = "heartbeat"
"""What the alarm shows as its rule."""

_NO_GROUP = Group("", "", {}, {}, {}, "")


class Place(msgspec.Struct, frozen=True):
    """Where the alarm goes: a target, and its `alarm_timeout`."""

    target: str
    timeout: Millis


def missing(verdict: Verdict, why: Explanation, place: Place) -> IncomingAlert:
    """Return the alert that a switch is missing; it fires since the last sign.

    AOM's event has one message for both languages, here in English; the Chinese cause begins with what is missing.
    """
    what, look_at = _missing_text(verdict), why.look_at + _forgotten_text(verdict)
    annotations = {
        "message": f"{what.en} {why.probable.en} {look_at.en}",
        "alarm_probableCause_en_us": why.probable.en,
        "alarm_probableCause_zh_cn": (what + why.probable).zh,
        "alarm_fix_suggestion_en_us": f"{look_at.en} {RUNBOOK}",
        "alarm_fix_suggestion_zh_cn": f"{look_at.zh} {RUNBOOK}",
    }
    return _incoming(verdict, annotations, verdict.since, place)


def recovered(
    verdict: Verdict, text: str, missing_since: Millis, place: Place, now: Millis
) -> tuple[IncomingAlert, ...]:
    """Return the alerts that end the alarm of a switch, the first of which brings the text of its recovery.

    Args:
        verdict: of the switch.
        text: of its recovery.
        missing_since: since when its alarm fires.
        place: where the alarm goes.
        now: the time.
    """
    told = _incoming(verdict, {"message": text}, missing_since, place)
    over = IncomingAlert(HEARTBEATS, told.fingerprint, "resolved", told.starts_at, now, None, is_mapped=True)
    return told, over


def name_of(sign: Sign) -> str:
    """Return how a switch is called: the heartbeat's name, and the values of its `by` labels."""
    return "/".join([sign.heartbeat, *(f"{name}={value}" for name, value in sign.by.items())])


def late_text(verdict: Verdict) -> str:
    """Return the text about a switch that is late or missing, for the command line."""
    since = f"its last sign came at {format_rfc3339(verdict.since)}" if verdict.row else "no sign of it has ever come"
    return f"heartbeat {name_of(verdict.sign)} is {verdict.state}: {since}"


def recovery_text(verdict: Verdict, missing_since: Millis) -> str:
    """Return the text for a switch that has shown a sign again."""
    back = format_rfc3339(verdict.since)
    away = format_duration(_seconds(verdict.since - missing_since))
    return f"Heartbeat {name_of(verdict.sign)} is back since {back}; there was no sign of it for {away}."


def _missing_text(verdict: Verdict) -> Both:
    """Return what is missing; nothing in it changes while the alarm is open."""
    signs = ", ".join(matcher.text for matcher in verdict.settings.switch.match)
    return _begin_text(verdict) + Both(
        f" Its signs are the alerts with {signs}; until it is back, alerts of this Prometheus may not be raised.",
        f"其信号是带有 {signs} 的告警；在其恢复之前，该 Prometheus 的告警可能不会产生。",
    )


def _begin_text(verdict: Verdict) -> Both:
    name, since, settings = name_of(verdict.sign), format_rfc3339(verdict.since), verdict.settings
    if verdict.has_ended:
        return Both(
            f"Heartbeat {name} has stopped; its last sign came at {since}.",
            f"心跳 {name} 已停止；最近一次信号的时间为 {since}。",
        )
    if verdict.row is None:
        return Both(
            f"Heartbeat {name} was expected from {since} on, and no sign of it has come.",
            f"心跳 {name} 自 {since} 起应有信号，但从未收到。",
        )
    every, after = format_duration(settings.every), format_duration(settings.missing_after)
    return Both(
        f"Heartbeat {name} is missing: its last sign came at {since}; one is expected every {every}, and it is missing"
        f" after {after} without one.",
        f"心跳 {name} 缺失：最近一次信号的时间为 {since}；预期间隔为 {every}，超过 {after} 没有信号即视为缺失。",
    )


def _forgotten_text(verdict: Verdict) -> Both:
    if not verdict.settings.by:
        return Both("", "")
    clear, after = f"aom-bridge alarms clear {verdict.sign.fingerprint}", format_duration(FORGOTTEN_AFTER)
    return Both(
        f" If it is gone for good: {clear}; else this alarm ends by itself in {after}.",
        f"如果它已永久停用，请执行：{clear}；否则本告警将在 {after} 后自动结束。",
    )


def _incoming(verdict: Verdict, texts: Mapping[str, str], starts_at: Millis, place: Place) -> IncomingAlert:
    sign, annotations = verdict.sign, {**texts, "runbook_url": RUNBOOK}
    alert = Alert(sign.fingerprint, "firing", sign.labels, annotations, starts_at, None, "")
    event = Event(_metadata(sign, verdict), aom.build_annotations(annotations)[0], place.timeout)
    mapped = Mapped(event, place.target, RULE)
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
