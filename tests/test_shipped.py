"""The configurations in `config/` load without a doubt, and do what their own tests say."""

import re
from pathlib import Path

import pytest
import yaml
from conftest import DATA

from bridge.config import examine
from bridge.notification import Alert, Group
from bridge.ruletests import run_file

CONFIG = Path(__file__).parents[1] / "config"
FILES = sorted(CONFIG.glob("*.yaml"))
TESTS = sorted((CONFIG / "tests").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_a_shipped_configuration_is_right(file):
    """It loads with its variables set, with nothing missing and nothing doubtful."""
    names = re.findall(r"\$\{([A-Z_]+)\}", file.read_text())
    loaded = examine(str(file), dict.fromkeys(names, "x"))
    assert (loaded.missing, loaded.doubts) == ([], [])
    assert names


@pytest.mark.parametrize("file", TESTS, ids=lambda path: path.stem)
def test_a_shipped_configuration_does_what_its_tests_say(file):
    """Each example ships with tests of its rules, and they pass."""
    assert [(result.name, result.differences) for result in run_file(str(file)) if result.differences] == []


@pytest.mark.parametrize("file", TESTS, ids=lambda path: path.stem)
def test_every_shipped_rule_is_tested(file):
    """No rule stands in an example that its tests never reach."""
    settings = examine(str(CONFIG / file.name), allow_unset=True).settings
    tested = file.read_text()
    unnamed = {rule.name for rule in settings.mapping.rules if not rule.go_on and f"rule: {rule.name}" not in tested}
    assert unnamed <= {"always-firing", "any-node", "pod-disruption-budget"}


KUBE_PROMETHEUS = yaml.safe_load((DATA / "kube-prometheus.yaml").read_text())


@pytest.mark.parametrize(
    ("rule", "name", "labels"),
    [(rule, name, labels) for rule, alerts in KUBE_PROMETHEUS.items() for name, labels in alerts.items()],
)
def test_what_kube_prometheus_alerts_on_becomes_the_object_that_is_meant(rule, name, labels):
    """Each alert of kube-prometheus, by its own name and labels, comes to the rule of its object."""
    settings = examine(str(CONFIG / "kubernetes.yaml"), allow_unset=True).settings
    made = {**{label: f"the-{label}" for label in labels}, "alertname": name}
    if rule == "node-exporter":
        made["job"] = "node-exporter"
    alert = Alert("f" * 16, "firing", made, {}, 1_800_000_000_000, None, "")
    mapped = settings.mapper().map("default", alert, Group("aom", "{}", {}, {}, {}, "")).mapped
    assert mapped.rule == rule
    if mapped.event is not None and rule not in ("defaults", "always-firing"):
        object_label = {"job": "job_name", "node-exporter": "instance"}.get(rule, rule.replace("-", ""))
        assert mapped.event.metadata["resource_id"].endswith(f"name=the-{object_label}")
