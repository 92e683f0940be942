"""The metrics of the whole bridge, on a registry of their own.

In: the closed sets of words that labels take (`LabelSets`), the targets and the rules. Out: counters, gauges and
histograms, each defined beside the values that its labels take. Every series of a closed set exists from the start at
0, so that a rate over it means something on the first day. Names and labels are a contract with dashboards and alert
rules. This module imports no other package of the bridge: the app hands the words in.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from bridge.metrics.label_sets import LabelSets

disable_created_metrics()  # type: ignore[no-untyped-call]  # a `_created` series beside each counter doubles every scrape and answers no question

_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_DELIVERY_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21600)
_BATCH_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200)


class _Configured(Enum):
    """A set of label values that the configuration decides."""

    TARGETS = "targets"
    RULES = "rules"
    DROPPING_RULES = "rules that drop"
    SOURCES = "sources with an Alertmanager"
    EVERY_SOURCE = "every source"
    HEARTBEATS = "heartbeats"


_TARGETS, _RULES, _DROPPING_RULES, _SOURCES, _EVERY_SOURCE, _HEARTBEATS = _Configured
_Labels = Mapping[str, Sequence[str] | _Configured]
_Metric = TypeVar("_Metric", Counter, Gauge, Histogram)


class Metrics:
    """All counters, gauges and histograms.

    Args:
        version: of the bridge, for ``build_info``.
        python: the interpreter's version, likewise.
        sets: the words that labels take.
    """

    def __init__(self, version: str, python: str, sets: LabelSets) -> None:
        self.registry = CollectorRegistry()
        self._presets: list[tuple[Counter | Gauge | Histogram, _Labels]] = []
        self._define_receiving(sets)
        self._define_ledger(sets)
        self._define_delivery(sets)
        self._define_reconcile(sets)
        self._define_audit(sets)
        self._define_heartbeats(sets)
        self._define_mapping()
        self._define_web(sets)
        self._define_configuration()
        build = {"version": (version,), "python_version": (python,)}
        self.build_info = self._gauge("aom_bridge_build_info", "Versions of the bridge and of Python; always 1.", build)
        self.build_info.labels(version, python).set(1)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)

    def _define_receiving(self, sets: LabelSets) -> None:
        self.webhook_requests = self._counter(
            "aom_bridge_webhook_requests_total", "Responses to webhooks, by status code.", {"code": sets.codes}
        )
        self.webhook_seconds = self._histogram(
            "aom_bridge_webhook_request_seconds",
            "Time from the first byte of a webhook to its response.",
            _REQUEST_BUCKETS,
        )
        self.alerts = self._counter(
            "aom_bridge_alerts_total",
            "Alerts received, by their status and by what the ledger did with them.",
            *({"status": (status,), "outcome": effects} for status, effects in sets.effects.items()),
        )

    def _define_ledger(self, sets: LabelSets) -> None:
        self.alarms = self._gauge(
            "aom_bridge_alarms",
            "Alarms in the ledger, by state and target.",
            {"state": sets.states, "target": _TARGETS},
        )
        self.open_alarms = self._gauge(
            "aom_bridge_open_alarms",
            "Alarms whose alerts are still firing, by target and by AOM's severity.",
            {"target": _TARGETS, "severity": sets.severities},
        )
        self.max_open = self._gauge(
            "aom_bridge_ledger_max_open_alarms", "Maximum number of open alarms (store.max_open)."
        )
        self.ledger_bytes = self._gauge("aom_bridge_ledger_bytes", "Size of the ledger on disk or in its database.")
        self.oldest_due_age = self._gauge(
            "aom_bridge_oldest_due_age_seconds",
            "For how long the alarm that has waited longest has been due; 0 when none is due.",
            {"target": _TARGETS},
        )

    def _define_delivery(self, sets: LabelSets) -> None:
        self.pushes = self._counter(
            "aom_bridge_pushes_total",
            "Attempts to report or clear a batch of alarms, by outcome; with not_sent or unauthorized it may not have "
            "been sent.",
            {"target": _TARGETS, "action": sets.actions, "outcome": sets.outcomes},
        )
        self.lookups = self._counter(
            "aom_bridge_lookups_total",
            "Look-ups of AOM's ids before clears, by outcome.",
            {"target": _TARGETS, "outcome": sets.outcomes},
        )
        self.push_duration = self._histogram(
            "aom_bridge_push_duration_seconds", "Duration of one push with its quick retries.", _REQUEST_BUCKETS
        )
        self.batch_events = self._histogram("aom_bridge_batch_events", "Number of events in one push.", _BATCH_BUCKETS)
        self.delivery = self._histogram(
            "aom_bridge_delivery_seconds",
            "Time from the receipt of an alert to AOM's acceptance.",
            _DELIVERY_BUCKETS,
            {"action": sets.actions},
        )
        self.alert_age = self._histogram(
            "aom_bridge_alert_age_at_delivery_seconds",
            "Time from an alert's startsAt, or endsAt for a clear, to AOM's acceptance.",
            _DELIVERY_BUCKETS,
            {"action": sets.actions},
        )
        self.last_acceptance = self._gauge(
            "aom_bridge_last_acceptance_timestamp_seconds",
            "When AOM last accepted a push; 0 before the first time.",
            {"target": _TARGETS, "action": sets.actions},
        )
        self.due_ahead = self._counter(
            "aom_bridge_due_times_ahead_total",
            "Alarms that were due later than any wait allows, by target: a clock was set back or is wrong.",
            {"target": _TARGETS},
        )
        self.rejected = self._counter(
            "aom_bridge_rejected_total", "Alarms that AOM rejected permanently, by reason.", {"reason": sets.rejections}
        )
        self.expired = self._counter(
            "aom_bridge_expired_total",
            "Alarms that AOM cleared by age because their alerts were neither repeated nor resolved, by target.",
            {"target": _TARGETS},
        )

    def _define_reconcile(self, sets: LabelSets) -> None:
        self.rounds = self._counter(
            "aom_bridge_reconcile_rounds_total",
            "Rounds in which every peer of a source was asked, by whether all, some or none of them answered.",
            {"source": _SOURCES, "outcome": sets.round_outcomes},
        )
        self.covered = self._gauge(
            "aom_bridge_reconcile_covered",
            "Whether every peer of a source has answered in the last round, so that absent alerts can be ended.",
            {"source": _SOURCES},
        )
        self.differences = self._gauge(
            "aom_bridge_differences",
            "Alerts whose alarm is not what Alertmanager or AOM's list says, and whose time to change is up, by kind.",
            {"source": _SOURCES, "kind": sets.differences},
            {"source": _EVERY_SOURCE, "kind": sets.audit_differences},
        )
        self.reconciled = self._counter(
            "aom_bridge_reconciled_total",
            "Alarms that were changed by what Alertmanager or AOM's list shows, by the kind of the difference.",
            {"source": _SOURCES, "kind": sets.reconciliations},
            {"source": _EVERY_SOURCE, "kind": sets.audit_changes},
        )
        self.braked = self._gauge(
            "aom_bridge_reconcile_braked",
            "Alarms whose clear or raise waits because many would change at once.",
            {"source": _SOURCES, "change": sets.braked},
        )
        self.lost_webhooks = self._counter(
            "aom_bridge_lost_webhooks_total",
            "Alerts that fire for a receiver whose webhooks come here, and of which no webhook told.",
            {"source": _SOURCES},
        )
        self.expired_alerts = self._counter(
            "aom_bridge_expired_alerts_total",
            "Alerts that Alertmanager resolved because their sender no longer posted them.",
            {"source": _SOURCES},
        )
        self.notices = self._gauge(
            "aom_bridge_alertmanager_notices",
            "What an operator should know about a source's Alertmanager, by kind; the log and `diff` say it in words.",
            {"source": _SOURCES, "kind": sets.notices},
        )

    def _define_audit(self, sets: LabelSets) -> None:
        self.audits = self._counter(
            "aom_bridge_audits_total",
            "Comparisons of AOM's own list with the ledger, by whether the list could be read.",
            {"target": _TARGETS, "outcome": sets.audit_outcomes},
        )
        self.audit_braked = self._gauge(
            "aom_bridge_audit_braked",
            "Alarms whose change waits because many differ from AOM's list at once.",
            {"target": _TARGETS},
        )
        self.target_up = self._gauge(
            "aom_bridge_target_up",
            "Whether a check of a target has worked when it was tried last.",
            {"target": _TARGETS, "check": sets.target_checks},
        )

    def _define_heartbeats(self, sets: LabelSets) -> None:
        self.canary_interval = self._gauge(
            "aom_bridge_canary_interval_seconds", "How often a canary is sent (canary.interval); 0: never."
        )
        self.canary_success = self._gauge(
            "aom_bridge_canary_success", "Whether the last canary has come through the whole chain; 0 before the first."
        )
        self.canary_seconds = self._gauge(
            "aom_bridge_canary_seconds",
            "How long the last canary took from its firing until AOM's list no longer had it.",
        )
        self.canary_at = self._gauge(
            "aom_bridge_canary_timestamp_seconds", "When a canary has come through last; 0 before the first."
        )
        self.last_ping = self._gauge(
            "aom_bridge_last_ping_timestamp_seconds", "When the address of `ping` was called last; 0 before that."
        )
        self.heartbeat_state = self._gauge(
            "aom_bridge_heartbeat_state",
            "How many switches of a heartbeat are in each state.",
            {"heartbeat": _HEARTBEATS, "state": sets.heartbeat_states},
        )
        self.heartbeat_last_seen = self._gauge(
            "aom_bridge_heartbeat_last_seen_timestamp_seconds",
            "When the switch of a heartbeat that has been silent for longest showed its last sign; 0 before the first.",
            {"heartbeat": _HEARTBEATS},
        )

    def _define_mapping(self) -> None:
        self.truncated_alerts = self._counter(
            "aom_bridge_truncated_alerts_total", "Alerts that Alertmanager left out because of max_alerts: data loss."
        )
        self.rule_matches = self._counter(
            "aom_bridge_mapping_rule_matches_total", "Alerts that a rule matched, by rule.", {"rule": _RULES}
        )
        self.dropped = self._counter(
            "aom_bridge_mapping_dropped_total", "Alerts that a rule dropped, by rule.", {"rule": _DROPPING_RULES}
        )
        self.fallbacks = self._counter(
            "aom_bridge_mapping_fallbacks_total",
            "Fields whose template gave no usable value, and severities that no table contains, by rule.",
            {"rule": _RULES},
        )
        self.left_out = self._counter(
            "aom_bridge_mapping_left_out_total", "Labels and annotations left out because of AOM's limits."
        )

    def _define_web(self, sets: LabelSets) -> None:
        self.abandoned_requests = self._counter(
            "aom_bridge_abandoned_requests_total",
            "Webhooks that were not stored because the client disconnected before the commit.",
        )
        self.web_refusals = self._counter(
            "aom_bridge_web_refusals_total",
            "Requests refused before they reached a handler, by reason.",
            {"reason": sets.refusals},
        )
        self.web_config_successful = self._gauge(
            "aom_bridge_web_config_last_reload_successful",
            "Whether the last load of the web configuration succeeded; 1 without one.",
        )

    def _define_configuration(self) -> None:
        self.token_expiry = self._gauge(
            "aom_bridge_token_expiry_timestamp_seconds",
            "When the IAM token of a target expires; 0 while there is none.",
            {"target": _TARGETS},
        )
        self.config_successful = self._gauge(
            "aom_bridge_config_last_reload_successful", "Whether the last load of the configuration succeeded."
        )
        self.config_success_time = self._gauge(
            "aom_bridge_config_last_reload_success_timestamp_seconds",
            "When a load of the configuration last succeeded.",
        )
        self.config_hash = self._gauge("aom_bridge_config_hash", "A hash of the configuration file that is in use.")

    def watch_writer(self, pid: Callable[[], int]) -> None:
        """Add metrics of the ledger writer process; ``pid`` returns its number, which changes with each restart."""
        ProcessCollector(namespace="aom_bridge_ledger_writer", pid=pid, registry=self.registry)

    def preset(
        self,
        targets: Iterable[str],
        rules: Mapping[str, bool],
        sources: Iterable[str] = (),
        heartbeats: Iterable[str] = (),
        every_source: Iterable[str] = (),
    ) -> None:
        """Create every series of every closed label set at 0; series that exist keep their values.

        Args:
            targets: the names of the targets.
            rules: for the name of each rule, whether it drops alerts.
            sources: the names of the sources that are compared with an Alertmanager.
            heartbeats: the names of the heartbeats.
            every_source: the names of all sources.
        """
        configured: dict[_Configured, Sequence[str]] = {
            _TARGETS: tuple(targets),
            _RULES: tuple(rules),
            _DROPPING_RULES: tuple(name for name, drops in rules.items() if drops),
            _SOURCES: tuple(sources),
            _EVERY_SOURCE: tuple(every_source),
            _HEARTBEATS: tuple(heartbeats),
        }
        for metric, labels in self._presets:
            for values in _combinations(labels, configured):
                metric.labels(*values)

    def forget(self, target: str) -> None:
        """Remove the gauges of a target that was removed: a gauge would keep its last value for ever.

        Its counters stay: what they have counted remains true, and `increase()` over the time of the removal needs it.
        """
        self._forget(_TARGETS, target)

    def forget_source(self, source: str) -> None:
        """Remove the gauges of a source that is no longer compared with an Alertmanager; as `forget`."""
        self._forget(_SOURCES, source)

    def clear_source(self, source: str) -> None:
        """Set the gauges of a source to 0, because another bridge compares it with its Alertmanager now."""
        for metric, labels in self._presets:
            if isinstance(metric, Gauge) and _SOURCES in labels.values():
                for values in _combinations(labels, {_SOURCES: (source,)}):
                    metric.labels(*values).set(0)

    def forget_heartbeat(self, heartbeat: str) -> None:
        """Remove the gauges of a heartbeat that is no longer expected; as `forget`."""
        self._forget(_HEARTBEATS, heartbeat)

    def _forget(self, kind: _Configured, name: str) -> None:
        for metric, labels in self._presets:
            if isinstance(metric, Gauge) and kind in labels.values():
                for values in _combinations(labels, {kind: (name,)}):
                    metric.remove(*values)

    def _counter(self, name: str, text: str, *labels: _Labels) -> Counter:
        return self._add(Counter(name, text, _names(labels), registry=self.registry), labels)

    def _gauge(self, name: str, text: str, *labels: _Labels) -> Gauge:
        return self._add(Gauge(name, text, _names(labels), registry=self.registry), labels)

    def _histogram(self, name: str, text: str, buckets: Sequence[float], *labels: _Labels) -> Histogram:
        return self._add(Histogram(name, text, _names(labels), buckets=buckets, registry=self.registry), labels)

    def _add(self, metric: _Metric, labels: Sequence[_Labels]) -> _Metric:
        self._presets += [(metric, block) for block in labels]
        return metric


def _names(labels: Sequence[_Labels]) -> Sequence[str]:
    """Return the names of the labels, which are the same in each block."""
    return tuple(labels[0]) if labels else ()


def _combinations(labels: _Labels, configured: Mapping[_Configured, Sequence[str]]) -> Iterator[tuple[str, ...]]:
    """Yield every combination of the labels' values, in the order of the labels."""
    return itertools.product(
        *(configured[values] if isinstance(values, _Configured) else values for values in labels.values())
    )
