"""The command line, run as users run it: real processes, their output and exit codes."""

import importlib
import json
import os
import re

import aiohttp
import pytest
from bridge_rig import running, settings_text
from emulated_aom import by_name, cloud
from paths import ROOT
from process import bridge_command, run, serving, started
from waiting import until
from webhooks import alert, payload, post

from bridge.cli.main import REGISTRY
from bridge.config import load
from bridge.emulator import CHOICES, EXAMPLES, KINDS, OPERATIONS, STATISTIC_CHOICES

pytestmark = pytest.mark.real

GOOD_ENV = {"AOM_PROJECT_ID": "p", "AOM_DOMAIN": "d", "AOM_USER": "u", "AOM_PASSWORD": "hunter2"}


def config_file(tmp_path, **more):
    """Write a good configuration."""
    file = tmp_path / "bridge.yaml"
    file.write_text(settings_text("http://127.0.0.1:9", tmp_path / "ledger.db", **more))
    return file


async def test_help_names_every_command():
    """`--help` shows the commands, and each has a help of its own."""
    code, out, _ = await run(*bridge_command("--help"))
    assert code == 0
    for command in ("serve", "demo", "emulator", "check-config", "map", "alarms"):
        assert command in out
        code, text, _ = await run(*bridge_command(command, "--help"))
        assert (code, "usage:" in text) == (0, True)


def test_every_command_module_is_registered():
    """A module of the package that offers a command is listed in `main`, so that none is forgotten."""
    names = [file.stem for file in (ROOT / "bridge" / "cli").glob("*.py") if "\ndef register(" in file.read_text()]
    modules = [importlib.import_module(f"bridge.cli.{name}") for name in names]
    assert len(modules) > 1
    assert {module.register for module in modules} == set(REGISTRY)


async def test_check_config_says_success_and_counts(tmp_path):
    """A good file: exit 0 and one line that counts what was found."""
    file = config_file(tmp_path)
    code, out, err = await run(*bridge_command("check-config", str(file)))
    assert (code, out, err) == (0, f"{file}: SUCCESS: 1 target(s), 0 rule(s)\n", "")


async def test_check_config_shows_every_mistake_with_its_place(tmp_path):
    """A bad file: exit 1, and each mistake as file:line:column: path: problem. Fix: ..."""
    file = tmp_path / "bad.yaml"
    file.write_text("targets:\n  default:\n    endpiont: x\n    project_id: p\nstore: {max_open: many}\n")
    code, out, err = await run(*bridge_command("check-config", str(file)))
    assert (code, out) == (1, "")
    lines = err.splitlines()
    assert all(re.match(rf"{re.escape(str(file))}:\d+:\d+: \S+: .+ Fix: .+|.*FAILED", line) for line in lines), err
    assert "did you mean 'endpoint'?" in err
    assert lines[-1] == f"{file}: FAILED: {len(lines) - 1} problem(s)"


async def test_the_shipped_configuration_is_right():
    """`config/bridge.yaml` loads with its variables set, names those that are not, and never shows a secret."""
    shipped = str(ROOT / "config" / "bridge.yaml")
    clean = {key: value for key, value in os.environ.items() if not key.startswith("AOM_")}
    code, _, err = await run(*bridge_command("check-config", shipped), env=clean)
    assert (code, "${AOM_PROJECT_ID} is not set" in err) == (1, True)
    code, _, _ = await run(*bridge_command("check-config", "--allow-unset", shipped), env=clean)
    assert code == 0
    settings = load(shipped, GOOD_ENV).settings
    assert "hunter2" not in repr(settings)


async def test_the_commented_defaults_of_the_shipped_configuration_are_the_defaults(tmp_path):
    """What `config/bridge.yaml` shows commented out is what the bridge does without it."""
    shipped = (ROOT / "config" / "bridge.yaml").read_text()
    kept = re.sub(r"(?m)^#(   rules:| {5}- name:| {7,}).*\n?", "", shipped)
    kept = re.sub(r"(?m)^( *)# (?=[a-z_]+:|  )", r"\1", kept)
    kept = re.sub(r"(?m)^ +(token|aksk|sdk|project_name|iam_endpoint|ca_file): .*\n", "", kept)
    file = tmp_path / "all.yaml"
    file.write_text(kept)
    plain = tmp_path / "plain.yaml"
    plain.write_text(shipped)
    shown, default = load(str(file), GOOD_ENV).settings, load(str(plain), GOOD_ENV).settings
    assert shown.store == default.store
    assert shown.delivery == default.delivery
    assert shown.targets == default.targets
    assert shown.web == default.web
    assert repr(shown.mapping) == repr(default.mapping)


async def test_map_shows_what_a_payload_becomes(tmp_path):
    """`map` tells for each alert which rules were tried and why not, and the entry that AOM gets."""
    rules = """mapping:
  rules:
    - {name: pods, match: ['pod!=""'], set: {resource_type: pod}}
    - {name: noise, match: ['severity="none"'], drop: true}"""
    file = config_file(tmp_path, more=rules)
    body = json.dumps(payload(alert("A", pod="p1"), alert("B", severity="none"))).encode()
    code, out, err = await run(*bridge_command("map", f"--config.file={file}", "-"), stdin=body)
    assert (code, err) == (0, "")
    first, second = out.split("alert 2: ")
    assert "rule pods: matches" in first
    assert "resource_type = pod" in first
    assert 'rule pods: no, for pod!="" does not hold' in second
    assert "dropped by noise" in second


async def test_map_says_where_each_field_comes_from(tmp_path):
    """Rule, default, table, label, the bridge or a fallback: each field names its origin."""
    rules = """mapping:
  rules:
    - name: pods
      match: ['pod!=""']
      set: {resource_type: pod, zone: "{{ labels.zone | upper }}", resource_provider: "{{ labels.nope }}"}
      annotations: {runbook: http://r}"""
    file = config_file(tmp_path, more=rules)
    body = json.dumps(payload(alert("A", pod="p1", zone="b", job="api"))).encode()
    code, out, _ = await run(*bridge_command("map", f"--config.file={file}", "-"), stdin=body)
    origins = dict(re.findall(r"(?m)^  (\S+) = .*\n +from (.+)$", out))
    assert code == 0
    assert origins["event_name"] == "defaults: {{ labels.alertname or labels.alert_name or 'unnamed' }}"
    assert origins["event_severity"] == "mapping.severity: severity='critical'"
    assert origins["resource_type"] == "pods: pod"
    assert origins["resource_provider"] == "a fallback: pods gave nothing (the value is empty)"
    assert origins["zone"] == "pods: {{ labels.zone | upper }}"
    assert origins["alert_fingerprint"] == "the bridge"
    assert (origins["job"], origins["label_zone"]) == ("label job", "label zone")
    assert (origins["annotations.runbook"], origins["annotations.summary"]) == ("pods: http://r", "annotation summary")
    assert origins["annotations.message"].startswith("mapping.annotations: ")


async def test_map_names_what_was_left_out(tmp_path):
    """`map` names the labels that found no place among AOM's 30 keys; those of the group are not among them."""
    file = config_file(tmp_path)
    labels = {f"label_{number:02d}": "v" for number in range(28)} | {"team": "shop"}
    body = json.dumps(payload(alert("A", **labels), groupLabels={"team": "shop"})).encode()
    code, out, _ = await run(*bridge_command("map", f"--config.file={file}", "-"), stdin=body)
    (line,) = [line for line in out.splitlines() if "left out for AOM's limits" in line]
    assert (code, line.endswith(" label_26, label_27"), "team" in line) == (0, True, False)
    assert "team = shop" in out


async def test_map_looks_at_what_the_ledger_keeps(tmp_path):
    """--last maps the newest alerts of the ledger; --diff shows what another file would change, 1 if anything."""
    async with running(tmp_path / "ledger.db") as rig:
        await rig.send(alert("Old", team="shop"), alert("New", team="db"))
    file = config_file(tmp_path)
    code, out, _ = await run(*bridge_command("map", f"--config.file={file}", "--last"))
    assert (code, out.count("alert 1: firing"), "alert 2: " in out) == (0, 1, False)
    assert "event_name = New" in out
    code, out, _ = await run(*bridge_command("map", f"--config.file={file}", "--last", "5"))
    assert (code, "alert 2: " in out) == (0, True)
    other = tmp_path / "other.yaml"
    other.write_text(
        file.read_text() + "\nmapping: {rules: [{name: shop, match: [team=shop], set: {resource_type: s}}]}\n"
    )
    code, out, _ = await run(*bridge_command("map", f"--config.file={file}", f"--diff={other}"))
    assert code == 1
    assert "Old of default\n  rule: 'defaults' -> 'shop'\n  resource_type: 'alert' -> 's'\n" in out
    assert out.endswith("1 of 2 alert(s) would become something else\n")
    code, out, _ = await run(*bridge_command("map", f"--config.file={file}", f"--diff={file}"))
    assert (code, out) == (0, "0 of 2 alert(s) would become something else\n")
    code, _, err = await run(*bridge_command("map", f"--config.file={file}"))
    assert (code, "there is nothing to map. Fix: " in err) == (2, True)


async def test_map_needs_no_target_and_no_file_but_the_rules(tmp_path):
    """Labels on the command line become an alert; rules may name targets that nothing describes yet."""
    file = tmp_path / "rules.yaml"
    file.write_text("mapping: {rules: [{name: disks, match: [alertname=Disk], target: eu, set: {resource_type: d}}]}\n")
    labels = ["alertname=Disk", "pod=p1", "@summary=it is full"]
    code, out, err = await run(*bridge_command("map", f"--config.file={file}", *labels))
    assert (code, err) == (0, "")
    assert "mapped by disks for target eu" in out
    assert "pod = p1" in out
    assert "annotations.message = it is full" in out
    code, out, _ = await run(*bridge_command("map", f"--config.file={file}", "-o", "json", *labels))
    (explained,) = json.loads(out)
    assert (explained["rule"], explained["report"]["metadata"]["resource_type"]) == ("disks", "d")
    code, _, err = await run(*bridge_command("map", f"--config.file={file}", "alertname=Disk", "pod"))
    assert (code, "'pod' is no label. Fix: NAME=VALUE" in err) == (2, True)


async def test_map_reads_what_amtool_prints(tmp_path):
    """The list of `amtool alert query -o json`, which is that of Alertmanager's API."""
    listed = [
        {
            "labels": {"alertname": "A"},
            "annotations": {},
            "startsAt": "2026-11-27T13:00:00Z",
            "status": {"state": "active"},
        }
    ]
    code, out, err = await run(
        *bridge_command("map", f"--config.file={config_file(tmp_path)}", "-"), stdin=json.dumps(listed).encode()
    )
    assert (code, err) == (0, "")
    assert "event_name = A" in out
    assert "it fires since 2026-11-27T13:00:00.000Z" in out


@pytest.mark.real
async def test_map_asks_a_running_bridge_for_its_rules(tmp_path):
    """With `--url`, by the rules that run there, for its newest alert or for labels; no file is read."""
    more = "mapping: {rules: [{name: there, match: [team=shop], set: {resource_type: s}}]}"
    async with running(tmp_path / "l.db", more=more) as rig:
        await rig.send(alert("New", team="shop"))
        url = f"--url={rig.app.url}"
        code, out, err = await run(*bridge_command("map", url, "--last"), cwd=tmp_path)
        assert (code, err) == (0, "")
        assert "mapped by there for target default" in out
        assert "event_name = New" in out
        _, out, _ = await run(*bridge_command("map", url, "alertname=X", "team=shop"), cwd=tmp_path)
        assert "mapped by there" in out


async def test_map_says_what_is_wrong_with_a_payload(tmp_path):
    """A file that is no payload, or not there: exit 2 and one sentence."""
    file = config_file(tmp_path)
    for name, words in [("-", "the body is empty"), ("nowhere.json", "it is not there. Fix: create it, or correct")]:
        code, _, err = await run(*bridge_command("map", f"--config.file={file}", name))
        assert (code, words in err, "Traceback" in err) == (2, True, False)


async def test_alarms_lists_and_shows_beside_a_running_bridge(tmp_path):
    """`alarms list` and `show` read the ledger of a running bridge, as table and as JSON."""
    async with cloud() as aom, serving(tmp_path, aom.url) as (_, url):
        file = f"--config.file={tmp_path / 'bridge.yaml'}"
        assert await post(url, alert("Disk\x1b[31m", instance="node-1"), alert("Cpu")) == 200
        await until(lambda: len(aom.snapshot()["active"]) == 2)
        code, out, _ = await run(*bridge_command("alarms", "list", file, "-o", "json", "--state", "reported"))
        listed = json.loads(out)
        assert (code, len(listed)) == (0, 2)
        code, out, _ = await run(*bridge_command("alarms", "list", file))
        assert out.splitlines()[0].split() == ["SEVERITY", "AGE", "STATE", "EVENT", "RESOURCE", "ID"]
        assert "\x1b" not in out
        assert "node-1" in out
        code, out, _ = await run(*bridge_command("alarms", "show", listed[0]["id"][:12], file, "-o", "json"))
        shown = json.loads(out)
        assert (code, shown["state"], shown["labels"]["alertname"]) == (0, "reported", "Cpu")
        code, _, err = await run(*bridge_command("alarms", "show", "zzz", file))
        assert (code, "no alarm" in err) == (1, True)


async def test_alarms_without_a_ledger_says_what_to_do(tmp_path):
    """A ledger that is not there: exit 2, its path and the fix; and none is made."""
    file = config_file(tmp_path)
    code, _, err = await run(*bridge_command("alarms", "list", f"--config.file={file}"))
    assert (code, "no ledger is at" in err, "Fix:" in err) == (2, True, True)
    assert not (tmp_path / "ledger.db").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["serve", "--config.file=nowhere.yaml"], "nowhere.yaml:1:1: the file cannot be read"),
        (["serve", "--web.listen-address=here"], "not an address"),
        (["emulator", "--listen-address=127.0.0.1:99999"], "not an address"),
    ],
)
async def test_a_wrong_start_says_what_is_wrong_in_one_line(tmp_path, arguments, words):
    """A command that cannot start ends at once with one sentence and without a traceback."""
    if "nowhere" not in arguments[-1]:
        arguments = [*arguments, *([f"--config.file={config_file(tmp_path)}"] if arguments[0] == "serve" else [])]
    code, _, err = await run(*bridge_command(*arguments))
    assert code in (1, 2)
    assert words in err
    assert "Traceback" not in err


async def test_what_ends_serve_is_a_record_of_the_chosen_format(tmp_path):
    """A wrong configuration and an address that is none are JSON, too, each mistake in a record of its own."""
    bad = tmp_path / "bad.yaml"
    bad.write_text("targets: {default: {endpiont: x, project_id: p}}\n")
    for arguments, words in (
        ([f"--config.file={bad}"], "did you mean 'endpoint'?"),
        ([f"--config.file={config_file(tmp_path)}", "--web.listen-address=here"], "'here' is not an address"),
    ):
        code, _, err = await run(*bridge_command("serve", "--log.format=json", *arguments))
        records = [json.loads(line) for line in err.splitlines()]
        assert code in (1, 2)
        assert {record["level"] for record in records} == {"error"}
        assert any(words in record["problem"] for record in records)


async def test_a_port_in_use_is_named(tmp_path):
    """Two bridges on one port: the second one names the address and the fix."""
    async with cloud() as aom, serving(tmp_path, aom.url) as (_, url):
        address = url.removeprefix("http://")
        file = tmp_path / "other.yaml"
        file.write_text(settings_text(aom.url, tmp_path / "other.db"))
        command = bridge_command("serve", f"--config.file={file}", f"--web.listen-address={address}")
        code, _, err = await run(*command)
        assert code == 2
        assert f"{address} cannot be listened on" in err
        assert "Fix:" in err


async def test_serve_logs_json_when_asked(tmp_path):
    """`--log.format=json` gives one JSON object per line, from the first line on."""
    file = config_file(tmp_path)
    command = bridge_command("serve", f"--config.file={file}", "--web.listen-address=127.0.0.1:0", "--log.format=json")
    log = tmp_path / "log"
    log.write_bytes(b"")
    with started(log, *command) as process:
        await until(lambda: "ready" in process.output)
        assert process.terminate() == 0
    lines = [json.loads(line) for line in process.output.splitlines()]
    assert {"ts", "level", "msg", "component"} <= lines[0].keys()


async def test_the_emulator_command_serves_what_it_prints(tmp_path):
    """`aom-bridge emulator` prints a target that works, and takes its switches."""
    command = bridge_command("emulator", "--listen-address=127.0.0.1:0", "--ids=supplied")
    log = tmp_path / "log"
    log.write_bytes(b"")
    with started(log, *command) as process:
        await until(lambda: "Ctrl-C" in process.output)
        aom = re.search(r"endpoint: (\S+)", process.output)[1]
        token = re.search(r"value: (\S+?)}", process.output)[1]
        async with serving(tmp_path, aom, auth=f"{{token: {{value: {token}}}}}") as (_, url):
            assert await post(url, alert("A")) == 200

            async def holds_it():
                async with aiohttp.ClientSession() as session, session.get(f"{aom}/emulator/state") as response:
                    return "A" in by_name((await response.json())["active"])

            await until(holds_it)
        assert process.terminate() == 0


async def test_the_help_of_the_emulator_names_every_switch_and_fault():
    """What can be switched and ordered is found without reading code."""
    code, out, _ = await run(*bridge_command("emulator", "--help"))
    assert code == 0
    switches = {f"--{name.replace('_', '-')}" for name in (*CHOICES, *STATISTIC_CHOICES, "list_lag_ms")}
    assert [
        name for name in (*switches, *KINDS, *EXAMPLES.values(), *OPERATIONS, "/emulator/alarms/") if name not in out
    ] == []
