"""The page about platforms is a promise too: its configurations load, and what it names is there."""

import re
import subprocess

import pytest
import yaml
from cloudcoil.models.prometheus_operator import v1
from paths import ROOT
from programs import need

from bridge.config import load
from bridge.errors import BridgeError
from bridge.reconcile.answers import Fingerprints, read_alerts, read_status

PAGE = (ROOT / "docs" / "platforms.md").read_text()
TARGETS = "targets: {default: {region: cn-north-4, project_id: p, auth: {token: {file: /t}}}}\n"
ALL_BLOCKS = re.findall(r"(?ms)^```yaml\n(.*?)^```", PAGE)
BLOCKS = [block for block in ALL_BLOCKS if block.startswith(("alertmanagers:", "sources:", "heartbeats:"))]


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_each_configuration_of_the_page_loads(block):
    """Nothing in it is wrong or doubtful; Grafana has no tenant, as the page says."""
    loaded = load("platforms.md", {}, allow_unset=True, raw=(TARGETS + block).encode())
    assert loaded.settings.alertmanagers or loaded.settings.heartbeats
    doubts = [doubt for doubt in loaded.doubts if not ("X-Grafana-Org-Id" in block and "tenant" in str(doubt))]
    assert doubts == []


@pytest.mark.real
def test_the_rule_and_the_route_of_the_page_are_good_and_about_the_heartbeats_alert(tmp_path):
    """Promtool, the Operator's model and amtool take them, and the route leads Watchdog to the bridge."""
    (rule,) = [yaml.safe_load(block) for block in ALL_BLOCKS if "kind: PrometheusRule" in block]
    v1.PrometheusRule.model_validate(rule)
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule["spec"]))
    assert run(need("promtool"), "check", "rules", tmp_path / "rules.yaml")[0] == 0
    assert [each["alert"] for group in rule["spec"]["groups"] for each in group["rules"]] == ["Watchdog"]
    (route,) = [block for block in ALL_BLOCKS if block.startswith("route:")]
    file = tmp_path / "alertmanager.yml"
    file.write_text(f"{route}receivers: [{{name: default}}, {{name: aom}}]\n")
    code, text = run(need("amtool"), "config", "routes", "test", f"--config.file={file}", "alertname=Watchdog")
    assert (code, text.strip()) == (0, "aom")


def run(*command):
    """Run a program; give its exit code and what it prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_the_page_leads_to_every_platform_and_component():
    """Each file of values and each component about Alertmanager is linked, and each link leads somewhere."""
    links = {link.partition("#")[0] for link in re.findall(r"\]\((?!http|#)([^)]+)\)", PAGE)}
    assert all((ROOT / "docs" / link).exists() for link in links)
    linked = {(ROOT / "docs" / link).resolve() for link in links}
    values = set((ROOT / "deploy/helm/aom-bridge/platforms").iterdir())
    components = {
        path
        for path in (ROOT / "deploy/kustomize/components").iterdir()
        if path.name.startswith(("alertmanagers-", "network-policy-"))
    }
    assert values | components <= linked


GRAFANAS_STATUS = b"""{"cluster": {"peers": [], "status": "disabled"}, "config": {}, "uptime": null,
  "versionInfo": {"version": "N/A", "branch": "N/A"}}"""
GRAFANAS_ALERTS = b"""[{"annotations": {"__orgId__": "1"}, "endsAt": "2026-01-01T00:04:00.000Z",
  "fingerprint": "ac4a9c1a2f5a1ba1", "receivers": [{"name": "aom"}], "startsAt": "2026-01-01T00:00:00.000Z",
  "status": {"inhibitedBy": [], "mutedBy": [], "silencedBy": [], "state": "active"},
  "updatedAt": "2026-01-01T00:00:00.000Z", "generatorURL": "http://grafana/alerting/grafana/u/view?orgId=1",
  "labels": {"__alert_rule_uid__": "u", "alertname": "HighLoad", "grafana_folder": "f"}}]"""


def test_grafanas_status_is_no_answer_and_its_list_is_one():
    """As Grafana's source writes them: the status lacks a start, as the page says, and the list is read."""
    with pytest.raises(BridgeError, match="no status"):
        read_status(GRAFANAS_STATUS)
    ((alert,),) = read_alerts(GRAFANAS_ALERTS, Fingerprints())
    assert alert.receivers == ("aom",)
    assert "__alert_rule_uid__" in alert.labels
