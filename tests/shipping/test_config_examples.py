"""The configurations in `config/` load without a doubt, and do what their own tests say."""

import re
from functools import cache

import pytest
import yaml
from paths import DATA, ROOT

from bridge.cli.rule_test_files import run_file
from bridge.config import load
from bridge.mapping.severity import SeveritySettings
from bridge.notification import Alert, Group

CONFIG = ROOT / "config"
FILES = sorted(CONFIG.glob("*.yaml"))
TESTS = sorted((CONFIG / "tests").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_a_shipped_configuration_is_right(file):
    """It loads with its variables set, with nothing missing and nothing doubtful."""
    names = re.findall(r"\$\{([A-Z_]+)\}", file.read_text())
    loaded = load(str(file), dict.fromkeys(names, "x"))
    assert (loaded.missing, loaded.doubts) == ([], [])
    assert names


@pytest.mark.parametrize("file", TESTS, ids=lambda path: path.stem)
def test_a_shipped_configuration_does_what_its_tests_say(file):
    """Each example ships with tests of its rules, and they pass."""
    assert [(result.name, result.differences) for result in run_file(str(file)) if result.differences] == []


@pytest.mark.parametrize("file", TESTS, ids=lambda path: path.stem)
def test_every_shipped_rule_is_tested(file):
    """No rule stands in an example that its tests never reach."""
    settings = load(str(CONFIG / file.name), allow_unset=True).settings
    tested = file.read_text()
    unnamed = {
        rule.name for rule in settings.mapping.rules if not rule.continues and f"rule: {rule.name}" not in tested
    }
    assert unnamed == set()


TABLES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((DATA / "shipped").glob("*.yaml"))}
FACTS = [(name, fact) for name, table in TABLES.items() for fact in table["alerts"]]
HANGING = re.compile(r"[=/:;]$|^[=/:;]|[=/:;];|//(?!shop)|;$")


@cache
def mapper(config, **variables):
    """Give the mapper of a shipped configuration, with variables of the environment."""
    return load(str(CONFIG / config), variables, allow_unset=True).settings.mapper()


def mapping_of(config, labels, **variables):
    """Give what an alert with these labels becomes, and how."""
    alert = Alert("f" * 16, "firing", labels, {}, 1_800_000_000_000, None, "")
    return mapper(config, **variables).map("default", alert, Group("aom", "{}", {}, {}, {}, ""))


def mapped(config, labels, **variables):
    """Give what an alert with these labels becomes."""
    return mapping_of(config, labels, **variables).mapped


def scraped(scrape, own):
    """Give the labels of an alert: its own, and what the scrape of the exporter leaves on it."""
    renames = scrape.get("renames", False)
    left = {label: value for label, value in scrape.items() if label != "renames"}
    return left | {f"exported_{label}" if renames and label in left else label: f"the-{label}" for label in own}


def alerts(name, fact):
    """Give the labels of each alert of a fact, for each way to scrape it."""
    for scrape in TABLES[name]["scrapes"][fact.get("scrape", "none")]:
        for alertname in fact["names"]:
            yield {"alertname": alertname, "severity": "warning"} | scraped(scrape, fact.get("labels", []))


def resource(event):
    """Give what an event says of the resource, in the manner of the tables."""
    return " ".join(event.metadata[key] for key in ("resource_provider", "resource_type", "resource_id"))


def title(parameter):
    """Name a fact by its rule and first alert."""
    return f"{parameter['rule']}-{parameter['names'][0]}" if isinstance(parameter, dict) else parameter


@pytest.mark.parametrize(("name", "fact"), FACTS, ids=title)
def test_what_public_rules_alert_on_becomes_the_object_that_is_meant(name, fact):
    """Each alert of the usual collections comes to its rule and names the object, however the exporter is scraped."""
    for labels in alerts(name, fact):
        mapping = mapping_of(TABLES[name]["config"], labels)
        assert mapping.fallbacks == (), labels
        result = mapping.mapped
        assert result.rule in fact["rule"].split(", or "), labels
        assert (result.event is None) == fact.get("dropped", False), labels
        if result.event is not None:
            assert resource(result.event) == fact["resource"], labels
            assert result.event.severity == fact.get("severity", "Minor"), labels


@pytest.mark.parametrize(("name", "fact"), [one for one in FACTS if one[0] != "databases"], ids=title)
def test_the_rules_of_databases_touch_databases_only(name, fact):
    """Alerts of hosts and of Kubernetes come to no rule of config/databases.yaml."""
    for labels in alerts(name, fact):
        assert mapped("databases.yaml", labels).rule == ("always-firing" if fact.get("dropped") else "defaults")


@pytest.mark.parametrize("config", ["kubernetes.yaml", "hosts.yaml", "databases.yaml", "teams.yaml"])
def test_no_resource_id_has_a_hanging_end(config):
    """Whatever label an alert lacks, its resource id has no empty part."""
    for name, fact in FACTS:
        for labels in alerts(name, fact):
            for missing in labels:
                event = mapped(config, {label: value for label, value in labels.items() if label != missing}).event
                assert event is None or not HANGING.search(event.metadata["resource_id"]), (labels, missing)


@pytest.mark.parametrize("config", ["kubernetes.yaml", "teams.yaml"])
def test_the_name_of_the_cluster_is_set_in_one_place(config):
    """CLUSTER_NAME is the clusterName of every resource id that has one, unless the alert has a label cluster."""
    for fact in TABLES["kubernetes"]["alerts"]:
        for labels in alerts("kubernetes", fact):
            both = mapped(config, labels, CLUSTER_NAME="c1"), mapped(config, labels | {"cluster": "c1"})
            for event in (one.event for one in both if one.event is not None):
                names = re.findall(r"clusterName=([^;]*)", event.metadata["resource_id"])
                assert set(names) <= {"c1"}, labels


@pytest.mark.parametrize("fact", TABLES["kubernetes"]["alerts"], ids=title)
def test_every_alarm_of_a_cluster_has_the_keys_that_tools_for_cce_group_by(fact):
    """The cluster, namespace and pod of the metadata are those of the resource id, and never the exporter's pod."""
    for labels in alerts("kubernetes", fact):
        event = mapped("kubernetes.yaml", labels, CLUSTER_NAME="c1", CLUSTER_ID="id1").event
        if event is None:
            continue
        named = dict(part.split("=", 1) for part in event.metadata["resource_id"].split(";") if "=" in part)
        assert (event.metadata["clusterName"], event.metadata["clusterId"]) == ("c1", "id1")
        if "namespace" in named:
            assert event.metadata["namespace"] == named["namespace"], labels
        assert event.metadata.get("podName") == (named["name"] if named.get("kind") == "Pod" else None), labels


@pytest.mark.parametrize("config", ["kubernetes.yaml", "hosts.yaml", "databases.yaml", "teams.yaml"])
@pytest.mark.parametrize(
    "labels",
    [
        *({"alertname": name, "severity": "critical"} for name in ("Watchdog", "InfoInhibitor", "DeadMansSwitch")),
        {"alertname": "AlwaysFiring"},
        {"alertname": "PrometheusAlertmanagerE2eDeadManSwitch"},
        {"alertname": "dead_mans_switch"},
        {"alertname": "Alive", "severity": "none"},
    ],
    ids=lambda labels: labels["alertname"],
)
def test_what_fires_all_the_time_is_dropped(config, labels):
    """An alert that proves that alerting works becomes no alarm, whatever it is called."""
    assert mapped(config, labels).event is None


@pytest.mark.parametrize("config", ["kubernetes.yaml", "hosts.yaml", "databases.yaml", "teams.yaml"])
@pytest.mark.parametrize("name", ["DeadMansSwitchMissing", "WatchdogMissing", "HeartbeatMissing"])
def test_an_alert_that_such_a_proof_is_missing_is_not_dropped(config, name):
    """An alert that the proof does not come is an alarm."""
    assert mapped(config, {"alertname": name}).event is not None


@pytest.mark.parametrize("word", [*sorted(SeveritySettings().map.keys() - {"none"}), "SEV-1", "no such word", ""])
def test_replication_that_stops_is_at_least_major(word):
    """An alert about a database's replication is critical where its severity says so, in any word, and else major."""
    labels = {"alertname": "MysqlReplicationLag", "instance": "db-1", "severity": word}
    severity = mapped("databases.yaml", labels).event.severity
    assert severity == ("Critical" if SeveritySettings().table()(word) == "Critical" else "Major")
