"""Holds tokens, passwords and keys, and keeps them out of logs, errors and pages."""

from __future__ import annotations


class Secret:
    """A value that no log, error, page or ``repr`` shows; only `reveal` returns it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value; call it only where the value is sent or compared."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return "<secret>"
