"""Tells what audits find: as metrics, and in the log once for each fact.

In: outcomes, findings, and what was done about them. Out: counters, gauges and log lines. Nothing is decided here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Literal, get_args

from bridge.aom import Outcome
from bridge.log import logger
from bridge.metrics import Metrics
from bridge.notification import OWN_SOURCES
from bridge.reconcile.audit.judge import Action, Finding, FindingKind
from bridge.reconcile.audit.memory import AuditMemory

AuditOutcome = Literal["complete", "incomplete", "failed", "blind"]
"""``complete``: AOM's list was read to its end, or its counts agree. ``incomplete``: it was cut off. ``failed``: it
could not be read. ``blind``: it shows nothing of what AOM has accepted."""

AUDIT_OUTCOMES: tuple[AuditOutcome, ...] = get_args(AuditOutcome)

SHOWN_KINDS: tuple[FindingKind, ...] = ("ghost", "foreign", "cleared_elsewhere")
"""The kinds that are differences by themselves; the others are mended by the look that proves them."""

_DONE: Mapping[Action, str] = {
    "clear": "AOM holds an alarm open that is over; its clear is due again",
    "sweep": "AOM holds several alarms open of one alert; all but one will be cleared",
    "report": "AOM no longer holds an alarm whose alert fires; it is reported again",
    "wait": "AOM no longer holds an open alarm; the next firing of its alert reports it",
    "finish": "AOM no longer holds an open alarm; it ends here, too (cleared_elsewhere: accept)",
    "adopt": "an alarm that AOM holds open is taken over",
    "end": "AOM holds an alarm open that nothing explains and whose alert does not fire; it is cleared",
}
_COUNTED: Mapping[FindingKind, str] = {
    "ghost": "ghost",
    "cleared_elsewhere": "cleared_elsewhere",
    "unknown": "adopted",
    "duplicate": "ghost",
}
COUNTED_KINDS: tuple[str, ...] = tuple(dict.fromkeys(_COUNTED.values()))

_FOREIGN = (
    "AOM holds alarms open of this source that this bridge has not reported. Is another bridge using the source? Fix: a"
    " source of its own for each bridge; after a lost ledger: audit_adopt: true"
)
_BLIND = (
    "AOM's list shows nothing of what AOM has accepted, so nothing is compared. Fix: enterprise_project_id, project_id"
    " and endpoint must be those of the alarms; aom-bridge send-test shows which it is"
)
_BRAKED = "many alarms differ from AOM's list at once; they wait until another look shows the same"

_log = logger("audit")


class AuditTelling:
    """Tells what the audits of every target find.

    Args:
        metrics: where it is counted.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._differences: dict[str, Counter[tuple[str, FindingKind]]] = {}
        self._sources: set[str] = set()
        self._told: set[tuple[str, str]] = set()
        self._troubled: dict[str, AuditOutcome] = {}

    def outcome(self, target: str, outcome: AuditOutcome, answer: Outcome | None = None) -> None:
        """Tell how an audit has ended; a trouble is said once."""
        self._metrics.audits.labels(target, outcome).inc()
        before = self._troubled.get(target, "complete")
        self._troubled[target] = outcome
        if outcome == before:
            return
        if outcome == "failed":
            _log.warning("AOM's list cannot be read", target=target, detail="" if answer is None else answer.detail)
        if outcome == "blind":
            _log.error(_BLIND, target=target)
        if outcome == "incomplete":
            _log.warning("AOM's list was cut off before its end; what it did not show proves nothing", target=target)
        if outcome == "complete":
            _log.info("AOM's list can be read again", target=target)

    def findings(self, target: str, due: Collection[Finding], memory: AuditMemory) -> None:
        """Tell what looks have shown."""
        self._differences[target] = Counter((one.key[0], one.kind) for one in due if one.kind in SHOWN_KINDS)
        self._show()
        waiting = len(memory.braked.difference(one.identity for one in due))
        self._metrics.audit_braked.labels(target).set(waiting)
        self._once(target, "braked", _BRAKED if waiting else "", waiting)
        foreign = Counter(one.key[0] for one in due if one.action == "tell" and one.key[0] not in OWN_SOURCES)
        for source in self._sources:
            text = _FOREIGN if foreign[source] else ""
            self._once(target, f"foreign {source}", text, foreign[source], source=source)

    def acted(self, target: str, finding: Finding) -> None:
        """Tell what was done about a finding."""
        source, fingerprint = finding.key
        self._metrics.reconciled.labels(source, _COUNTED[finding.kind]).inc()
        _log.info(_DONE[finding.action], target=target, source=source, fingerprint=fingerprint)

    def forget(self, target: str) -> None:
        """Forget a target, which another bridge audits now, or which is gone."""
        self._metrics.audit_braked.labels(target).set(0)
        if self._differences.pop(target, None):
            self._show()

    def _show(self) -> None:
        total: Counter[tuple[str, FindingKind]] = sum(self._differences.values(), Counter())
        self._sources.update(source for source, _ in total)
        for source in self._sources:
            for kind in SHOWN_KINDS:
                self._metrics.differences.labels(source, kind).set(total[source, kind])

    def _once(self, target: str, fact: str, text: str, alarms: int, **fields: str) -> None:
        """Say a fact once, and again when it has been over in between."""
        if not text:
            self._told.discard((target, fact))
        elif (target, fact) not in self._told:
            self._told.add((target, fact))
            _log.warning(text, target=target, alarms=alarms, **fields)
