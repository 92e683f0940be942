"""Misread: matchers that are read, and as something else than what was probably meant; pure.

In: a matcher's text and its parts. Out: a sentence with the form that was meant, or the empty text. Each kind has been
seen in public files: quotes that only YAML or a shell knows, a doubled operator, two matchers in one, a regular
expression behind ``=``, and one that YAML folded over two lines.
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
    """One matcher, taken apart."""

    name: str
    operator: str
    value: str


def misread(text: str, parts: list[Parts]) -> str:
    """Return what is doubtful about a matcher that is read so; empty if nothing is."""
    found = (_braces(part) or _quotes(text, part) or _bare(text, part) or _regex(part) for part in parts)
    return next(filter(None, found), "")


def folded(parts: list[Parts]) -> str:
    """Return what is doubtful about matchers that stand on several lines of the file; empty if nothing is."""
    for part in parts:
        if part.operator in ("=~", "!~") and " " in part.value:
            without = part._replace(value=part.value.replace(" ", ""))
            meant = f"write it on one line, such as {_written(without)}"
            return f"{_written(part)} holds a space where YAML joined two lines. Fix: {meant}."
    return ""


def _braces(part: Parts) -> str:
    if "{{" not in part.value:
        return ""
    return f"{_written(part)} compares with that very text: a matcher is no template. Fix: write the value itself."


def _quotes(text: str, part: Parts) -> str:
    value = part.value
    if len(value) < len("''") or _QUOTES.get(value[0]) != value[-1] or _is_quoted(text, part):
        return ""
    meant = _written(part._replace(value=value[1:-1]))
    return f"{text!r} compares with {value}, quotes included: only double ones count. Fix: write {meant}."


def _bare(text: str, part: Parts) -> str:
    if _is_quoted(text, part):
        return ""
    if part.value.startswith(("=", "!", "~")):
        operator = "!=" if part.operator + part.value[0] == "=!" else part.operator
        meant = _written(Parts(part.name, operator, part.value.lstrip("=!~ ").strip('"')))
        return f"{text!r} compares with {part.value!r}, operator included. Fix: write one operator, such as {meant}."
    if _SECOND.search(part.value):
        return f"{text!r} compares with {part.value!r} as one value. Fix: write each matcher as an entry of its own."
    return ""


def _regex(part: Parts) -> str:
    if part.operator in ("=", "!="):
        if not _REGEX.fullmatch(part.value):
            return ""
        meant = _written(part._replace(operator="=~" if part.operator == "=" else "!~"))
        return f"{_written(part)} compares with that very text. Fix: for a regular expression write {meant}."
    if not _FOLD.search(part.value):
        return ""
    meant = _written(part._replace(value=_FOLD.sub("", part.value)))
    return f"{_written(part)} holds spaces or line breaks that a value seldom has. Fix: write it on one line, {meant}."


def _is_quoted(text: str, part: Parts) -> bool:
    """Say whether the value stands in double quotes, so that it is meant as it is."""
    return f'"{part.value}"' in text


def _written(part: Parts) -> str:
    return f"{part.name}{part.operator}{json.dumps(part.value, ensure_ascii=False)}"
