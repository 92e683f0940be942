"""`mapping.vars` are named values and templates that all other templates may use."""

import json
import pickle

import pytest
import yaml
from config_reading import TARGETS, problems, read
from mapping_driver import GROUP, alert
from process import bridge_command, run
from webhooks import alert as fired
from webhooks import payload

from bridge.config import load
from bridge.mapping import Fallback
from bridge.mapping.template import Template
from bridge.mapping.template_scope import AlertScope

VARS = """mapping:
  vars:
    cluster: "{{ labels.cluster or '${CLUSTER:-prod}' }}"
    resource: "clusterName={{ vars.cluster }}"
    zone: a
    broken: "{{ labels.alertname / 0 }}"
    behind: "{{ vars.broken }}!"
"""


def mapped(labels, rest, env=None):
    """Map one alert by the vars above and the rest of a mapping."""
    return read(TARGETS + VARS + rest, env).mapper().map("default", alert(labels), GROUP)


EVERYWHERE = """
  defaults: {resource_id: "{{ vars.resource }};x"}
  annotations: {where: "{{ vars['cluster'] | upper }}"}
  severity: {map: {}}
  rules:
    - {name: r, severity: "{{ 'Major' if vars.cluster == 'eu' else 'Info' }}", set: {zone: "{{ vars.zone }}"},
       annotations: {both: "{{ vars.cluster or vars.zone }}{{ vars.zone }}"}}
"""


@pytest.mark.parametrize(
    ("cluster", "env", "severity", "expected"),
    [("eu", {}, "Major", "eu"), ("", {}, "Info", "prod"), ("", {"CLUSTER": "{{ x }}"}, "Info", "{{ x }}")],
)
def test_every_template_may_use_them(cluster, env, severity, expected):
    """Defaults, annotations, severities and rules see their values, which may come from a label or a variable."""
    event = mapped({"alertname": "Disk", "cluster": cluster}, EVERYWHERE, env).mapped.event
    assert event.severity == severity
    assert event.metadata["resource_id"] == f"clusterName={expected};x"
    assert event.metadata["zone"] == "a"
    assert event.annotations == {"where": expected.upper(), "both": f"{expected}a"}


def test_they_travel_to_another_process():
    """Rules that are pickled for the process that writes map by the same vars, whatever its environment."""
    mapper = read(TARGETS + VARS + EVERYWHERE, {"CLUSTER": "{{ x }}"}).mapper()
    there = pickle.loads(pickle.dumps(mapper))  # noqa: S301 - our own
    assert there.map("default", alert(), GROUP) == mapper.map("default", alert(), GROUP)
    assert there.map("default", alert(), GROUP).mapped.event.metadata["resource_id"] == "clusterName={{ x }};x"


def test_one_that_breaks_costs_each_field_that_uses_it():
    """Each field falls back by itself, counted once with the name of what broke; the others stay."""
    rules = '  rules: [{name: r, set: {x: "{{ vars.behind }}", y: "{{ vars.broken }}", z: "{{ vars.zone }}"}}]'
    result = mapped({"alertname": "Disk"}, rules)
    problem = "VarError: vars.broken: TypeError: unsupported operand type(s) for /: 'str' and 'int'"
    assert result.fallbacks == (Fallback("r", "x", problem), Fallback("r", "y", problem))
    assert "x" not in result.mapped.event.metadata
    assert result.mapped.event.metadata["z"] == "a"


def test_each_is_worked_out_once_and_only_where_it_is_used():
    """A var costs nothing where no template looks at it, and one rendering where many do, even if it breaks."""
    made = []

    def counted(name, value):
        return Template(name, lambda _scope: made.append(name) or value / 1, {})

    scope = AlertScope("s", alert(), GROUP, {"unused": counted("unused", 1), "used": counted("used", 1)})
    assert [scope["vars"]["used"] for _ in range(3)] == [1, 1, 1]
    assert made == ["used"]
    broken = AlertScope("s", alert(), GROUP, {"broken": counted("broken", "x")})
    for _ in range(3):
        with pytest.raises(ValueError, match=r"vars\.broken: TypeError: "):
            broken["vars"]["broken"]
    assert made == ["used", "broken"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("vars: {a-b: x}", "2:23: mapping.vars.a-b: 'a-b' is not a name. Fix: "),
        ('vars: {a: "{{ vars.b }}", b: x}', "mapping.vars.a: vars.b is defined below it. Fix: put vars.b higher"),
        ('vars: {a: "{{ vars.a }}"}', "mapping.vars.a: vars.a uses itself. Fix: "),
        ('vars: {cluster: x, a: "{{ vars.clustr }}"}', "2:33: mapping.vars.a: mapping.vars has no 'clustr'. Fix: did "),
        ('vars: {cluster: x}, defaults: {event_name: "{{ vars.c }}"}', "defaults.event_name: mapping.vars has no 'c'."),
        ('annotations: {x: "{{ vars.c | upper }}"}', "annotations.x: mapping.vars has no 'c'. Fix: name it under"),
        ("rules: [{name: r, set: {x: \"{{ vars['c'] }}\"}}]", "rules[0].set.x: mapping.vars has no 'c'."),
        ('rules: [{name: r, annotations: {x: "{{ vars.c }}"}}]', "rules[0].annotations.x: mapping.vars has no 'c'."),
        ('rules: [{name: r, severity: "{{ vars.c }}"}]', "rules[0].severity: mapping.vars has no 'c'."),
        ('vars: {c: x}, annotations: {x: "{{ vars }}"}', "uses vars as a whole. Fix: such as vars.name."),
        ('vars: {c: x}, annotations: {x: "{{ vars[labels.a] }}"}', "computes a name of vars. Fix: write it"),
        ('vars: {c: "{{ x }}"}', "mapping.vars.c: unknown name 'x' in a template. Fix: "),
    ],
)
def test_a_name_that_is_none_is_a_mistake(text, sentence):
    """Names that do not exist, stand below, or cannot be told before are mistakes with their place and fix."""
    (line,) = problems(TARGETS + f"mapping: {{{text}}}")
    assert sentence in line


def test_one_that_cannot_be_read_is_the_only_mistake():
    """Templates that use a var with a mistake of its own are not told as well."""
    (line,) = problems(TARGETS + 'mapping: {vars: {a: "{{ x }}"}, annotations: {b: "{{ vars.a }}"}}')
    assert line.startswith("test.yaml:2:21: mapping.vars.a: unknown name 'x'")


def test_what_runs_shows_them():
    """The view of the configuration shows vars as they were written, with variables by their names."""
    shown = load("f", {"CLUSTER": "x"}, raw=(TARGETS + VARS).encode()).shown.yaml
    assert yaml.safe_load(shown)["mapping"] == yaml.safe_load(VARS)["mapping"]


@pytest.mark.real
async def test_map_names_their_values(tmp_path):
    """`map` says what each var is for an alert, or what broke."""
    file = tmp_path / "bridge.yaml"
    file.write_text(TARGETS + VARS)
    body = json.dumps(payload(fired("x", cluster="eu"))).encode()
    _, out, _ = await run(*bridge_command("map", f"--config.file={file}", "-"), stdin=body)
    assert "  vars.cluster is 'eu'\n  vars.resource is 'clusterName=eu'\n  vars.zone is 'a'\n" in out
    assert "  vars.behind is nothing (vars.broken: TypeError: " in out
