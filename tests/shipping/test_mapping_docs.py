"""Every example of `docs/mapping.md` does what the page says."""

import re
from itertools import pairwise

import pytest
from paths import ROOT

from bridge.cli.rule_tests import run_file

PAGE = (ROOT / "docs" / "mapping.md").read_text(encoding="utf-8")
TARGET = "targets: {default: {region: cn-north-4, project_id: p, auth: {token: {value: t}}}}\n"
BLOCKS = re.findall(r"(?ms)^```yaml\n(.*?)^```$", PAGE)
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
