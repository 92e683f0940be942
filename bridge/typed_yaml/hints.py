"""Hints for values whose form does not fit their setting, such as a section where a text is expected.

In: nodes and the types of settings. Out: sentences with the fix, or None. It changes and parses no value.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import yaml

from bridge.typed_yaml.document import is_nothing
from bridge.typed_yaml.mistakes import BRACES

Pairs = dict[str, tuple[yaml.Node, yaml.Node]]


def is_template_in_braces(node: yaml.Node) -> bool:
    """Return whether YAML has parsed an unquoted ``{{ … }}`` as a section in a section."""
    if not isinstance(node, yaml.MappingNode) or not node.flow_style:
        return False
    return any(isinstance(key, yaml.MappingNode) for key, _ in node.value)


def not_a_value(node: yaml.Node, name: str) -> str:
    """Return the error message for a list or section where one value is expected."""
    if is_template_in_braces(node):
        return BRACES
    return f"{name} is expected here, not {called(node)}. Fix: write one value."


def not_a_list(node: yaml.Node) -> str:
    """Return the error message for a node where a list is expected."""
    return f"a list is expected here, not {called(node)}. Fix: begin lines with '- '."


def called(node: yaml.Node) -> str:
    """Return the kind of a node in words; never its value, which may be a secret."""
    if isinstance(node, yaml.ScalarNode):
        return "a single value" if node.value else "nothing"
    return "a list" if isinstance(node, yaml.SequenceNode) else "a section"


def empty_before(pairs: Pairs, key: str, hints: dict[str, Any]) -> str | None:
    """Return the empty section just before a key: the key may belong below it."""
    before: str | None = None
    for name, (_, child) in pairs.items():
        if name == key:
            return before
        if name in hints:
            before = name if is_nothing(child) and _holds_keys(hints[name]) else None
    return None


def holder_of(key: str, hints: dict[str, Any]) -> str | None:
    """Return the neighbouring section that has a setting of this name."""
    return next(
        (name for name, kind in hints.items() if any(key in keys_of(section) for section in _sections(kind))), None
    )


def keys_of(section: Any) -> list[str]:  # noqa: ANN401 - a dataclass of the settings
    """Return the keys of a section."""
    return [field.metadata.get("key", field.name) for field in dataclasses.fields(section)]


def below(parent: str, *, is_there: bool) -> str:
    """Return the error message for a key that is indented too little, or whose section is missing."""
    fix = f"indent it and its lines by one level more than '{parent}:'"
    if is_there:
        return f"it belongs below '{parent}:'. Fix: {fix}."
    return f"it belongs below '{parent}:', which is missing. Fix: write '{parent}:' above it, and {fix}."


def _sections(kind: Any) -> Iterator[Any]:  # noqa: ANN401 - a type of the settings
    if dataclasses.is_dataclass(kind):
        yield kind
    elif get_origin(kind) in (types.UnionType, typing.Union):
        for member in get_args(kind):
            yield from _sections(member)


def _holds_keys(kind: Any) -> bool:  # noqa: ANN401 - a type of the settings
    if get_origin(kind) in (types.UnionType, typing.Union):
        return any(_holds_keys(member) for member in get_args(kind))
    return dataclasses.is_dataclass(kind) or get_origin(kind) is dict
