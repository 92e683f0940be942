"""Turns the bytes of a YAML file into one tree of nodes, which know their places.

In: bytes. Out: the node at the top, or a `ConfigError`. What YAML offers and is not read (tags, anchors, aliases,
several documents, deep nesting) is refused before it costs anything; `bridge.typed_yaml.mistakes` says why a text is
no YAML.
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
    """Parse to a node tree; empty documents beside the one that holds something are passed over.

    Args:
        raw: the file's bytes.
        file: its name.
        fix: what to do about an empty one.

    Raises:
        ConfigError: it is not such a file.
    """
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError(file, [Problem(1, 1, "", "the file is over 1 MiB. Fix: a configuration is smaller.")])
    try:
        problems = list(_not_read(yaml.parse(raw, Loader=yaml.SafeLoader)))
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


def problem_at(place: yaml.Node | yaml.Event, path: str, text: str) -> Problem:
    """Return a problem at the beginning of a node."""
    mark = place.start_mark
    return Problem(mark.line + 1, mark.column + 1, path, text) if mark else Problem(1, 1, path, text)


def _not_read(events: Iterable[yaml.Event]) -> Iterator[Problem]:
    """Yield what is YAML and is not read; it ends at the first nesting that is too deep."""
    depth = documents = 0
    begun: yaml.Event | None = None
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            begun = event
        elif begun is not None and isinstance(event, yaml.NodeEvent):
            documents += not is_nothing(event)
            if documents > 1:
                yield problem_at(begun, "", _SECOND)
                return
            begun = None
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            yield problem_at(event, "", f"nested deeper than {MAX_DEPTH}. Fix: flatten it.")
            return
        if isinstance(event, yaml.NodeEvent):
            yield from _refused(event)


def _refused(event: yaml.NodeEvent) -> Iterator[Problem]:
    """Yield what of an event is not read; it is named only where it cannot be a secret that begins with its sign."""
    if isinstance(event, yaml.AliasEvent):
        yield problem_at(event, "", f"* begins {_ALIAS}")
        return
    is_named = not is_nothing(event)
    if event.anchor is not None:
        yield problem_at(event, "", f"&{event.anchor} is {_ANCHOR}" if is_named else f"& begins {_ANCHOR}")
    if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
        tag = event.tag.replace("tag:yaml.org,2002:", "!!")
        yield problem_at(event, "", f"{tag[:_MAX_SHOWN]} is {TAG}" if is_named else f"! begins {TAG}")


def is_nothing(place: yaml.Node | yaml.Event) -> bool:
    """Say whether nothing stands there, not even empty quotes."""
    return isinstance(place, yaml.ScalarNode | yaml.ScalarEvent) and not place.value and place.style is None
