"""Parses a configuration of Alertmanager into sections that know their lines; pure.

In: YAML, as a file or as a peer's status shows it. Out: a `Section`, or `UnreadableRoutingError` with the line.
Scalars are read as text, as in all YAML of the bridge; anchors and merge keys are followed, since Alertmanager does so.
What the keys mean is the business of `bridge.reconcile.routing`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast

import yaml

from bridge.clock import Millis
from bridge.typed_yaml.mistakes import explained
from bridge.typed_yaml.scalars import parse_duration

_TRUE = ("true", "yes", "on", "y")
_FALSE = ("false", "no", "off", "n")
"""What Alertmanager's YAML takes for a truth value, in lower case."""


class UnreadableRoutingError(ValueError):
    """A text that is no configuration of Alertmanager.

    Attributes:
        line: where it is not, counted from 1.
    """

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


class Section(dict[str, Any]):
    """A section of the configuration.

    Attributes:
        line: where it begins, counted from 1.
        lines: where each of its keys is.
    """

    line: int = 1
    lines: dict[str, int] = {}  # noqa: RUF012 - each section that was read has its own

    def line_of(self, key: str) -> int:
        """Return the line of a key, or else that of the section."""
        return self.lines.get(key, self.line)

    def text(self, key: str, default: str = "") -> str:
        """Return a scalar; an empty one counts as not set."""
        value = self.get(key)
        if isinstance(value, dict | list):
            raise self._wrong(key, "a single value")
        return default if value is None or value == "" else str(value)

    def is_true(self, key: str, *, default: bool) -> bool:
        """Return a truth value."""
        text = self.text(key).lower()
        if text and text not in (*_TRUE, *_FALSE):
            raise self._wrong(key, "true or false")
        return text in _TRUE if text else default

    def duration(self, key: str, default: Millis) -> Millis:
        """Return a duration."""
        text = self.text(key)
        try:
            return parse_duration(text) if text else default
        except ValueError as error:
            raise UnreadableRoutingError(self.line_of(key), f"{key}: {error}") from None

    def count(self, key: str) -> int:
        """Return a whole number; 0 where it is not set."""
        try:
            return int(self.text(key, "0"))
        except ValueError:
            raise self._wrong(key, "a whole number") from None

    def texts(self, key: str) -> list[str]:
        """Return a list of scalars; a single one counts as a list."""
        value = self.get(key)
        values = value if isinstance(value, list) else [value] if value else []
        if isinstance(value, dict) or any(isinstance(each, dict | list) for each in values):
            raise self._wrong(key, "a list of values")
        return [str(each) for each in values]

    def sections(self, key: str) -> list[Section]:
        """Return a list of sections."""
        values = self.get(key) or []
        if not isinstance(values, list) or not all(isinstance(each, Section) for each in values):
            raise self._wrong(key, "a list of sections")
        return cast("list[Section]", values)

    def section(self, key: str) -> Section:
        """Return a section; an empty one where it is not set."""
        value = self.get(key) or Section()
        if not isinstance(value, Section):
            raise self._wrong(key, "a section")
        return value

    def _wrong(self, key: str, expected: str) -> UnreadableRoutingError:
        text = f"{key}: {expected} is expected here. Fix: correct it, and ask amtool check-config."
        return UnreadableRoutingError(self.line_of(key), text)


def parse(text: str) -> Section:
    """Parse a configuration.

    Raises:
        UnreadableRoutingError: it is not one YAML section.
    """
    try:
        tree = yaml.load(text, Loader=_Loader)  # noqa: S506 - a subclass of SafeLoader
    except yaml.MarkedYAMLError as error:
        problem = explained(text.encode(errors="replace"), error)
        raise UnreadableRoutingError(problem.line, problem.text) from None
    except RecursionError:
        raise UnreadableRoutingError(1, "it is nested too deep. Fix: flatten it.") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        words = " ".join(str(error).split())
        raise UnreadableRoutingError(1, f"not YAML: {words}. Fix: save it as UTF-8 text.") from None
    if not isinstance(tree, Section):
        raise UnreadableRoutingError(1, "it has no sections. Fix: name a configuration such as alertmanager.yml.")
    return tree


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # the C loader is not in the stubs
    """Reads every scalar as text, and every mapping as a section."""


def _read_section(loader: _Loader, node: yaml.MappingNode) -> Iterator[Section]:
    """Construct a section in two steps, as the loader wants it, so that no section can contain itself unseen."""
    section = Section()
    section.line = node.start_mark.line + 1
    yield section
    loader.flatten_mapping(node)
    section.lines = {str(key.value): key.start_mark.line + 1 for key, _ in node.value}
    section.update(loader.construct_mapping(node, deep=True))


_Loader.yaml_implicit_resolvers = {"<": [("tag:yaml.org,2002:merge", re.compile(r"<<\Z"))]}
_Loader.add_constructor("tag:yaml.org,2002:map", _read_section)
