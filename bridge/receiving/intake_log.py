"""Counts and logs what a notification brought: its alerts, what the rules did with them, and what was lost.

In: `IntakeReport`s of notifications that are committed. Out: metrics and log lines, few enough that no sender fills the
disk. It changes nothing about an alert.
"""

from __future__ import annotations

import asyncio
from functools import cache

from bridge.log import logger, together
from bridge.mapping import Fallback
from bridge.metrics import Metrics
from bridge.receiving.parsed_notification import IntakeReport
from bridge.receiving.replica_labels import ReplicaWatch

_MAX_NAMES_LOGGED = 100
"""Labels and annotations of one alert in a log line; senders choose how many there are."""

_MAX_FALLBACKS_LOGGED = 1_000
"""Kinds of fallback that are logged: senders choose the words of severities, so there is no other bound."""

_log = logger("webhook")


class IntakeLog:
    """Counts and logs notifications that are kept.

    Args:
        metrics: where alerts and rules are counted.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._logged_fallbacks: set[tuple[str, str, str]] = set()
        self._unlogged: list[dict[str, object]] = []
        self._replicas = ReplicaWatch()
        self._alerts_by_effect = cache(metrics.alerts.labels)
        self._matches_by_rule = cache(metrics.rule_matches.labels)

    def note(self, source: str, report: IntakeReport) -> None:
        """Count and log one notification."""
        for status, effects in report.effects.items():
            for effect, count in effects.items():
                self._alerts_by_effect(status, effect).inc(count)
        group = {"receiver": report.receiver, "group": report.group_labels}
        self._log_stored({"source": source, **group, "alerts": len(report.statuses), **report.totals()})
        self._note_mapping(report)
        self._note_replicas(source, report)
        if report.truncated_alerts > 0:
            self._note_truncated(source, report)

    def _note_mapping(self, report: IntakeReport) -> None:
        if report.event_names:
            _log.debug("alerts mapped", receiver=report.receiver, event_names=", ".join(report.event_names))
        for rule, count in report.matched.items():
            self._matches_by_rule(rule).inc(count)
        for rule, count in report.dropped.items():
            self._metrics.dropped.labels(rule).inc(count)
        for fingerprint, names in report.left_out:
            self._metrics.left_out.inc(len(names))
            _log.debug(
                "labels or annotations left out for AOM's limits",
                fingerprint=fingerprint,
                names=", ".join(names[:_MAX_NAMES_LOGGED]),
            )
        for fingerprint, fallback in report.fallbacks:
            self._note_fallback(fingerprint, fallback)

    def _note_fallback(self, fingerprint: str, fallback: Fallback) -> None:
        """Count every fallback; log each field of a rule and each unknown severity once, to keep the log small."""
        self._metrics.fallbacks.labels(fallback.rule).inc()
        kind = (fallback.rule, fallback.field, fallback.word)
        if kind not in self._logged_fallbacks and len(self._logged_fallbacks) < _MAX_FALLBACKS_LOGGED:
            self._logged_fallbacks.add(kind)
            _log.warning(
                "mapping fell back; further ones of this kind are only counted",
                rule=fallback.rule,
                field=fallback.field,
                problem=fallback.problem,
                fingerprint=fingerprint,
            )

    def _note_replicas(self, source: str, report: IntakeReport) -> None:
        pair = self._replicas.see(source, report.replicas)
        if pair is not None:
            _log.warning(
                "two alerts differ only in one label and become separate alarms. Fix, if two Prometheus servers "
                "monitor the same: in both, alerting: {alert_relabel_configs: [{action: labeldrop, regex: LABEL}]}",
                source=source,
                receiver=report.receiver,
                label=pair.label,
                values=", ".join(pair.values),
            )

    def _log_stored(self, fields: dict[str, object]) -> None:
        """Log a notification together with the others of the same transaction: one write for many lines costs less."""
        self._unlogged.append(fields)
        if len(self._unlogged) == 1:
            asyncio.get_running_loop().call_soon(self._log_all_stored)

    def _log_all_stored(self) -> None:
        unlogged, self._unlogged = self._unlogged, []
        with together():
            for fields in unlogged:
                _log.info("notification kept", **fields)

    def _note_truncated(self, source: str, report: IntakeReport) -> None:
        self._metrics.truncated_alerts.inc(report.truncated_alerts)
        _log.error(
            "Alertmanager cut alerts off the notification; they are lost. Fix: max_alerts: 0 in its webhook_config",
            source=source,
            receiver=report.receiver,
            truncated_alerts=report.truncated_alerts,
        )
