"""Metrics exist from the start, and a target that was removed leaves none that would show its last value for ever."""

import pytest
from prometheus_client import Counter

from bridge.app.label_sets import LABEL_SETS
from bridge.metrics import Metrics

OPEN: dict[str, str] = {}
"""Metrics whose label values are not known at the start: the attribute's name, and why. There is none today."""

KEPT = {
    "pushes": "a counter: what was sent to the target remains true",
    "lookups": "a counter: what was looked up for the target remains true",
    "expired": "a counter: what expired remains true",
    "due_ahead": "a counter: what was due too late remains true",
    "audits": "a counter: the audits that were made remain true",
}
"""Metrics that keep the series of a target that was removed, and why."""


@pytest.fixture
def metrics():
    """The metrics of a bridge with two targets, one rule that drops and one that does not."""
    made = Metrics("1", "3", LABEL_SETS)
    made.preset(("stays", "goes"), {"defaults": False, "noise": True}, ("default",), ("main",), ("default",))
    return made


def labelled(metrics):
    """Give every metric with labels: its attribute's name and itself."""
    return {name: one for name, one in vars(metrics).items() if getattr(one, "_labelnames", ())}


def samples(metric):
    """Give the labels of every series of a metric."""
    return [sample.labels for family in metric.collect() for sample in family.samples]


def targets(metric):
    """Give the targets that a metric has series of."""
    return {labels["target"] for labels in samples(metric)}


def test_every_labelled_metric_has_its_series_from_the_start(metrics):
    """A labelled metric is preset, or is on the list of open label sets with a reason."""
    without = {name for name, one in labelled(metrics).items() if not samples(one)}
    assert without == set(OPEN)


def test_a_removed_target_leaves_no_series_but_those_of_counters(metrics):
    """After `forget` no metric shows the target, save the counters on the list; other targets keep every series."""
    of_targets = {name: one for name, one in labelled(metrics).items() if "target" in one._labelnames}
    metrics.forget("goes")
    assert {name for name, one in of_targets.items() if "goes" in targets(one)} == set(KEPT)
    assert all(isinstance(of_targets[name], Counter) for name in KEPT)
    assert all("stays" in targets(one) for one in of_targets.values())


def test_presets_change_no_value(metrics):
    """A reload presets the metrics again, and no counter begins anew."""
    metrics.pushes.labels("stays", "report", "accepted").inc(3)
    metrics.preset(("stays",), {"defaults": False})
    assert metrics.pushes.labels("stays", "report", "accepted")._value.get() == 3


def test_only_rules_that_drop_have_a_counter_of_dropped_alerts(metrics):
    """The counter of dropped alerts has no series for a rule that drops nothing."""
    dropped = {labels["rule"] for labels in samples(metrics.dropped)}
    matched = {labels["rule"] for labels in samples(metrics.rule_matches)}
    assert (dropped, matched) == ({"noise"}, {"defaults", "noise"})
