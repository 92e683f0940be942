"""Puts the environment's variables into values, and knows the forms that look like one and are not read.

In: the text of one value, and the environment. Out: the text to use, the names that are not set, and sentences about
forms of shells, of Kubernetes and of Windows, which would otherwise go to AOM as they stand. Nothing of the value is
repeated, since it may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\})")
_OTHER_BRACES = re.compile(r"\$\{(?![{0-9])")
"""Before a template, and before the number of a regular expression's group, it is no variable."""

_OTHER_FORM = re.compile(
    r"\$(?P<bare>[A-Za-z_][A-Za-z0-9_]*)|\$\((?P<round>[A-Za-z_][A-Za-z0-9_.-]*)\)|%(?P<percent>[A-Za-z_][A-Za-z0-9_]{2,})%"
)
_ONLY = "only ${NAME} and ${NAME:-default} are read as variables"
_AS_IT_IS = "or keep it in a file or in a variable, whose text is taken as it is"
UNSET = "unset"
"""Stands for a variable that is not set, where that is allowed."""


def expand(text: str, env: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return the text with its variables in their places, and the names of those that are not set.

    A variable's line break at its end is taken off: a Secret made with ``echo`` has one.
    """
    unset: list[str] = []

    def value(found: re.Match[str]) -> str:
        name, default = found["name"], found["default"]
        if name is None:
            return "$"
        known = env.get(name)
        if default is not None:
            known = known or default  # as in a shell: the default stands for an empty variable too
        if known is None:
            unset.append(name)
            return UNSET
        return known.rstrip("\r\n")

    return _VARIABLE.sub(value, text), unset


def broken_variable(text: str) -> str | None:
    """Return what is wrong with a ``${`` that begins no variable of ours."""
    rest = _VARIABLE.sub(lambda found: found["default"] or "", text)
    if not _OTHER_BRACES.search(rest):
        return None
    return f"this form of ${{ is not read: {_ONLY}. Fix: write one of these, or $${{ for a ${{ that is meant so."


def likely_variable(text: str) -> str | None:
    """Return what to do about a text that is a variable as a shell, Kubernetes or Windows writes it, and nothing else.

    The name of the variable is part of the sentence, so this is not for secrets.
    """
    found = _OTHER_FORM.fullmatch(text)
    if found:
        name = re.sub(r"\W", "_", found["bare"] or found["round"] or found["percent"])
        return f"it looks like a variable, and {_ONLY}. Fix: write ${{{name}}}."
    if _holds_template(text):
        return "a template stands here, where none is read. Fix: write the value itself, or ${NAME}."
    return None


def possible_variable(text: str) -> str | None:
    """Return what to do about a text in which something looks like a variable."""
    if _OTHER_FORM.search(_VARIABLE.sub("", text)):
        return f"a part of it looks like a variable, and {_ONLY}. Fix: write ${{NAME}}, or $$ for a $ that is meant so."
    return None


def doubtful_secret(text: str) -> str | None:
    """Return what may be wrong with a secret's dollars, percents and braces; it may be meant so."""
    if _OTHER_FORM.fullmatch(text):
        return f"it looks like a variable, and {_ONLY}. Fix: write ${{NAME}}; {_AS_IT_IS}."
    if "$$" in text:
        return f"$$ stands for a single $ here. Fix: write $$$$ for two, {_AS_IT_IS}."
    if _holds_template(text):
        return "a template stands here, where none is read. Fix: write the secret itself, or ${NAME}."
    return None


def _holds_template(text: str) -> bool:
    return any(begin >= 0 and end in text[begin:] for begin, end in ((text.find("{{"), "}}"), (text.find("{%"), "%}")))
