"""A step of the recipes in CONTRIBUTING.md that is forgotten fails a test: here are those that no package tests."""

import ast
import json
import re
from typing import get_args

import pytest
import yaml
from mapping_driver import alert, metadata
from paths import ROOT

from bridge import event
from bridge.app.label_sets import LABEL_SETS
from bridge.event import BRIDGE_KEYS, MANDATORY
from bridge.ledger import STATES, Alarm, State
from bridge.ledger.alarm import Phase
from bridge.ledger.decisions import Decision
from bridge.ledger.storage.schema import alarms
from bridge.ledger.transitions import _BY_DECISION
from bridge.metrics import Metrics
from bridge.web.handlers.alarm_json import _INTERNAL

MODULES = sorted((ROOT / "bridge").rglob("*.py"))


def test_every_key_of_the_bridge_is_declared():
    """What an event has besides the mandatory keys and its labels are `BRIDGE_KEYS`, which no rule may set."""
    assert list(metadata(alert({}))) == [*MANDATORY, *BRIDGE_KEYS]


def test_every_key_of_the_bridge_is_in_the_alarm_of_send_test_and_on_the_page():
    """The alarm that `send-test` reports has the keys of a real one, and docs/mapping.md names them."""
    names = {name for name in vars(event) if name.endswith("_KEY")}
    send_test = ast.parse((ROOT / "bridge/cli/target_trial.py").read_text())
    written = {node.id for node in ast.walk(send_test) if isinstance(node, ast.Name)}
    assert len(names) == len(BRIDGE_KEYS)
    assert names <= written
    page = (ROOT / "docs/mapping.md").read_text(encoding="utf-8")
    assert [key for key in BRIDGE_KEYS if f"`{key}`" not in page] == []


def test_every_metric_is_changed_somewhere():
    """Each metric is used by a package, or by `Metrics` itself: none stays at 0 for ever."""
    made = Metrics("1", "3", LABEL_SETS)
    names = {name for name, one in vars(made).items() if hasattr(one, "_labelnames")}
    others = "\n".join(module.read_text() for module in MODULES if module.name != "metrics.py" or "web" in module.parts)
    unused = {name for name in names if not re.search(rf"metrics\.{name}\b", others)}
    assert unused == {"build_info"}
    assert len(names) > 20


def test_every_state_has_its_meaning_and_its_place_on_the_page():
    """`STATES` says what each state means, and docs/metrics.md lists them all; the columns are wide enough."""
    assert tuple(STATES) == get_args(State)
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    (row,) = (line for line in page.splitlines() if line.startswith("| `aom_bridge_alarms`"))
    assert tuple(re.findall(r"`(\w+)`", row.partition("the states:")[2])) == tuple(STATES)
    assert max(map(len, get_args(State))) <= alarms.c.state.type.length
    assert max(map(len, get_args(Phase))) <= alarms.c.phase.type.length


def test_every_decision_can_be_carried_out():
    """`transitions.apply` knows each kind of decision."""
    assert set(_BY_DECISION) == set(get_args(Decision))


def test_every_column_is_shown_or_internal():
    """Each field of an alarm is described for the API, or is listed as internal; none is both."""
    description = yaml.safe_load((ROOT / "bridge/web/handlers/openapi.yaml").read_text())
    described = set(description["components"]["schemas"]["Alarm"]["properties"]) - {"event", "labels", "group"}
    assert set(Alarm.__struct_fields__) == described | set(_INTERNAL)
    assert described & set(_INTERNAL) == set()


def keys(schema, *, without=()):
    """Give the name of every setting in a JSON Schema, but for those below some of them."""
    if isinstance(schema, list):
        return set().union(*(keys(one, without=without) for one in schema))
    if not isinstance(schema, dict):
        return set()
    named = schema["properties"] if isinstance(schema.get("properties"), dict) else {}
    below = [value for name, value in (schema | named).items() if name not in ("properties", *without)]
    return set(named) | keys(below, without=without)


@pytest.mark.parametrize(
    ("file", "without", "unset"),
    [
        ("config/bridge.yaml", (), {"security_token_file"}),  # it writes security_token(_file)
        # Of auth a target has one method; vars and the matchers of group and annotations are tested with the mapping.
        (
            "tests/data/config/good/full.yaml",
            ("auth",),
            {"match_group", "match_annotations", "vars", "credentials", "password_file", "url_file"},
        ),
    ],
)
def test_every_setting_is_in_the_files_that_show_all(file, without, unset):
    """The shipped configuration shows each setting, and so does the file that tests set each with."""
    text = (ROOT / file).read_text(encoding="utf-8")
    names = keys(json.loads((ROOT / "config/schema.json").read_text()), without=without)
    assert {name for name in names if not re.search(rf"\b{name}\b", text)} == unset
    assert len(names) > 40


def test_every_handler_is_served():
    """Each class with routes is made by the app, which hands it to the server."""
    with_routes = {
        node.name
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.ClassDef)
        and any(isinstance(one, ast.FunctionDef) and one.name == "routes" for one in node.body)
        and "Protocol" not in map(ast.unparse, node.bases)
        and "emulator" not in module.parts
    }
    app = [ast.parse((ROOT / "bridge/app" / name).read_text()) for name in ("app.py", "pages.py")]
    made = {ast.unparse(node.func) for tree in app for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert with_routes - made == set()
    assert len(with_routes) > 5
