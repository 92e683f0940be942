"""Parses the bytes of a YAML file into one tree of nodes with line and column.

In: bytes. Out: the node at the top, or a `ConfigError`. Features of YAML that are not supported (tags, anchors,
aliases, several documents, deep nesting) are refused before the tree is built; `bridge.typed_yaml.mistakes` explains
why a text is not YAML.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import yaml

from bridge.typed_yaml.mistakes import TAG, explained
from bridge.typed_yaml.problems import ConfigError, Problem

MAX_FILE_BYTES = 1 << 20
MAX_DEPTH = 64
_MAX_SHOWN = 40
_ALIAS = "an alias, and aliases are not read. Fix: write the value out; quote a value that begins with *."
_ANCHOR = "an anchor, and anchors are not read. Fix: remove it; quote a value that begins with &."
_SECOND = "a second document begins here, and one is read. Fix: remove this line, or what follows it."


def compose(raw: bytes, file: str, fix: str = "describe a target under targets.default") -> yaml.Node:
    """Parse to a node tree; empty documents are skipped.

    Args:
        raw: the file's bytes.
        file: its name.
        fix: the fix in the message about an empty file.

    Raises:
        ConfigError: the file is not one supported YAML document.
    """
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError(file, [Problem(1, 1, "", "the file is over 1 MiB. Fix: a configuration is smaller.")])
    try:
        problems = list(_unsupported(yaml.parse(raw, Loader=yaml.SafeLoader)))
        documents = [] if problems else [*yaml.compose_all(raw, Loader=yaml.SafeLoader)]
    except yaml.MarkedYAMLError as error:
        raise ConfigError(file, [explained(raw, error)]) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        text = " ".join(str(error).split())
        raise ConfigError(file, [Problem(1, 1, "", f"not YAML: {text}. Fix: save it as UTF-8 text.")]) from None
    if problems:
        raise ConfigError(file, problems)
    for node in documents:
        if not is_nothing(node):
            return node
    raise ConfigError(file, [Problem(1, 1, "", f"the file is empty. Fix: {fix}.")])


def problem_at(node: yaml.Node | yaml.Event, path: str, text: str) -> Problem:
    """Return a problem at the beginning of a node."""
    mark = node.start_mark
    return Problem(mark.line + 1, mark.column + 1, path, text) if mark else Problem(1, 1, path, text)


def _unsupported(events: Iterable[yaml.Event]) -> Iterator[Problem]:
    """Yield the features of YAML that are not supported; it ends at the first nesting that is too deep."""
    depth = documents = 0
    document_start: yaml.Event | None = None
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            document_start = event
        elif document_start is not None and isinstance(event, yaml.NodeEvent):
            documents += not is_nothing(event)
            if documents > 1:
                yield problem_at(document_start, "", _SECOND)
                return
            document_start = None
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            yield problem_at(event, "", f"nested deeper than {MAX_DEPTH}. Fix: flatten it.")
            return
        if isinstance(event, yaml.NodeEvent):
            yield from _refused(event)


def _refused(event: yaml.NodeEvent) -> Iterator[Problem]:
    """Yield the unsupported features of an event; a name is shown only if it cannot be a secret that begins so."""
    if isinstance(event, yaml.AliasEvent):
        yield problem_at(event, "", f"* begins {_ALIAS}")
        return
    is_named = not is_nothing(event)
    if event.anchor is not None:
        yield problem_at(event, "", f"&{event.anchor} is {_ANCHOR}" if is_named else f"& begins {_ANCHOR}")
    if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
        tag = event.tag.replace("tag:yaml.org,2002:", "!!")
        yield problem_at(event, "", f"{tag[:_MAX_SHOWN]} is {TAG}" if is_named else f"! begins {TAG}")


def is_nothing(node: yaml.Node | yaml.Event) -> bool:
    """Return whether the value is empty, without even empty quotes."""
    return isinstance(node, yaml.ScalarNode | yaml.ScalarEvent) and not node.value and node.style is None
