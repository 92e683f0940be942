"""Errors for another YAML value where a matcher or a list of matchers is expected, with the probable meaning; pure.

In: a YAML node. Out: a sentence with the fix. Prometheus and other tools write conditions as maps of labels and values.
"""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from bridge.typed_yaml.document import is_nothing
from bridge.typed_yaml.hints import called

_MAX_SHOWN_CHARACTERS = 80


def not_a_matcher(node: yaml.Node) -> str:
    """Return the error for a list or section where one matcher is expected."""
    texts = [*_matchers(node)]
    if isinstance(node, yaml.MappingNode) and node.flow_style and all(is_nothing(child) for _, child in node.value):
        texts = ["{" + ", ".join(texts) + "}"] if texts else []
    fix = _quoted(texts) if texts else "one matcher, such as " + _quoted(texts)
    return f"a matcher is expected here, not {called(node)}. Fix: write {fix}."


def not_matchers(node: yaml.Node) -> str:
    """Return the error for another value where a list of matchers is expected."""
    texts = [*_matchers(node)]
    fix = f"write [{_quoted(texts)}]" if texts else "begin lines with '- '"
    return f"a list of matchers is expected here, not {called(node)}. Fix: {fix}."


def _matchers(node: yaml.Node) -> Iterator[str]:
    """Yield the matchers that a map of labels and values probably means."""
    for key, child in node.value if isinstance(node, yaml.MappingNode) else ():
        if not isinstance(key, yaml.ScalarNode) or not isinstance(child, yaml.ScalarNode):
            continue
        value = child.value.replace("\\", "\\\\").replace('"', '\\"')
        yield str(key.value) if is_nothing(child) else f'{key.value}="{value}"'


def _quoted(texts: list[str]) -> str:
    shown = ", ".join("'" + text.replace("'", "''") + "'" for text in texts)
    return shown if shown and len(shown) <= _MAX_SHOWN_CHARACTERS else "'severity=\"critical\"'"
