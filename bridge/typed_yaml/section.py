"""What a section of a YAML file may say about itself as a whole.

In: nothing. Out: the type of such statements, and the protocols that the reader asks for them. A dataclass of settings
has those of the methods that it needs; each pair names a key within the section, or is empty for the section itself.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

Problems = list[tuple[str, str]]
"""Pairs of a key and a sentence."""


@runtime_checkable
class HasProblems(Protocol):
    """A section that can be wrong as a whole."""

    def problems(self) -> Problems:
        """Return what is wrong: the file cannot be used."""


@runtime_checkable
class HasMissing(Protocol):
    """A section that refers to something outside of the file."""

    def missing(self) -> Problems:
        """Return what does not exist now and may exist later."""


@runtime_checkable
class HasDoubts(Protocol):
    """A section with values that can be right and seldom are."""

    def doubts(self) -> Problems:
        """Return what is doubtful."""


Section = HasProblems | HasMissing | HasDoubts
"""A dataclass of settings that the reader checks after it has read the fields."""
