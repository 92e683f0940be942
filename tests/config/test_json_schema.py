"""Editors check the configuration by a schema that says what the loader says of names, kinds and choices."""

import json

import jsonschema
import pytest
import yaml
from paths import DATA, ROOT

from bridge.config.json_schema import schema

SHIPPED = ROOT / "config"
GOOD = [*sorted((DATA / "config" / "good").glob("*.yaml")), SHIPPED / "bridge.yaml"]


def complaints(text):
    """Give what the schema finds wrong in a file, each with its path."""
    validator = jsonschema.Draft7Validator(schema())
    return [".".join(map(str, error.absolute_path)) for error in validator.iter_errors(yaml.safe_load(text))]


def test_the_shipped_schema_is_made_from_the_settings():
    """`config/schema.json` is what `make schema` writes now, and is a schema."""
    made = json.loads((SHIPPED / "schema.json").read_text())
    assert made == schema()
    jsonschema.Draft7Validator.check_schema(made)


def keys(section, path=""):
    """Give each key below a part of the schema, as pairs of its path and what the schema says of it."""
    for key, value in section.get("properties", {}).items():
        yield f"{path}.{key}", value
        yield from keys(value, f"{path}.{key}")
    for inner in (section.get("items"), section.get("additionalProperties"), *section.get("anyOf", ())):
        if isinstance(inner, dict):
            yield from keys(inner, path)


def test_every_key_says_what_it_is_for():
    """An editor shows a text of its own for each key; the docstring of the settings' class has it."""
    told = dict(keys(schema()))
    assert {".targets.audit_adopt", ".mapping.rules.continue", ".alertmanagers.basic_auth.username"} <= set(told)
    assert [path for path, value in told.items() if not value.get("description", "").endswith((".", "`."))] == []


def test_a_default_is_written_as_in_the_file():
    """Durations, sizes and percentages have their units, so that a default can be copied."""
    defaults = {path: value.get("default") for path, value in keys(schema())}
    assert defaults[".targets.alarm_timeout"] == "5d"
    assert defaults[".web.max_body"] == "64MiB"
    assert defaults[".alertmanagers.max_clears"] == "10%"
    assert defaults[".alertmanagers.missing_after"] == "auto"


@pytest.mark.parametrize("file", GOOD, ids=lambda path: path.stem)
def test_a_good_file_is_good_for_editors_too(file):
    """Nothing that the loader takes is marked as wrong."""
    assert complaints(file.read_text()) == []


BAD = {
    "targets: {default: {projectid: p}}": "targets.default",
    "targets: {default: {project_id: p, auth: {}}}\nsorce: x": "",
    "targets: {default: {project_id: p, auth: {}, clear_by: magic}}": "targets.default.clear_by",
    "targets: {default: {project_id: p, auth: {}, rate_limit: fast}}": "targets.default.rate_limit",
    "targets: {}\nmapping: {rules: [{match: x}]}": "mapping.rules.0",
    "targets: {}\nmapping: {severity: {map: {a: Fatal}}}": "mapping.severity.map.a",
}


@pytest.mark.parametrize(("text", "path"), BAD.items())
def test_a_wrong_file_is_marked_at_its_place(text, path):
    """Unknown names, wrong kinds and wrong choices are found where they stand."""
    assert path in complaints(text)
