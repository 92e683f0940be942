"""Targets for a configuration that has none, so that rules can be tried before there is an account; pure.

In: the document of a configuration. Out: the same with a target `default`, and one for each that its rules and
heartbeats name. They are only for commands that send nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import yaml

_TARGET = "{region: cn-north-4, project_id: none, auth: {token: {value: none}}}"


def with_targets(node: yaml.Node) -> yaml.Node:
    """Return a document with targets: unchanged if it has any, or is no mapping."""
    if not isinstance(node, yaml.MappingNode) or any(key.value == "targets" for key, _ in node.value):
        return node
    names = dict.fromkeys(("default", *_named(node)))
    text = "\n".join(f"{name!r}: {_TARGET}" for name in names if name.isprintable() and "'" not in name)
    targets = yaml.compose(text, Loader=yaml.SafeLoader)
    key = yaml.ScalarNode("tag:yaml.org,2002:str", "targets", node.start_mark, node.end_mark)
    return yaml.MappingNode(node.tag, [*node.value, (key, targets)], node.start_mark, node.end_mark)


def _named(node: yaml.Node) -> Iterator[str]:
    """Yield the text of every key ``target`` in a document."""
    if isinstance(node, yaml.SequenceNode):
        for each in node.value:
            yield from _named(each)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == "target" and isinstance(value, yaml.ScalarNode):
                yield str(value.value)
            yield from _named(value)
