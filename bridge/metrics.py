"""The metrics of the whole bridge, on a registry of their own; the floor.

Every series of a closed label set is there from the start at 0, so that a rate over it means something on the first
day. Names and labels are a contract with dashboards and alert rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

disable_created_metrics()  # type: ignore[no-untyped-call]  # a `_created` series beside each counter doubles every scrape and answers no question

_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_DELIVERY_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21600)
_BATCH_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200)


class Metrics:
    """All counters, gauges and histograms.

    Args:
        version: of the bridge, for ``build_info``.
        python: the interpreter's version, likewise.
    """

    def __init__(self, version: str, python: str) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self.webhook_requests = Counter(
            "aom_bridge_webhook_requests_total", "Answers to webhooks by status code.", ["code"], registry=registry
        )
        self.webhook_seconds = Histogram(
            "aom_bridge_webhook_request_seconds",
            "Time from a webhook's first byte read to its answer.",
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )
        self.alerts = Counter(
            "aom_bridge_alerts_total",
            "Alerts taken in, by their status and what the ledger made of them.",
            ["status", "outcome"],
            registry=registry,
        )
        self.alarms = Gauge(
            "aom_bridge_alarms", "Alarms in the ledger by state and target.", ["state", "target"], registry=registry
        )
        self.open_alarms = Gauge(
            "aom_bridge_open_alarms",
            "Alarms whose alerts still fire, by target and AOM's severity.",
            ["target", "severity"],
            registry=registry,
        )
        self.max_open = Gauge(
            "aom_bridge_ledger_max_open_alarms", "How many alarms may be open (store.max_open).", registry=registry
        )
        self.ledger_bytes = Gauge(
            "aom_bridge_ledger_bytes", "What the ledger takes on disk, or in its database.", registry=registry
        )
        self.oldest_due_age = Gauge(
            "aom_bridge_oldest_due_age_seconds",
            "How long the longest waiting alarm has been due; 0 when none is.",
            ["target"],
            registry=registry,
        )
        self.pushes = Counter(
            "aom_bridge_pushes_total",
            "Tries to report or clear a batch of alarms, by outcome; not_sent and unauthorized may not have left.",
            ["target", "action", "outcome"],
            registry=registry,
        )
        self.lookups = Counter(
            "aom_bridge_lookups_total",
            "Look-ups of AOM's ids before clears, by outcome.",
            ["target", "outcome"],
            registry=registry,
        )
        self.push_duration = Histogram(
            "aom_bridge_push_duration_seconds",
            "Time of one push with its quick retries.",
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )
        self.batch_events = Histogram(
            "aom_bridge_batch_events", "Events in one push.", buckets=_BATCH_BUCKETS, registry=registry
        )
        self.delivery = Histogram(
            "aom_bridge_delivery_seconds",
            "Time from an alert's receipt to AOM's acceptance.",
            ["action"],
            buckets=_DELIVERY_BUCKETS,
            registry=registry,
        )
        self.alert_age = Histogram(
            "aom_bridge_alert_age_at_delivery_seconds",
            "Time from an alert's startsAt, or endsAt for a clear, to AOM's acceptance.",
            ["action"],
            buckets=_DELIVERY_BUCKETS,
            registry=registry,
        )
        self.last_acceptance = Gauge(
            "aom_bridge_last_acceptance_timestamp_seconds",
            "When AOM last accepted something; 0 before the first time.",
            ["target", "action"],
            registry=registry,
        )
        self.due_ahead = Counter(
            "aom_bridge_due_times_ahead_total",
            "Alarms that were due later than any wait allows, by target: a clock has stepped back or is wrong.",
            ["target"],
            registry=registry,
        )
        self.rejected = Counter(
            "aom_bridge_rejected_total", "Alarms that AOM refused for good, by reason.", ["reason"], registry=registry
        )
        self.expired = Counter(
            "aom_bridge_expired_total",
            "Alarms that nobody fired any more and AOM has cleared by age, by target.",
            ["target"],
            registry=registry,
        )
        self.truncated_alerts = Counter(
            "aom_bridge_truncated_alerts_total",
            "Alerts that Alertmanager cut off by max_alerts: data loss.",
            registry=registry,
        )
        self.rule_matches = Counter(
            "aom_bridge_mapping_rule_matches_total", "Alerts that a rule matched.", ["rule"], registry=registry
        )
        self.dropped = Counter(
            "aom_bridge_mapping_dropped_total", "Alerts that a rule dropped, by rule.", ["rule"], registry=registry
        )
        self.fallbacks = Counter(
            "aom_bridge_mapping_fallbacks_total",
            "Fields whose template gave nothing usable, and severities that no table holds, by rule.",
            ["rule"],
            registry=registry,
        )
        self.left_out = Counter(
            "aom_bridge_mapping_left_out_total",
            "Labels and annotations that found no place within AOM's limits.",
            registry=registry,
        )
        self.abandoned_requests = Counter(
            "aom_bridge_abandoned_requests_total",
            "Webhooks left out because their sender had hung up before the commit.",
            registry=registry,
        )
        self.web_refusals = Counter(
            "aom_bridge_web_refusals_total",
            "Requests that the door let nobody answer, by reason.",
            ["reason"],
            registry=registry,
        )
        self.web_config_successful = Gauge(
            "aom_bridge_web_config_last_reload_successful",
            "Whether the last load of the web configuration succeeded; 1 without one.",
            registry=registry,
        )
        self.token_expiry = Gauge(
            "aom_bridge_token_expiry_timestamp_seconds",
            "When the IAM token of a target ends; 0 while there is none.",
            ["target"],
            registry=registry,
        )
        self.config_successful = Gauge(
            "aom_bridge_config_last_reload_successful", "Whether the last load succeeded.", registry=registry
        )
        self.config_success_time = Gauge(
            "aom_bridge_config_last_reload_success_timestamp_seconds", "When a load last succeeded.", registry=registry
        )
        self.config_hash = Gauge(
            "aom_bridge_config_hash", "A hash of the configuration file that is in use.", registry=registry
        )
        build = Gauge("aom_bridge_build_info", "Always 1.", ["version", "python_version"], registry=registry)
        build.labels(version, python).set(1)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    def watch_writer(self, pid: Callable[[], int]) -> None:
        """Show what the ledger writer process uses, too; ``pid`` gives its number, which changes with each restart."""
        ProcessCollector(namespace="aom_bridge_ledger_writer", pid=pid, registry=self.registry)

    def forget(self, target: str, states: Iterable[str], severities: Iterable[str], actions: Iterable[str]) -> None:
        """Show nothing more of a target that has gone: a gauge would keep its last value for ever."""
        for state in states:
            self.alarms.remove(state, target)
        for severity in severities:
            self.open_alarms.remove(target, severity)
        for action in actions:
            self.last_acceptance.remove(target, action)
        self.oldest_due_age.remove(target)
        self.token_expiry.remove(target)

    def preset(self, counter: Counter | Gauge | Histogram, *label_values: Iterable[str]) -> None:
        """Create every combination of these label values at 0."""
        combinations: list[Sequence[str]] = [()]
        for values in label_values:
            combinations = [(*head, value) for head in combinations for value in values]
        for combination in combinations:
            counter.labels(*combination)
