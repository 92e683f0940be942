"""The filters of templates: the harmless ones of Jinja2, and the functions of Prometheus' templates; pure.

In: a value and the filter's arguments. Out: a value, or an exception, which makes that one field fall back. No filter
can make a value long: its input is limited, and so is its output. Regular expressions are RE2. Source of the
Prometheus functions: Prometheus' documentation, "Template reference".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import re2
from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.tests import TESTS as JINJA_TESTS

from bridge.event import MAX_ANNOTATION_CHARACTERS
from bridge.mapping.matcher import compile_regex

MAX_TEXT_CHARACTERS = MAX_ANNOTATION_CHARACTERS + 1
"""The most characters that a template sees of one value, and that it renders.

One more than AOM takes in an annotation, so that `bridge.event` notices the cut and marks it.
"""

_MAX_DIGITS = 15
_TOO_LONG = f"a value grew over {MAX_TEXT_CHARACTERS} characters"

MAX_LOOP_ITEMS = 100
"""The most labels or annotations that a loop visits."""

_BACK_REFERENCE = re.compile(r"\$(?:(?P<word>\w+)|\{(?P<braced>\w+)\}|(?P<dollar>\$))")
_LARGE = ("k", "M", "G", "T", "P", "E", "Z", "Y")
_SMALL = ("m", "u", "n", "p", "f", "a", "z", "y")
_BINARY = ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")


def limited(text: str) -> str:
    """Return the text unchanged.

    Raises:
        ValueError: it is too long for any field.
    """
    if len(text) > MAX_TEXT_CHARACTERS:
        raise ValueError(_TOO_LONG)
    return text


def replace(value: object, old: str, new: str, count: int = -1) -> str:
    """Replace a part of a text, at most ``count`` times; -1: everywhere."""
    text = str(value)
    occurrences = text.count(old)
    times = occurrences if count < 0 else min(occurrences, count)
    if len(text) + times * (len(new) - len(old)) > MAX_TEXT_CHARACTERS:
        raise ValueError(_TOO_LONG)
    return text.replace(old, new, count)


def join(values: Iterable[object], separator: str = "") -> str:
    """Join the first values of a loop to one text."""
    texts = [limited(str(value)) for value in first_items(values)]
    if sum(map(len, texts)) + len(separator) * len(texts) > MAX_TEXT_CHARACTERS:
        raise ValueError(_TOO_LONG)
    return separator.join(texts)


def rounded(value: object, precision: int = 0, method: str = "common") -> float:
    """Round a number; ``precision`` is limited, so that the time is short."""
    if not -_MAX_DIGITS <= precision <= _MAX_DIGITS:
        raise ValueError(f"{precision} digits are too many")
    result: float = JINJA_FILTERS["round"](float(str(value)), precision, method)
    return result


def urlencode(value: object) -> str:
    """Quote a text for a web address."""
    return limited(quote(limited(str(value))))


def first_items(values: Iterable[object]) -> list[Any]:
    """Return the first `MAX_LOOP_ITEMS` values."""
    return [value for value, _ in zip(values, range(MAX_LOOP_ITEMS), strict=False)]


def match(value: object, pattern: str) -> bool:
    """Return whether a regular expression matches anywhere in a text, as Prometheus' ``match`` does."""
    return _compiled(pattern).search(str(value)) is not None


def re_replace_all(value: object, pattern: str, replacement: str) -> str:
    """Replace each match; ``$1``, ``${1}`` and ``$name`` are the match's groups, ``$$`` a dollar, as in Go.

    In the configuration file a ``$`` before ``{`` or before another ``$`` is doubled: there ``${NAME}`` is a variable.
    """
    length = 0

    def expand(matched: re2._Match) -> str:
        nonlocal length
        text = _expanded(matched, replacement, MAX_TEXT_CHARACTERS - length)
        length += len(text)
        return text

    return limited(_compiled(pattern).sub(expand, str(value)))


def _expanded(matched: re2._Match, replacement: str, max_characters: int) -> str:
    length = len(replacement)

    def group(reference: re.Match[str]) -> str:
        nonlocal length
        if reference["dollar"]:
            return "$"
        name = reference["word"] or reference["braced"]
        try:
            text = matched.group(int(name) if name.isdigit() else name) or ""
        except (IndexError, KeyError):
            return ""
        length += len(text)
        if length > max_characters:
            raise ValueError(_TOO_LONG)
        return text

    text = _BACK_REFERENCE.sub(group, replacement)
    if len(text) > max_characters:
        raise ValueError(_TOO_LONG)
    return text


@lru_cache(maxsize=1_024)
def _compiled(pattern: str) -> re2._Regexp:
    return compile_regex(pattern)


def humanize(value: object) -> str:
    """Write a number with four digits and a metric prefix."""
    number = float(str(value))
    if number == 0 or not math.isfinite(number):
        return f"{number:.4g}"
    if abs(number) >= 1:
        return _prefixed(number, _LARGE, 1_000)
    return _small(number)


def humanize_1024(value: object) -> str:
    """Write a number with four digits and a binary prefix."""
    number = float(str(value))
    if abs(number) <= 1 or not math.isfinite(number):
        return f"{number:.4g}"
    return _prefixed(number, _BINARY, 1_024)


def humanize_duration(value: object) -> str:
    """Write seconds as ``1d 2h 3m 4s``, below a minute with four digits."""
    number = float(str(value))
    if not math.isfinite(number):
        return f"{number:.4g}"
    if number == 0:
        return "0s"
    if abs(number) < 1:
        return f"{_small(number)}s"
    sign, number = "-" if number < 0 else "", abs(number)
    minutes, seconds = divmod(int(number), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{sign}{days}d {hours}h {minutes}m {seconds}s"
    if hours:
        return f"{sign}{hours}h {minutes}m {seconds}s"
    return f"{sign}{minutes}m {seconds}s" if minutes else f"{sign}{number:.4g}s"


def humanize_percentage(value: object) -> str:
    """Write a ratio as a percentage with four digits."""
    return f"{float(str(value)) * 100:.4g}%"


def _prefixed(number: float, prefixes: tuple[str, ...], step: int) -> str:
    chosen = ""
    for prefix in prefixes:
        if abs(number) < step:
            break
        chosen, number = prefix, number / step
    return f"{number:.4g}{chosen}"


def _small(number: float) -> str:
    chosen = ""
    for prefix in _SMALL:
        if abs(number) >= 1:
            break
        chosen, number = prefix, number * 1_000
    return f"{number:.4g}{chosen}"


def strip_port(value: object) -> str:
    """Return the host of ``host:port``; any other text unchanged."""
    host_port = re.fullmatch(r"(?:\[([^\]]*)\]|([^:\[\]]*)):[^:]*", str(value))
    return str(value) if host_port is None else host_port[1] or host_port[2] or ""


def strip_domain(value: object) -> str:
    """Return a host name without its domain, with its port if it has one."""
    host, colon, port = str(value).partition(":")
    if re.fullmatch(r"[0-9.]+", host) or ":" in port:
        return str(value)
    return host.split(".", 1)[0] + colon + port


def link(value: object) -> str:
    """Return a web address unchanged; the empty text for anything else, such as ``javascript:``."""
    return _link(str(value))


@lru_cache(maxsize=256)
def _link(text: str) -> str:
    is_web = text[:8].lower().startswith(("http://", "https://")) and text.isprintable() and " " not in text
    return text if is_web else ""


_JINJA_NAMES = (
    *("abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "int", "items", "last", "length"),
    *("lower", "sort", "string", "title", "trim", "truncate", "upper"),
)
LOOP_LIMIT = "few"
"""The internal filter that wraps the iterable of every loop; templates must not use it."""

FILTERS: Mapping[str, Callable[..., Any]] = {
    **{name: JINJA_FILTERS[name] for name in _JINJA_NAMES},
    "join": join,
    "round": rounded,
    "urlencode": urlencode,
    "replace": replace,
    "toUpper": JINJA_FILTERS["upper"],
    "toLower": JINJA_FILTERS["lower"],
    "match": match,
    "reReplaceAll": re_replace_all,
    "link": link,
    "humanize": humanize,
    "humanize1024": humanize_1024,
    "humanizeDuration": humanize_duration,
    "humanizePercentage": humanize_percentage,
    "stripPort": strip_port,
    "stripDomain": strip_domain,
    LOOP_LIMIT: first_items,
}
"""Filters by the name that templates use, and the internal `LOOP_LIMIT`."""

PATTERNS = ("match", "reReplaceAll")
"""Filters whose first argument is a regular expression, checked when the template is read."""

_TESTS = (
    *("defined", "undefined", "none", "string", "number", "in"),
    *("eq", "==", "ne", "!=", "lt", "<", "le", "<=", "gt", ">", "ge", ">="),
)
_JINJA_TESTS: Mapping[str, Any] = JINJA_TESTS
TESTS: Mapping[str, Callable[..., Any]] = {name: _JINJA_TESTS[name] for name in _TESTS}
