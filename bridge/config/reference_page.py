"""Makes `docs/configuration.md` from the JSON Schema of the configuration file: one table for each section.

In: the schema of `bridge.config.json_schema`. Out: the page; `python -m bridge.config.reference_page` prints it, and a
test compares the shipped page with it. What a key is for is said by the docstrings of the settings alone.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from bridge.config.json_schema import Json, schema

_HEAD = """\
# The configuration file

This page lists every key of the file of `--config.file`. `make schema` makes it, and `config/schema.json`, from the
settings in the code: change neither by hand. The [glossary](glossary.md) explains the words.

- [`config/bridge.yaml`](../config/bridge.yaml) is a whole file with every key at its default. Editors complete and
  explain the keys by its first line. `aom-bridge check-config FILE` names every mistake with its line.
- In a value, `${NAME}` is a variable of the environment that must be set, `${NAME:-default}` one with a default, and
  `$$` is a `$`.
- A duration is written as Prometheus does (`200ms`, `5m`, `1h30m`, `5d`), a size in bytes with its unit (`64MiB`).
  What a plain number counts is said with its key.
- A key without a default is off, or empty, unless it says something else. A key that is unknown is a mistake.
- The file is read again at SIGHUP, at `POST /-/reload`, or by itself with `--config.watch`, as a whole or not at all. A
  change of `source`, `store` or `web` needs a restart. A target with alarms that are not finished can neither be
  removed nor get another address, project or enterprise project; a source with such alarms cannot be removed.
- Users, tokens, rights and TLS of the bridge's own port are in the file of `--web.config.file`:
  [`config/web.yml`](../config/web.yml).
"""

_TABLE = "| Key | What it takes | Default | What it is for, and when to change it |\n| --- | --- | --- | --- |\n"


def page() -> str:
    """Return the page, in Markdown."""
    return "\n".join([_HEAD, *(_part(path, section) for path, section in _sections("", schema()))])


def _sections(path: str, section: Json) -> Iterator[tuple[str, Json]]:
    """Yield a section and all below it, each with its path; a section that is used twice is shown at each place."""
    if section["properties"]:
        yield path, section
    for key, value in section["properties"].items():
        for place, inner in _inner(f"{path}.{key}" if path else key, value):
            yield from _sections(place, inner)


def _inner(path: str, value: Json) -> Iterator[tuple[str, Json]]:
    """Yield the sections that a key takes: itself, its items, its members, or its alternatives."""
    if "properties" in value:
        yield path, value
    elif "items" in value:
        yield from _inner(f"{path}[]", value["items"])
    elif isinstance(value.get("additionalProperties"), dict):
        yield from _inner(f"{path}.NAME", value["additionalProperties"])
    for choice in value.get("anyOf", ()):
        yield from _inner(path, choice)


def _part(path: str, section: Json) -> str:
    head = f"## {path}" if path else "## The sections"
    required = section.get("required", ())
    rows = [
        f"| `{key}` | {_kind(f'{path}.{key}' if path else key, value)} | {_default(value, is_required=key in required)}"
        f" | {_cell(value['description'])} |\n"
        for key, value in section["properties"].items()
    ]
    return f"{head}\n\n{_cell(section['description'])}\n\n{_TABLE}{''.join(rows)}"


def _kind(path: str, value: Json) -> str:  # noqa: PLR0911 - one return for each form of a schema
    """Return in words what a key takes."""
    if "title" in value:
        return re.split(", such as|;", str(value["title"]))[0]
    if "anyOf" in value:
        kinds = dict.fromkeys(_kind(path, choice) for choice in value["anyOf"] if "pattern" not in choice)
        return " or ".join(kinds)
    if "enum" in value:
        return " or ".join(f"`{choice}`" for choice in value["enum"])
    if "items" in value:
        return f"a list of {_kind(f'{path}[]', value['items'])}"
    if "properties" in value:
        return _section_link(path, value)
    if "additionalProperties" in value:
        return f"names, each with {_kind(f'{path}.NAME', value['additionalProperties'])}"
    return _PLAIN.get(str(value["type"]), "text")


_PLAIN = {"boolean": "`true` or `false`", "integer": "a whole number", "number": "a number"}


def _section_link(path: str, value: Json) -> str:
    """Return a link to the heading of a section; one without keys has none."""
    if not value["properties"]:
        return "`{}`"
    anchor = "".join(letter for letter in path.lower() if letter.isalnum() or letter in "_-")
    return f"[{path}](#{anchor})"


def _default(value: Json, *, is_required: bool) -> str:
    if is_required:
        return "*needed*"
    default = value.get("default")
    if isinstance(default, dict):
        return "the shipped table"
    if default is None:
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _cell(text: str) -> str:
    return text.replace("``", "`").replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
