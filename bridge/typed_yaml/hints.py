"""What was probably meant where a YAML value has another form than its setting: a section for a text, and the like.

In: nodes and the types of settings. Out: sentences with the fix, or nothing. It changes and reads no value.
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
    """Say whether YAML has read ``{{ … }}`` without quotes as a section in a section."""
    if not isinstance(node, yaml.MappingNode) or not node.flow_style:
        return False
    return any(isinstance(key, yaml.MappingNode) for key, _ in node.value)


def not_a_value(node: yaml.Node, name: str) -> str:
    """Return the sentence about a list or section where one value belongs."""
    if is_template_in_braces(node):
        return BRACES
    return f"{name} is expected here, not {called(node)}. Fix: write one value."


def not_a_list(node: yaml.Node) -> str:
    """Return the sentence about what stands where a list belongs."""
    return f"a list is expected here, not {called(node)}. Fix: begin lines with '- '."


def called(node: yaml.Node) -> str:
    """Return what a node is; never its value, which may be a secret."""
    if isinstance(node, yaml.ScalarNode):
        return "a single value" if node.value else "nothing"
    return "a list" if isinstance(node, yaml.SequenceNode) else "a section"


def empty_before(pairs: Pairs, key: str, hints: dict[str, Any]) -> str | None:
    """Return the section without lines of its own that stands before a key: the key's lines may belong below it."""
    before: str | None = None
    for name, (_, child) in pairs.items():
        if name == key:
            return before
        if name in hints:
            before = name if is_nothing(child) and _holds_keys(hints[name]) else None
    return None


def holder_of(key: str, hints: dict[str, Any]) -> str | None:
    """Return the section beside a key that takes it."""
    return next((name for name, kind in hints.items() if any(key in keys_of(one) for one in _sections(kind))), None)


def keys_of(section: Any) -> list[str]:  # noqa: ANN401 - a dataclass of the settings
    """Return the keys that a section takes."""
    return [one.metadata.get("key", one.name) for one in dataclasses.fields(section)]


def below(parent: str, *, is_there: bool) -> str:
    """Return the sentence about a key that has lost a level of indentation, or the line that it belongs below."""
    fix = f"indent it and its lines by one level more than '{parent}:'"
    if is_there:
        return f"it belongs below '{parent}:'. Fix: {fix}."
    return f"it belongs below '{parent}:', which is missing. Fix: write '{parent}:' above it, and {fix}."


def _sections(kind: Any) -> Iterator[Any]:  # noqa: ANN401 - a type of the settings
    if dataclasses.is_dataclass(kind):
        yield kind
    elif get_origin(kind) in (types.UnionType, typing.Union):
        for one in get_args(kind):
            yield from _sections(one)


def _holds_keys(kind: Any) -> bool:  # noqa: ANN401 - as above
    if get_origin(kind) in (types.UnionType, typing.Union):
        return any(_holds_keys(one) for one in get_args(kind))
    return dataclasses.is_dataclass(kind) or get_origin(kind) is dict
