"""Expands environment variables in values, and detects similar forms that are not supported.

In: the text of one value, and the environment. Out: the expanded text, the names that are not set, and sentences about
the forms of shells, Kubernetes and Windows, which would otherwise be sent to AOM unchanged. No part of a value is
shown, since it may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\})")
_OTHER_BRACES = re.compile(r"\$\{(?![{0-9])")
"""``${`` before a template or before the number of a regular expression's group is not a variable."""

_OTHER_FORM = re.compile(
    r"\$(?P<bare>[A-Za-z_][A-Za-z0-9_]*)|\$\((?P<round>[A-Za-z_][A-Za-z0-9_.-]*)\)|%(?P<percent>[A-Za-z_][A-Za-z0-9_]{2,})%"
)
_ONLY = "only ${NAME} and ${NAME:-default} are read as variables"
_AS_IT_IS = "or keep it in a file or in a variable, whose text is taken as it is"
UNSET = "unset"
"""The text that replaces a variable that is not set, where that is allowed."""


def expand(text: str, env: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return the expanded text, and the names of the variables that are not set.

    Line breaks at the end of a variable are removed: a Kubernetes Secret made with ``echo`` has one.
    """
    unset: list[str] = []

    def value(variable: re.Match[str]) -> str:
        name, default = variable["name"], variable["default"]
        if name is None:
            return "$"
        expanded = env.get(name)
        if default is not None:
            expanded = expanded or default  # as in a shell: the default replaces an empty variable too
        if expanded is None:
            unset.append(name)
            return UNSET
        return expanded.rstrip("\r\n")

    return _VARIABLE.sub(value, text), unset


def names(text: str) -> set[str]:
    """Return the names of the variables in a text."""
    return {variable["name"] for variable in _VARIABLE.finditer(text) if variable["name"] is not None}


def broken_variable(text: str) -> str | None:
    """Return the error message for a ``${`` that begins no supported variable."""
    without_variables = _VARIABLE.sub(lambda variable: variable["default"] or "", text)
    if not _OTHER_BRACES.search(without_variables):
        return None
    return f"this form of ${{ is not read: {_ONLY}. Fix: write one of these, or $${{ for a ${{ that is meant so."


def likely_variable(text: str) -> str | None:
    """Return the error message for a text that is only a variable of a shell, Kubernetes or Windows.

    The name of the variable is part of the sentence, so this is not for secrets.
    """
    variable = _OTHER_FORM.fullmatch(text)
    if variable:
        name = re.sub(r"\W", "_", variable["bare"] or variable["round"] or variable["percent"])
        return f"it looks like a variable, and {_ONLY}. Fix: write ${{{name}}}."
    if _holds_template(text):
        return "templates are not supported in this value. Fix: write the value itself, or ${NAME}."
    return None


def possible_variable(text: str) -> str | None:
    """Return a warning about a text of which a part looks like a variable."""
    if _OTHER_FORM.search(_VARIABLE.sub("", text)):
        return f"a part of it looks like a variable, and {_ONLY}. Fix: write ${{NAME}}, or $$ for a $ that is meant so."
    return None


def doubtful_secret(text: str) -> str | None:
    """Return a warning about a secret that looks like a variable or a template; it may be intended."""
    if _OTHER_FORM.fullmatch(text):
        return f"it looks like a variable, and {_ONLY}. Fix: write ${{NAME}}; {_AS_IT_IS}."
    if "$$" in text:
        return f"$$ means a single $ here. Fix: write $$$$ for two, {_AS_IT_IS}."
    if _holds_template(text):
        return "templates are not supported in this value. Fix: write the secret itself, or ${NAME}."
    return None


def _holds_template(text: str) -> bool:
    return any(begin >= 0 and end in text[begin:] for begin, end in ((text.find("{{"), "}}"), (text.find("{%"), "%}")))
