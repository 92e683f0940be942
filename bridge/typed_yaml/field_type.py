"""The base of settings types that parse one scalar themselves, such as templates and matchers.

In: the text of a scalar. Out: a value of the type, and hints at likely mistakes. The reader knows this interface and
none of the types.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Self

import yaml

from bridge.typed_yaml import hints


class FieldType(ABC):
    """A type that parses one scalar itself; a subclass overrides the methods that differ."""

    __slots__ = ()

    @classmethod
    @abstractmethod
    def read(cls, text: str, expand: Callable[[str], str]) -> Self:
        """Parse the text of a scalar; ``expand`` replaces ``${VAR}`` in a text.

        Raises:
            ValueError: with the problem and the fix.
        """

    @classmethod
    def substitute(cls) -> Self | None:
        """Return a substitute for a value that cannot be parsed, so that later checks know its name, or None."""
        return None

    @classmethod
    def expected(cls, node: yaml.Node) -> str:
        """Return the error message for a list or section where one value is expected."""
        return hints.not_a_value(node, "text")

    @classmethod
    def expected_list(cls, node: yaml.Node) -> str:
        """Return the error message for a node where a list of values is expected."""
        return hints.not_a_list(node)

    def doubt(self, *, is_folded: bool) -> str:
        """Return a warning about the value, or an empty text; ``is_folded``: YAML has joined several lines."""
        del is_folded
        return ""
