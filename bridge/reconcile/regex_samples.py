"""Texts that a regular expression probably matches, for the search for an alert that two routes take; pure.

In: a regular expression as matchers have it. Out: a few texts. A syntax that is not known here yields fewer or wrong
texts, which harms nothing: each is tried with the real matcher before it counts.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import islice, product

MAX_SAMPLES = 24

_ANY = "x"
"""What stands for a character that may be any."""

_QUANTIFIER = re.compile(r"[*+?]\??|\{(?P<least>[0-9]{1,3})(?:,[0-9]{0,3})?\}\??")
_GROUP = re.compile(r"\((?:\?(?:P?<\w+>|[a-zA-Z-]*:))?")
_FLAGS = re.compile(r"\(\?[a-zA-Z-]+\)")
_CLASSES = {"d": "0", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a"}
_MAX_REPEATED = 64
_MAX_CACHED = 1_000


@lru_cache(maxsize=_MAX_CACHED)
def samples(pattern: str) -> tuple[str, ...]:
    """Return texts that a regular expression probably matches, those of its first alternatives first."""
    try:
        found, _ = _alternatives(pattern, 0)
    except (IndexError, ValueError, RecursionError):
        return ()
    return tuple(found)


def _alternatives(text: str, at: int) -> tuple[list[str], int]:
    """Read alternatives up to the end of a group, or of the text; return their samples, and where they end."""
    found: list[str] = []
    while True:
        branch, at = _sequence(text, at)
        found += branch
        if at >= len(text) or text[at] == ")":
            return list(dict.fromkeys(found))[:MAX_SAMPLES], at
        at += 1


def _sequence(text: str, at: int) -> tuple[list[str], int]:
    found = [""]
    while at < len(text) and text[at] not in "|)":
        part, at = _atom(text, at)
        part, at = _repeated(part, text, at)
        found = ["".join(pair) for pair in islice(product(found, part), MAX_SAMPLES)]
    return found, at


def _atom(text: str, at: int) -> tuple[list[str], int]:
    """Read one character, class or group."""
    if flags := _FLAGS.match(text, at):
        return [""], flags.end()
    if group := _GROUP.match(text, at):
        found, at = _alternatives(text, group.end())
        return found, at + 1
    if text[at] == "[":
        return _class(text, at + 1)
    if text[at] == "\\":
        return [_CLASSES.get(text[at + 1], "" if text[at + 1] in "bBAz" else text[at + 1])], at + 2
    return [{".": _ANY, "^": "", "$": ""}.get(text[at], text[at])], at + 1


def _class(text: str, at: int) -> tuple[list[str], int]:
    """Read a class of characters after its bracket; of an inverted one the letter for any character is tried."""
    is_inverted = text[at] == "^"
    begin = at = at + is_inverted
    found: list[str] = []
    while text[at] != "]" or at == begin:
        if text.startswith("[:", at):
            found.append("0" if text.startswith("[:digit:", at) else "a")
            at = text.index("]", at) + 1
            continue
        at += text[at] == "\\"
        found.append(_CLASSES.get(text[at], text[at]) if text[at - 1] == "\\" else text[at])
        at += 1
    return ([_ANY, "0"] if is_inverted else found[:MAX_SAMPLES]), at + 1


def _repeated(part: list[str], text: str, at: int) -> tuple[list[str], int]:
    """Read a quantifier, if there is one, and repeat a part as rarely as it allows, and once."""
    quantifier = _QUANTIFIER.match(text, at)
    if not quantifier:
        return part, at
    least = int(quantifier["least"]) if quantifier["least"] else int(quantifier[0][0] == "+")
    repeated = [each * min(least, _MAX_REPEATED) for each in part]
    once = part if least == 0 else []
    return list(dict.fromkeys([*once, *repeated] if part != [_ANY] else [*repeated, *once])), quantifier.end()
