"""Matchers that are valid, but probably mean something else than their author intended; pure.

In: a matcher's text and its parts. Out: a sentence with the probable intention, or the empty text. Each kind
occurs in public files: quotes of YAML or a shell, a doubled operator, two matchers in one text, a regular expression
after ``=``, and one that YAML joined from two lines.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

_QUOTES = dict(zip("'`\u201c\u2018\u00ab\u300c", "'`\u201d\u2019\u00bb\u300d", strict=True))
_SECOND = re.compile(r"\s+(?:(?:and|or|&&|\|\|)\s+)?[\w.]+\s*(?:=~|!~|!=|=)")
_REGEX = re.compile(r".*\.[*+].*|\w[\w-]*(?:\|\w[\w-]*)+", re.DOTALL)
_FOLD = re.compile(r"\s*[\n\r]\s*|\s+(?=\|)|(?<=\|)\s+|^\s+|\s+$")


class Parts(NamedTuple):
    """The three parts of one matcher."""

    name: str
    operator: str
    value: str


def misread(text: str, parts: list[Parts]) -> str:
    """Return what is doubtful about matchers that were read from a text; empty if nothing is."""
    doubts = (_braces(part) or _quotes(text, part) or _bare(text, part) or _regex(part) for part in parts)
    return next(filter(None, doubts), "")


def folded(parts: list[Parts]) -> str:
    """Return what is doubtful about matchers that YAML joined from several lines; empty if nothing is."""
    for part in parts:
        if part.operator in ("=~", "!~") and " " in part.value:
            without = part._replace(value=part.value.replace(" ", ""))
            intended = f"write it on one line, such as {_text_of(without)}"
            return f"{_text_of(part)} holds a space where YAML joined two lines. Fix: {intended}."
    return ""


def _braces(part: Parts) -> str:
    if "{{" not in part.value:
        return ""
    return (
        f"{_text_of(part)} compares with exactly that text: a matcher is not a template. Fix: write the value itself."
    )


def _quotes(text: str, part: Parts) -> str:
    value = part.value
    if len(value) < len("''") or _QUOTES.get(value[0]) != value[-1] or _is_quoted(text, part):
        return ""
    intended = _text_of(part._replace(value=value[1:-1]))
    return f"{text!r} compares with {value}, quotes included: only double ones count. Fix: write {intended}."


def _bare(text: str, part: Parts) -> str:
    if _is_quoted(text, part):
        return ""
    if part.value.startswith(("=", "!", "~")):
        operator = "!=" if part.operator + part.value[0] == "=!" else part.operator
        intended = _text_of(Parts(part.name, operator, part.value.lstrip("=!~ ").strip('"')))
        return f"{text!r} compares with {part.value!r}, operator included. Fix: write one operator, such as {intended}."
    if _SECOND.search(part.value):
        return f"{text!r} compares with {part.value!r} as one value. Fix: write each matcher as an entry of its own."
    return ""


def _regex(part: Parts) -> str:
    if part.operator in ("=", "!="):
        if not _REGEX.fullmatch(part.value):
            return ""
        intended = _text_of(part._replace(operator="=~" if part.operator == "=" else "!~"))
        return f"{_text_of(part)} compares with exactly that text. Fix: for a regular expression write {intended}."
    if not _FOLD.search(part.value):
        return ""
    intended = _text_of(part._replace(value=_FOLD.sub("", part.value)))
    return (
        f"{_text_of(part)} holds spaces or line breaks that a value seldom has. Fix: write it on one line, {intended}."
    )


def _is_quoted(text: str, part: Parts) -> bool:
    """Return whether the value is in double quotes, so that it is meant literally."""
    return f'"{part.value}"' in text


def _text_of(part: Parts) -> str:
    return f"{part.name}{part.operator}{json.dumps(part.value, ensure_ascii=False)}"
