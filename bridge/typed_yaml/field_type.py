"""What a type of settings may bring along to be read from one scalar: a template and a matcher do.

In: the text of a scalar. Out: a value of the type, and sentences about what was probably meant. The reader knows this
interface and none of the types.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import yaml

from bridge.typed_yaml import hints


class FieldType:
    """A type that reads one scalar itself; a subclass overrides what differs."""

    __slots__ = ()

    @classmethod
    def read(cls, text: str, expand: Callable[[str], str]) -> Self:
        """Read the text of a scalar; ``expand`` replaces ``${VAR}`` in a text.

        Raises:
            ValueError: with the problem and the fix.
        """
        raise NotImplementedError

    @classmethod
    def substitute(cls) -> Self | None:
        """Return what stands for a value that cannot be read, so that its name stays known; None: nothing does."""
        return None

    @classmethod
    def expected(cls, node: yaml.Node) -> str:
        """Return the sentence about a list or section where one value belongs."""
        return hints.not_a_value(node, "text")

    @classmethod
    def expected_list(cls, node: yaml.Node) -> str:
        """Return the sentence about what stands where a list of values belongs."""
        return hints.not_a_list(node)

    def doubt(self, *, is_folded: bool) -> str:
        """Return what is doubtful about the value; ``is_folded``: YAML has joined several lines. Empty: nothing."""
        del is_folded
        return ""
