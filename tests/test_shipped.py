"""The configurations in `config/` load without a doubt, and do what their own tests say."""

import re
from pathlib import Path

import pytest

from bridge.config import examine
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
