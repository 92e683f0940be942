"""The mapping section of a loaded file, as text that a person edits: it can be read again, and holds no secret."""

import pytest
from config_reading import TARGETS, read
from paths import ROOT

from bridge.config import load

EXAMPLES = [file for file in sorted((ROOT / "config").glob("*.yaml")) if "\nmapping:" in file.read_text("utf-8")]


def loaded(text, env=None):
    """Load a configuration from text."""
    return load("test.yaml", env or {}, raw=text.encode(), allow_unset=True)


@pytest.mark.parametrize("text", ["", "mapping:\n", "mapping: {}\n"])
def test_without_rules_there_is_an_empty_section(text):
    """A file without a mapping section has the text of an empty one."""
    assert loaded(TARGETS + text).shown.mapping.yaml == "mapping: {}\n"


def test_the_text_gives_the_same_section_again():
    """Read in the place of the section in the file, the text gives equal rules, with equal variables."""
    section = """mapping:
  vars: {zone: "${ZONE}", plain: "$${ZONE} ${NOT:-there}"}
  severity: {label: prio, map: {"1": Critical, no: Info}}
  rules:
    - name: 'it''s "quoted"'
      match: ['team=~"a|b"', {"severity"="x"}]
      set:
        note: |
          {% if labels.x %}one{% else %}two{% endif %}
          {{ vars.zone }}
      labels: {drop: [a, "b: c", '#d']}
""".replace('{"severity"="x"}', '\'{"severity"="x"}\'')
    env = {"ZONE": "cn-north-4"}
    first = loaded(TARGETS + section, env)
    second = loaded(TARGETS + first.shown.mapping.yaml, env)
    assert repr(second.settings.mapping) == repr(first.settings.mapping)
    assert second.shown.mapping == first.shown.mapping
    assert first.shown.mapping.variables == env


def test_a_variable_of_which_a_secret_is_made_is_not_told():
    """Values come with the section for its own variables only, and never for those in secrets and passwords."""
    file = """targets: {default: {region: cn-north-4, project_id: "${PROJECT}", auth: {token: {value: "x${TOKEN}"}}}}
store: {url: "postgresql://bridge:${DB}@db/x"}
mapping:
  vars: {a: "${TOKEN} ${DB} ${PROJECT} ${UNSET}"}
"""
    env = {"TOKEN": "hunter2", "DB": "hunter3", "PROJECT": "p1", "OTHER": "hunter4"}
    assert loaded(file, env).shown.mapping.variables == {"PROJECT": "p1"}


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_the_text_of_every_shipped_example_can_be_read_again(file):
    """The mapping sections that are shipped stay what they are."""
    first = load(str(file), {}, allow_unset=True)
    target = "{region: cn-north-4, project_id: p1, auth: {token: {value: t}}}"
    targets = "".join(f"  {name}: {target}\n" for name in first.settings.targets)
    again = read(f"targets:\n{targets}{first.shown.mapping.yaml}", allow_unset=True)
    assert repr(again.mapping.rules) == repr(first.settings.mapping.rules)
