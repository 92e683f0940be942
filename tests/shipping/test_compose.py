"""The laptop's compose file: valid, and each of its parts is what the programs take; no engine is needed to know."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from paths import ROOT
from programs import need

from bridge.cli.main import parser
from bridge.cli.options import DEFAULT_ADDRESS
from bridge.config import load
from bridge.emulator import Options
from bridge.typed_yaml.scalars import parse_duration

FOLDER = ROOT / "deploy" / "compose"
SERVICES = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]


def run(*command):
    """Run a program; give its exit code and all that it says."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.real
def test_the_file_keeps_the_compose_specification():
    """The specification's own schema takes the file."""
    program = Path(sys.executable).with_name("check-jsonschema")
    code, text = run(program, "--builtin-schema", "vendor.compose-spec", FOLDER / "compose.yaml")
    assert code == 0, text


def test_every_file_that_is_mounted_is_there():
    """Each bind mount names a file of the project."""
    mounts = [
        volume for service in SERVICES.values() for volume in service.get("volumes", ()) if volume.startswith(".")
    ]
    assert mounts
    assert [mount for mount in mounts if not (FOLDER / mount.partition(":")[0]).is_file()] == []


def test_the_commands_are_ones_that_the_bridge_takes():
    """`serve` and `emulator` are called with options that they have, and the configuration is a good one."""
    for name in ("aom", "bridge"):
        parser().parse_args(SERVICES[name]["command"])
    settings = load(str(FOLDER / "bridge.yaml"), {}).settings
    target = settings.targets["default"]
    assert target.auth.token.value.reveal() in Options().tokens
    assert target.aom_url == "http://aom:" + SERVICES["aom"]["ports"][0].rpartition(":")[2]
    (alertmanager,) = settings.alertmanagers
    assert alertmanager.urls == ("http://alertmanager:" + SERVICES["alertmanager"]["ports"][0].rpartition(":")[2],)
    (receiver,) = yaml.safe_load((FOLDER / "alertmanager.yml").read_text())["receivers"]
    assert alertmanager.receivers == (receiver["name"],)
    (heartbeat,) = settings.heartbeats
    (matchers,) = heartbeat.match
    groups = yaml.safe_load((FOLDER / "demo-rules.yaml").read_text())["groups"]
    names = [rule["alert"] for group in groups for rule in group["rules"]]
    assert [name for name in names if all(one.matches({"alertname": name}) for one in matchers.each)] == ["Watchdog"]
    (resend_delay,) = [arg for arg in SERVICES["prometheus"]["command"] if "resend-delay" in arg]
    assert 2 * parse_duration(resend_delay.partition("=")[2]) < heartbeat.every


@pytest.mark.real
def test_alertmanager_and_prometheus_take_their_files(tmp_path):
    """Amtool and promtool, the real ones, find nothing wrong; the webhook leads to the bridge's own port."""
    assert run(need("amtool"), "check-config", FOLDER / "alertmanager.yml")[0] == 0
    webhook = yaml.safe_load((FOLDER / "alertmanager.yml").read_text())["receivers"][0]["webhook_configs"][0]
    assert webhook == {"url": f"http://bridge{DEFAULT_ADDRESS}/webhook", "send_resolved": True, "max_alerts": 0}
    for volume in SERVICES["prometheus"]["volumes"]:
        source, target, *_ = volume.split(":")
        shutil.copy(FOLDER / source, tmp_path / Path(target).name)
    code, text = run(need("promtool"), "check", "config", tmp_path / "prometheus.yml")
    assert code == 0, text
    jobs = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    assert [(job["job_name"], job["static_configs"][0]["targets"]) for job in jobs] == [
        ("aom-bridge", [f"bridge{DEFAULT_ADDRESS}"])
    ]
