"""docs/aom.md: its policy grants what the bridge uses, and its examples are read."""

import json
import re

from paths import ROOT

from bridge.config import load
from bridge.notification import Alert, Group

PAGE = (ROOT / "docs" / "aom.md").read_text(encoding="utf-8")
SOURCES = "\n".join(module.read_text(encoding="utf-8") for module in (ROOT / "bridge").rglob("*.py"))
TARGET = "targets: {default: {region: cn-north-4, project_id: p, auth: {token: {value: t}}}}\n"


def block(kind):
    """Give the only code block of a kind."""
    (text,) = re.findall(rf"(?ms)^```{kind}\n(.*?)^```$", PAGE)
    return text


def test_the_policy_grants_the_actions_that_the_bridge_names():
    """Every IAM action that the bridge asks for in its messages is in the policy, and no other."""
    (statement,) = json.loads(block("json"))["Statement"]
    assert statement["Effect"] == "Allow"
    assert set(statement["Action"]) == set(re.findall(r"aom:alarm:[a-z]+", SOURCES))


def test_the_example_of_event_names_gives_such_names():
    """An alert with the label gets a name in two languages, and another one keeps its own."""
    mapper = load("aom.md", {}, raw=(TARGET + block("yaml")).encode()).settings.mapper()

    def name(labels):
        alert = Alert("f" * 16, "firing", labels, {}, 1_800_000_000_000, None, "")
        return mapper.map("default", alert, Group("aom", "{}", {}, {}, {}, "")).mapped.event.metadata["event_name"]

    assert name({"alertname": "DiskFull", "title_zh": "磁盘已满"}) == "磁盘已满##DiskFull"
    assert name({"alertname": "DiskFull"}) == "DiskFull"


def test_the_keys_of_cce_are_those_of_the_shipped_rules():
    """Each key of the table is set by config/kubernetes.yaml."""
    rules = (ROOT / "config" / "kubernetes.yaml").read_text(encoding="utf-8")
    table = PAGE.partition("## Alarms of CCE")[2].partition("**Event names.**")[0]
    keys = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert {"clusterName", "clusterId", "namespace", "podName"} <= set(keys)
    assert [key for key in keys if f"{key}: " not in rules] == []
