"""What is put into the ledger after an audit: rows that are due again, and alarms that it takes over; pure.

In: findings to act on, and the look that shows them. Out: the ledger's changes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from bridge import event as aom
from bridge.aom import ListedAlarm
from bridge.clock import Millis
from bridge.event import Event, Mapped
from bridge.ledger import Adopted, ArrivedAlert, AuditChange, ListedChange, ParsedAlerts, decisions
from bridge.notification import Alert, Group
from bridge.reconcile.answers import ListedAlert
from bridge.reconcile.audit.judge import Action, Finding, Look
from bridge.reconcile.notifications import notification

RULE = "audit"
"""What an alarm shows as its rule that was ended without having been known."""

_DECISIONS: Mapping[Action, decisions.Haunted | decisions.ClearedElsewhere] = {
    "clear": decisions.Haunted(),
    "report": decisions.ClearedElsewhere("report"),
    "wait": decisions.ClearedElsewhere("wait"),
    "finish": decisions.ClearedElsewhere("finish"),
}
_NO_GROUP = Group("", "", {}, {}, {}, "")


def of_known(finding: Finding, now: Millis) -> AuditChange | None:
    """Return the change of an alarm that the ledger knows; None: nothing is to be changed."""
    decision = decisions.Doubtful(now) if finding.action == "sweep" else _DECISIONS.get(finding.action)
    if finding.noted is None or decision is None:
        return None
    seq, last_seen, state = finding.noted
    return AuditChange(finding.key, seq, last_seen, state, decision)


def of_unknown(
    finding: Finding, look: Look, receivers: Collection[str], timeout: Millis, now: Millis
) -> ListedChange | None:
    """Return the change that brings an alarm into the ledger which only AOM holds.

    Args:
        finding: of an alert that the ledger does not know.
        look: what has shown it.
        receivers: those that send to the bridge, as far as they are known.
        timeout: of the target's alarms.
        now: the time.
    """
    source, fingerprint = finding.key
    entry = next((one for one in look.entries[finding.key] if (one.id, one.starts_at) == finding.entry), None)
    if entry is None:
        return None
    if finding.action == "end":
        return _ending(entry, look.target, timeout, now)
    alert = look.api[source].shown.get(fingerprint)
    if alert is None:
        return None
    adopted = Adopted(look.target, entry.id, entry.starts_at, entry.arrives_at or now, entry.metadata)
    return ListedChange("adopted", fingerprint, None, None, None, bodies=_bodies(alert, receivers), adopted=adopted)


def _bodies(alert: ListedAlert, receivers: Collection[str]) -> tuple[bytes, ...]:
    own = sorted(set(receivers).intersection(alert.receivers)) or sorted(alert.receivers)
    return tuple(notification(alert, receiver, {}) for receiver in own)


def _ending(entry: ListedAlarm, target: str, timeout: Millis, now: Millis) -> ListedChange:
    """Return an alarm that has resolved, with the metadata under which AOM holds it."""
    labels = {"alertname": entry.metadata.get("event_name", "")}
    alert = Alert(entry.fingerprint, "resolved", labels, {}, entry.starts_at, max(now, entry.starts_at + 1), "")
    fixed = {name: entry.metadata.get(name, "") for name in aom.MANDATORY}
    mapped = Mapped(Event({**fixed, **entry.metadata}, {}, timeout), target, RULE)
    arrival = ArrivedAlert(entry.source, alert, _NO_GROUP, lambda: mapped)
    return ListedChange("adopted", entry.fingerprint, None, None, None, alerts=(ParsedAlerts([arrival]).map(0),))
