"""Metrics, their page, the alerts about the bridge, their runbooks, and the dashboard: none drifts from the others."""

import json
import re
import subprocess

import pytest
from paths import ROOT
from process import parsed
from programs import need
from prometheus_client import generate_latest
from prometheus_rules import ALERTS, RULES

from bridge.app.label_sets import LABEL_SETS
from bridge.metrics import Metrics
from bridge.notification import HEARTBEAT_MISSING
from bridge.reconcile.heartbeats.alarms import RUNBOOK

BOARD = json.loads((ROOT / "deploy" / "grafana" / "aom-bridge.json").read_text())
QUERIES = [target["expr"] for panel in BOARD["panels"] for target in panel.get("targets", ())]
PAGE = (ROOT / "docs" / "metrics.md").read_text()
COMMANDS = [
    (page.stem, words)
    for page in sorted((ROOT / "docs").rglob("*.md"))
    for words in re.findall(r"-- aom-bridge ([^`#|\n]+)", page.read_text())
]


def families():
    """Give the metrics that the code has: name, type, labels."""
    metrics = Metrics("1", "3", LABEL_SETS)
    for one in vars(metrics).values():
        names = getattr(one, "_labelnames", ())
        if names:
            one.labels(*("x" for _ in names))
    found = {}
    for family in metrics.registry.collect():
        labels = {tuple(sorted(set(sample.labels) - {"le"})) for sample in family.samples}
        name = family.name + ("_total" if family.type == "counter" else "")
        found[name] = (family.type, labels.pop() if len(labels) == 1 else ())
    return found


def series():
    """Give every name that a query can use."""
    names = set()
    for name, (kind, _) in families().items():
        names |= {name + end for end in ("_bucket", "_sum", "_count")} if kind == "histogram" else {name}
    return names | {"up"}


def used(query):
    """Give the names of the metrics that a query asks for."""
    return set(re.findall(r"\b(?:aom_bridge|process|python)_[a-z_]+\b|\bup\b", query))


def labels_used(query):
    """Give what a query asks of each metric's labels, as pairs of the metric's name and a label's."""
    found = set()
    for name, inner in re.findall(r"\b(aom_bridge_[a-z_]+)\{([^}]*)\}", query):
        found |= {(name, label) for label in re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)", inner)}
    return found


def test_the_page_lists_every_metric_as_the_code_has_it():
    """docs/metrics.md has one row for each metric, with its type and its labels, and no other."""
    rows = re.findall(r"^\| `(aom_bridge_\w+)` \| (\w+) \|([^|]*)\|", PAGE, re.MULTILINE)
    told = {name: (kind, tuple(sorted(re.findall(r"`(\w+)`", labels)))) for name, kind, labels in rows}
    assert len(rows) == len(told)
    assert told == {name: what for name, what in families().items() if name.startswith("aom_bridge_")}


@pytest.mark.parametrize("query", re.findall(r"^\| [^|]*\? \| `(.*)` \|$", PAGE, re.MULTILINE) + QUERIES)
def test_every_query_asks_for_metrics_and_labels_that_exist(query):
    """The page's and the dashboard's queries use no name and no label that the code has not."""
    assert used(query)
    assert used(query) <= series()
    known = {(end, label) for name, (_, labels) in families().items() for end in forms(name) for label in labels}
    assert {pair for pair in labels_used(query) if pair[1] not in ("job", "instance")} <= known


def forms(name):
    """Give the names of a metric's series."""
    return (name, name + "_bucket", name + "_sum", name + "_count")


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_is_complete_and_leads_to_its_runbook(rule):
    """Severity, summary, a description with the value, and a runbook with its four parts; only metrics that exist."""
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert used(rule["expr"]) <= series()
    notes = rule["annotations"]
    assert notes["summary"].endswith(".")
    assert "$value" in notes["description"] or rule["alert"] == "AomBridgeDown"
    assert_leads_to_its_runbook(notes["runbook_url"], rule["alert"])


def test_the_alarm_of_a_missing_heartbeat_leads_to_its_runbook():
    """The bridge raises it in AOM by itself, so no rule has its link."""
    assert_leads_to_its_runbook(RUNBOOK, HEARTBEAT_MISSING)


def assert_leads_to_its_runbook(url, name):
    """Check that a link leads to the runbook of this name, and that the runbook has its four parts."""
    path = url.rpartition("/blob/main/")[2]
    assert path == f"docs/runbooks/{name}.md"
    heads = re.findall(r"^## (.*)$", (ROOT / path).read_text(), re.MULTILINE)
    assert heads == ["Meaning", "Impact", "Diagnosis", "Mitigation"]
    assert "```sh" in (ROOT / path).read_text()


@pytest.mark.parametrize(("page", "words"), COMMANDS)
def test_commands_of_the_pages_are_those_of_the_command_line(page, words):
    """What operators are told to run in a pod is taken by the command line as it stands."""
    assert parsed(words.split()).run, page


def test_the_pages_tell_commands():
    """The commands above are found: the runbooks' and the operations page's."""
    assert {"operations", "AomBridgeAlarmsRejected"} <= {page for page, _ in COMMANDS}


def test_every_runbook_is_of_an_alert():
    """No runbook is left of an alert that has gone; one is of the alarm that the bridge raises itself."""
    there = {file.stem for file in (ROOT / "docs" / "runbooks").glob("*.md")}
    assert there == {HEARTBEAT_MISSING} | {rule["alert"] for rule in ALERTS}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_numbers_in_the_texts_of_alerts_are_whole(rule):
    """A text writes its value without a fraction, an exponent or a prefix: 3, not 3.125, 1.3M or 1.2e+06."""
    for text in rule["annotations"].values():
        for use in re.findall(r"\{\{([^}]*\$value[^}]*)\}\}", text):
            assert use.strip() in ('printf "%.0f" $value', "$value | humanizeDuration")


def promtool(*arguments, stdin=""):
    """Run the real promtool; give its exit code and all that it says."""
    done = subprocess.run(
        [need("promtool"), *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.real
def test_promtool_finds_nothing_wrong_with_the_metrics():
    """Names, help and types follow Prometheus' conventions."""
    assert promtool("check", "metrics", stdin=generate_latest(Metrics("1", "3", LABEL_SETS).registry).decode()) == (
        0,
        "",
    )


@pytest.mark.real
def test_promtool_takes_the_rules_and_their_unit_tests():
    """Each alert fires when it should and not before, and none fires while all is well; each has such a test."""
    assert promtool("check", "rules", str(RULES))[0] == 0
    tests = RULES.with_name("rules_test.yaml")
    code, text = promtool("test", "rules", str(tests))
    assert code == 0, text
    assert {rule["alert"] for rule in ALERTS} <= set(re.findall(r"alertname: (\w+)", tests.read_text()))
