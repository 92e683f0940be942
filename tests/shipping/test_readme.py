"""The README is a promise too: its configuration loads, its commands and links are there."""

import re
import shlex
import subprocess

import pytest
import yaml
from paths import ROOT
from process import bridge_command, run
from programs import need

from bridge.config import load

README = (ROOT / "README.md").read_text()


def blocks(kind):
    """Give the README's code blocks of one kind, without their indent."""
    found = re.findall(rf"(?ms)^( *)```{kind}\n(.*?)^ *```", README)
    return ["\n".join(line.removeprefix(indent) for line in text.splitlines()) for indent, text in found]


ROUTES_TEST = re.search(r"amtool config routes test .*", README)[0]


def test_the_configuration_of_the_readme_loads():
    """The first YAML block is a whole configuration file."""
    settings = load("README.md", {"AOM_PROJECT_ID": "p"}, raw=blocks("yaml")[0].encode()).settings
    assert settings.mapping.rules[0].name == "kubernetes-pod"


def test_what_the_readme_adds_to_the_configuration_loads():
    """Peers and a heartbeat, below the whole file."""
    added = "\n".join([blocks("yaml")[0], blocks("yaml")[2]])
    settings = load("README.md", {"AOM_PROJECT_ID": "p"}, raw=added.encode()).settings
    (heartbeat,) = settings.heartbeats
    assert heartbeat.match[0].failing({"alertname": "Watchdog"}) is None
    assert len(settings.alertmanagers[0].urls) == 2


def test_the_alertmanager_snippet_says_what_matters():
    """Alertmanager's snippet sends resolves, cuts nothing off, and posts to the bridge."""
    snippet = yaml.safe_load(blocks("yaml")[1])
    (webhook,) = snippet["receivers"][0]["webhook_configs"]
    assert webhook["send_resolved"] is True
    assert webhook["max_alerts"] == 0
    assert webhook["url"].endswith(":9876/webhook")


USERS_TREE = """
route:
  receiver: chat
  group_by: [namespace, alertname]
  routes:
    - {receiver: silence, matchers: ['alertname="Watchdog"']}
    - {receiver: pager, matchers: ['severity="critical"']}
    - {receiver: team-shop, matchers: ['namespace="shop"']}
receivers: [{name: silence}, {name: chat}, {name: pager}, {name: team-shop}]
"""


def merged():
    """Give a usual tree of routes with the README's around them, the last with the name of the root's receiver."""
    tree, snippet = yaml.safe_load(USERS_TREE), yaml.safe_load(blocks("yaml")[1])
    first, last = snippet["route"]["routes"]
    last["receiver"] = tree["route"]["receiver"]
    tree["route"]["routes"] = [first, *tree["route"]["routes"], last]
    tree["receivers"] += snippet["receivers"]
    return tree


def receivers(folder, tree, command):
    """Give the receivers that the real amtool names for a command of the README."""
    program, *arguments = shlex.split(command)
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(tree))
    done = subprocess.run([need(program), *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip().split(",")


@pytest.mark.real
@pytest.mark.parametrize(
    "labels", ["severity=critical", "severity=warning", "severity=critical namespace=shop", "alertname=Watchdog"]
)
def test_the_route_of_the_readme_gets_every_alert_and_takes_none_from_others(labels, tmp_path):
    """Merged into a usual tree as the README says, AOM's receives each alert, and the others what they did before."""
    command = f"{ROUTES_TEST.partition(' alertname')[0]} {labels}"
    before = receivers(tmp_path, yaml.safe_load(USERS_TREE), command)
    assert receivers(tmp_path, merged(), command) == ["aom", *before]


@pytest.mark.real
def test_the_readmes_question_to_amtool_shows_a_route_in_the_wrong_place(tmp_path):
    """The command of the README prints aom where the route stands first, and not where it stands last."""
    step = README.partition("4. Point Alertmanager at it")[2].partition("```")[0]
    assert {"**first**", "**last**"} <= set(re.findall(r"\*\*\w+\*\*", step))
    tree = merged()
    assert "aom" in receivers(tmp_path, tree, ROUTES_TEST)
    tree["route"]["routes"].reverse()
    assert "aom" not in receivers(tmp_path, tree, ROUTES_TEST)


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http)([^)]+)\)", README))
def test_every_link_of_the_readme_leads_somewhere(link):
    """Each link to a file of the project names one that is there."""
    assert (ROOT / link).exists()


@pytest.mark.real
async def test_the_map_command_of_the_readme_works(tmp_path):
    """`aom-bridge map` of the README shows an alert that the README's own rule matches."""
    file = tmp_path / "bridge.yaml"
    file.write_text(blocks("yaml")[0])
    labels = re.search(r"map --config.file=bridge.yaml ([^#\n]+)", README)[1].split()
    code, out, err = await run(*bridge_command("map", f"--config.file={file}", *labels))
    assert (code, err) == (0, "")
    assert re.search(r"event_name += KubePodCrashLooping", out)
    assert "kind=Pod;namespace=shop;name=cart-1" in out
