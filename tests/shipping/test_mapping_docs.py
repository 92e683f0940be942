"""Every example of `docs/mapping.md` does what the page says."""

import json
import os
import re
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from bridge_rig import running
from paths import ROOT
from process import run
from webhooks import alert, payload

from bridge.cli.rule_test_files import run_file

PAGE = (ROOT / "docs" / "mapping.md").read_text(encoding="utf-8")
TARGET = "targets: {default: {region: cn-north-4, project_id: p, auth: {token: {value: t}}}}\n"
BLOCKS = re.findall(r"(?ms)^```yaml\n(.*?)^```$", PAGE)
COMMANDS = "".join(re.findall(r"(?ms)^```sh\n(.*?)^```$", PAGE)).splitlines()
EXAMPLES = [(one, two) for one, two in pairwise(BLOCKS) if two.startswith("tests:")]


def test_each_piece_of_configuration_has_tests():
    """No example stands there untested."""
    assert len(EXAMPLES) * 2 == len(BLOCKS) >= 16


@pytest.mark.parametrize(("config", "tests"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_does_what_it_says(config, tests, tmp_path):
    """The rules of an example give what its tests expect."""
    (tmp_path / "bridge.yaml").write_text(config if config.startswith("targets:") else TARGET + config)
    file = tmp_path / "tests.yaml"
    file.write_text("config: bridge.yaml\n" + tests)
    assert [(result.name, result.differences) for result in run_file(str(file)) if result.differences] == []


@pytest.fixture
async def folder(tmp_path):
    """A folder with the files that the commands of the page name, and a ledger with an alarm."""
    config = f"store: {{url: 'sqlite:///{tmp_path / 'ledger.db'}'}}\n{TARGET}{EXAMPLES[1][0]}"
    for name in ("bridge.yaml", "new.yaml"):
        (tmp_path / name).write_text(config)
    (tmp_path / "tests.yaml").write_text("config: bridge.yaml\n" + EXAMPLES[1][1])
    (tmp_path / "payload.json").write_text(json.dumps(payload(alert())))
    async with running(tmp_path / "ledger.db") as rig:
        await rig.send(alert())
    return tmp_path


@pytest.mark.real
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.partition("#")[0].strip())
async def test_a_command_of_the_page_runs_as_it_stands(command, folder):
    """Each line of the last part ends without an error, in a folder with the files that it names."""
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    code, out, err = await run("bash", "-c", command, env=env, cwd=folder)
    assert (code, err) == (0, ""), out


def test_the_commands_of_the_page_are_found():
    """The page tells each way to try rules."""
    assert [command.split()[1] for command in COMMANDS] == ["check-config", "map", "map", "map", "test-rules"]
