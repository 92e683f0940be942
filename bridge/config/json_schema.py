"""Makes the JSON Schema of the configuration file from the settings, so that editors complete and check it.

In: the dataclasses of the settings. Out: the schema; `python -m bridge.config.json_schema` prints it, and a test
compares the shipped `config/schema.json` with it. It covers the types of the settings; rules between settings are
checked by the loader alone. What a key is for stands in the docstring of its class, under "Attributes:".
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import sys
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from bridge.clock import format_duration
from bridge.config import Settings
from bridge.mapping.matcher import Matchers
from bridge.mapping.template import Template
from bridge.typed_yaml.secret import Secret

Json = dict[str, Any]
_VARIABLE: Json = {"type": "string", "pattern": r"\$\{"}
_TEXT: Json = {"type": ["string", "number", "boolean"]}
_PLAIN: dict[Any, Json] = {
    bool: {"anyOf": [{"type": "boolean"}, _VARIABLE]},
    int: {"anyOf": [{"type": "integer"}, _VARIABLE]},
    float: {"anyOf": [{"type": "number"}, _VARIABLE]},
    Matchers: {**_TEXT, "title": "matchers"},
    Path: {**_TEXT, "title": "a file"},
    Template: {**_TEXT, "title": "text or a template"},
}
_NAMED: dict[str, Json] = {
    "a duration": {**_TEXT, "title": "a duration, such as 200ms, 5m or 1h30m"},
    "a size": {**_TEXT, "title": "a size in bytes, such as 512KiB or 64MiB"},
    "text": _TEXT,
    "auto or a duration": {**_TEXT, "title": "auto or a duration, such as 5m"},
    "a percentage": {**_TEXT, "title": "a percentage, such as 10%"},
    "a secret": {**_TEXT, "title": "a secret; better a file or ${VARIABLE}"},
}
_WRITTEN: dict[str, Callable[[Any], str]] = {
    "a duration": format_duration,
    "a size": lambda value: f"{value >> 20}MiB",
    "text": str,
    "auto or a duration": lambda value: "auto" if value is None else format_duration(value),
    "a percentage": lambda value: f"{value * 100:g}%",
}
"""How a default is written in the file, by the name of the scalar; a secret has none."""

_ATTRIBUTE = re.compile(r"^    (?P<name>\w+): (?P<text>.+(?:\n {8}.+)*)", re.MULTILINE)


def schema() -> Json:
    """Return the schema of the whole file."""
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "aom-bridge's configuration"}
    return {**head, **_section(Settings)}


def _schema_of(kind: Any) -> Json:  # noqa: ANN401, PLR0911 - a type of the settings, and one return for each form
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _NAMED[args[1].name]
    if origin in (types.UnionType, typing.Union):
        kinds = [_schema_of(member) for member in args if member is not type(None)]
        return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    if origin is Literal:
        return {"anyOf": [{"enum": list(args)}, _VARIABLE]}
    if origin is tuple:
        return {"type": "array", "items": _schema_of(args[0])}
    if origin is dict:
        return {"type": ["object", "null"], "additionalProperties": _schema_of(args[1])}
    if dataclasses.is_dataclass(kind):
        return _section(kind)
    return _PLAIN.get(kind, _TEXT)


def _section(kind: Any) -> Json:  # noqa: ANN401 - a dataclass
    hints = typing.get_type_hints(kind, include_extras=True)
    head, texts = _texts(kind)
    fields = {field.metadata.get("key", field.name): field for field in dataclasses.fields(kind)}
    section: Json = {"type": ["object", "null"], "additionalProperties": False, "description": head}
    section["properties"] = {
        key: _field(field, hints[field.name], texts.get(field.name, "")) for key, field in fields.items()
    }
    required = [key for key, field in fields.items() if _default(field) is dataclasses.MISSING]
    if required:
        section["required"] = required
    return section


def _texts(kind: type) -> tuple[str, dict[str, str]]:
    """Return what the docstring of a class says of the class, and of each field."""
    text = inspect.cleandoc(kind.__doc__ or "")
    _, _, attributes = text.partition("\nAttributes:\n")
    told = {found["name"]: " ".join(found["text"].split()) for found in _ATTRIBUTE.finditer(attributes)}
    return text.partition("\n")[0], {name: text[:1].upper() + text[1:] for name, text in told.items()}


def _field(field: dataclasses.Field[Any], kind: Any, text: str) -> Json:  # noqa: ANN401 - a type of the settings
    schema_of_field = dict(_schema_of(kind))
    if text:
        schema_of_field["description"] = text
    default = _default_written(kind, _default(field))
    if default is not None:
        schema_of_field["default"] = default
    return schema_of_field


def _default_written(kind: Any, default: Any) -> object:  # noqa: ANN401 - a type of the settings, and a value of it
    """Return a default as it is written in the file; None where there is none to write."""
    name = get_args(kind)[1].name if get_origin(kind) is Annotated else ""
    if default is dataclasses.MISSING or dataclasses.is_dataclass(default):
        return None
    if name in _WRITTEN:
        return _WRITTEN[name](default)
    return None if default in (None, "", ()) else _shown(default)


def _default(field: dataclasses.Field[Any]) -> Any:  # noqa: ANN401 - a default has the type of its field
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def _shown(value: object) -> object:
    """Return a default as it is written in the file; None if it cannot be written there."""
    if isinstance(value, Template):
        return value.text
    if isinstance(value, dict):
        return {key: _shown(member) for key, member in value.items()} or None
    return None if isinstance(value, (Secret, Matchers)) else value


if __name__ == "__main__":
    sys.stdout.write(json.dumps(schema(), indent=2) + "\n")
