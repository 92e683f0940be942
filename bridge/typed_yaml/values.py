"""Reads one scalar of a YAML file as a typed value, with its variables expanded.

In: a scalar node, and what parses its text. Out: the value, or `MISSING` and a problem at the node's place. Values that
look like mistakes are noted as doubts. It knows neither sections nor lists: `bridge.typed_yaml.reader` does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import yaml

from bridge.typed_yaml import hints as nodehints
from bridge.typed_yaml import variables
from bridge.typed_yaml.document import problem_at
from bridge.typed_yaml.field_type import FieldType
from bridge.typed_yaml.mistakes import called, in_typographic_quotes, invisible
from bridge.typed_yaml.problems import Problem

UNFIT = re.compile("[\0\ud800-\udfff]")
"""Characters that no file system, terminal, database or network accepts."""


class Missing:
    """The result for a value that could not be read; its problem is noted."""


MISSING = Missing()


class ValueReader:
    """Reads scalars, and collects their problems.

    Args:
        env: the variables; None: variables are not expanded.
        allow_unset: a variable that is not set is noted as missing, and is no problem.

    Attributes:
        problems: the mistakes.
        missing: what is missing, where that is allowed.
        doubts: what looks like a mistake.
    """

    def __init__(self, env: Mapping[str, str] | None, *, allow_unset: bool) -> None:
        self.problems: list[Problem] = []
        self.missing: list[Problem] = []
        self.doubts: list[Problem] = []
        self._env = env
        self._allow_unset = allow_unset

    def note(self, node: yaml.Node, path: str, text: str) -> Missing:
        """Note a problem at the line and column of a node."""
        self.problems.append(problem_at(node, path, text))
        return MISSING

    def read(self, node: yaml.Node, name: str, parse: Callable[..., Any], path: str, *, is_secret: bool = False) -> Any:  # noqa: ANN401 - `parse` decides the type
        """Return what ``parse`` makes of a node's text, or `MISSING`; ``name``: what is expected, for the message."""
        if not isinstance(node, yaml.ScalarNode):
            return self.note(node, path, nodehints.not_a_value(node, name))
        self._note_invisible(node, path)
        wrong = _unfit(node) or self._wrong_variable(node, path, is_secret=is_secret)
        if wrong:
            return self.note(node, path, wrong)
        try:
            return parse(self._expand(node, node.value, path).rstrip("\r\n"))
        except ValueError as error:
            return self.note(node, path, str(error))

    def read_own(self, node: yaml.Node, kind: type[FieldType], path: str) -> Any:  # noqa: ANN401 - `kind` or `MISSING`
        """Return a node as a type that reads its text itself, or `MISSING`."""
        if not isinstance(node, yaml.ScalarNode):
            return self.note(node, path, kind.expected(node))
        wrong = _unfit(node) or (variables.broken_variable(node.value.strip()) if self._env is not None else None)
        if wrong:
            return self.note(node, path, wrong)
        try:
            value = kind.read(node.value, lambda text: self._expand(node, text, path))
        except ValueError as error:
            missing = self.note(node, path, str(error))
            return kind.substitute() or missing
        is_folded = node.style not in ("|", ">") and node.start_mark.line != node.end_mark.line
        doubt = value.doubt(is_folded=is_folded)
        if doubt:
            self.doubts.append(problem_at(node, path, doubt))
        return value

    def _note_invisible(self, node: yaml.ScalarNode, path: str) -> None:
        unseen = invisible(node.value)
        odd = called(unseen) if unseen else in_typographic_quotes(node.value)
        if odd:
            self.doubts.append(problem_at(node, path, odd))

    def _wrong_variable(self, node: yaml.ScalarNode, path: str, *, is_secret: bool) -> str | None:
        """Return the error message for a value that looks like an unsupported variable; note a doubt as a warning."""
        if self._env is None:
            return None
        text = node.value.strip()
        likely = None if is_secret else variables.likely_variable(text)
        if likely:
            return likely
        doubt = variables.doubtful_secret(text) if is_secret else variables.possible_variable(text)
        if doubt:
            self.doubts.append(problem_at(node, path, doubt))
        return variables.broken_variable(text)

    def of_variables(self, names: Iterable[str]) -> dict[str, str]:
        """Return the values of those of these variables that are set."""
        env = self._env or {}
        return {name: env[name] for name in names if name in env}

    def _expand(self, node: yaml.Node, text: str, path: str) -> str:
        if self._env is None:
            return text
        expanded, unset = variables.expand(text, self._env)
        for name in unset:
            problem = f"${{{name}}} is not set. Fix: export {name}, or write ${{{name}:-default}}."
            (self.missing if self._allow_unset else self.problems).append(problem_at(node, path, problem))
        return expanded


def _unfit(node: yaml.ScalarNode) -> str | None:
    if UNFIT.search(node.value):
        return "it holds a NUL or half of a surrogate pair. Fix: write whole characters."
    return None


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false. Fix: write true or false.")
    return text == "true"


def _whole_number(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,15}", text):
        raise ValueError(f"{text[:40]!r} is not a whole number. Fix: write digits only.")
    return int(text)


def _number(text: str) -> float:
    if not re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", text):
        raise ValueError(f"{text!r} is not a number. Fix: write it as 20 or 0.5.")
    return float(text)


PLAIN: dict[Any, tuple[str, Callable[[str], Any]]] = {
    bool: ("true or false", _boolean),
    int: ("a whole number", _whole_number),
    float: ("a number", _number),
}
"""Python's own types: what is expected, for the message, and what parses it."""
