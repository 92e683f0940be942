"""What templates may do to values: Jinja2's harmless filters, and those that users of Prometheus miss; pure.

In: a value and the filter's arguments. Out: a value, or an exception, which costs the alert that one field. No filter
can make a value long: what goes in is limited, and so is what comes out. Regular expressions are RE2. Source of the
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
"""Characters that a template sees of one value, and that it gives at most.

One more than AOM takes in an annotation, so that the event sees that something is cut and marks it.
"""

_MAX_DIGITS = 15
_TOO_LONG = f"a value grew over {MAX_TEXT_CHARACTERS} characters"

MAX_ROUNDS = 100
"""Labels or annotations that a loop sees."""

_BACK_REFERENCE = re.compile(r"\$(?:(?P<word>\w+)|\{(?P<braced>\w+)\}|(?P<dollar>\$))")
_LARGE = ("k", "M", "G", "T", "P", "E", "Z", "Y")
_SMALL = ("m", "u", "n", "p", "f", "a", "z", "y")
_BINARY = ("ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")


def limited(text: str) -> str:
    """Return a text; raises ValueError when it is too long for any field."""
    if len(text) > MAX_TEXT_CHARACTERS:
        raise ValueError(_TOO_LONG)
    return text


def replace(value: object, old: str, new: str, count: int = -1) -> str:
    """Replace a text in a text, so many times at most."""
    text = str(value)
    found = text.count(old)
    times = found if count < 0 else min(found, count)
    if len(text) + times * (len(new) - len(old)) > MAX_TEXT_CHARACTERS:
        raise ValueError(_TOO_LONG)
    return text.replace(old, new, count)


def join(values: Iterable[object], between: str = "") -> str:
    """Join values to a text."""
    texts = [limited(str(value)) for value in few(values)]
    if sum(map(len, texts)) + len(between) * len(texts) > MAX_TEXT_CHARACTERS:
        raise ValueError(_TOO_LONG)
    return between.join(texts)


def rounded(value: object, precision: int = 0, method: str = "common") -> float:
    """Round a number; so many digits at most that it takes no time."""
    if not -_MAX_DIGITS <= precision <= _MAX_DIGITS:
        raise ValueError(f"{precision} digits are too many")
    result: float = JINJA_FILTERS["round"](float(str(value)), precision, method)
    return result


def urlencode(value: object) -> str:
    """Quote a text for a web address."""
    return limited(quote(limited(str(value))))


def few(values: Iterable[object]) -> list[Any]:
    """Return the first values of a loop."""
    return [value for value, _ in zip(values, range(MAX_ROUNDS), strict=False)]


def match(value: object, pattern: str) -> bool:
    """Say whether a regular expression matches anywhere in a text, as Prometheus' ``match`` does."""
    return _compiled(pattern).search(str(value)) is not None


def re_replace_all(value: object, pattern: str, replacement: str) -> str:
    """Replace each match; ``$1``, ``${1}`` and ``$name`` are the match's groups, ``$$`` a dollar, as in Go.

    In the configuration file ``$`` before a brace or another one is doubled: there ``${NAME}`` is a variable.
    """
    made = 0

    def expanded(found: re2._Match) -> str:
        nonlocal made
        text = _expanded(found, replacement, MAX_TEXT_CHARACTERS - made)
        made += len(text)
        return text

    return limited(_compiled(pattern).sub(expanded, str(value)))


def _expanded(found: re2._Match, replacement: str, room: int) -> str:
    made = len(replacement)

    def group(reference: re.Match[str]) -> str:
        nonlocal made
        if reference["dollar"]:
            return "$"
        name = reference["word"] or reference["braced"]
        try:
            text = found.group(int(name) if name.isdigit() else name) or ""
        except (IndexError, KeyError):
            return ""
        made += len(text)
        if made > room:
            raise ValueError(_TOO_LONG)
        return text

    text = _BACK_REFERENCE.sub(group, replacement)
    if len(text) > room:
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
    prefix = ""
    for one in prefixes:
        if abs(number) < step:
            break
        prefix, number = one, number / step
    return f"{number:.4g}{prefix}"


def _small(number: float) -> str:
    prefix = ""
    for one in _SMALL:
        if abs(number) >= 1:
            break
        prefix, number = one, number * 1_000
    return f"{number:.4g}{prefix}"


def strip_port(value: object) -> str:
    """Return the host of ``host:port``; anything else as it is."""
    found = re.fullmatch(r"(?:\[([^\]]*)\]|([^:\[\]]*)):[^:]*", str(value))
    return str(value) if found is None else found[1] or found[2] or ""


def strip_domain(value: object) -> str:
    """Return a host name without its domain, with its port if it has one."""
    host, colon, port = str(value).partition(":")
    if re.fullmatch(r"[0-9.]+", host) or ":" in port:
        return str(value)
    return host.split(".", 1)[0] + colon + port


def link(value: object) -> str:
    """Return a web address; empty for anything else, such as ``javascript:``."""
    return _link(str(value))


@lru_cache(maxsize=256)
def _link(text: str) -> str:
    is_web = text[:8].lower().startswith(("http://", "https://")) and text.isprintable() and " " not in text
    return text if is_web else ""


_PLAIN = (
    *("abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "int", "items", "last", "length"),
    *("lower", "sort", "string", "title", "trim", "truncate", "upper"),
)
FILTERS: Mapping[str, Callable[..., Any]] = {
    **{name: JINJA_FILTERS[name] for name in _PLAIN},
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
    "few": few,
}
"""By the name that templates use; ``few`` is ours, and goes around what a loop loops over."""

PATTERNS = ("match", "reReplaceAll")
"""Filters whose first argument is a regular expression, which is checked when the template is read."""

_TESTS = (
    *("defined", "undefined", "none", "string", "number", "in"),
    *("eq", "==", "ne", "!=", "lt", "<", "le", "<=", "gt", ">", "ge", ">="),
)
_JINJA_TESTS: Mapping[str, Any] = JINJA_TESTS
TESTS: Mapping[str, Callable[..., Any]] = {name: _JINJA_TESTS[name] for name in _TESTS}
