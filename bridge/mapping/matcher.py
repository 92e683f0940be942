"""Matchers: Alertmanager's syntax for a condition on a label's value; pure.

In: the text of one or several matchers: ``severity=~"critical|page"`` or ``{"k8s.pod"!="", team="shop"}``. Out: a
`Matchers` that tests labels. As Alertmanager 0.27 and later do by default ("fallback mode"), a text is read
in the UTF-8 form first and in the classic form when that fails; where both can read it and differ, the classic one
wins, with a warning. Regular expressions are RE2, as Go's are, and anchored at both ends; a missing label is the
empty string. Source: Alertmanager's documentation, "UTF-8 and label matchers", and its two parsers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache

import re2
import yaml

from bridge.mapping import matcher_hints
from bridge.mapping.misread import Parts, folded, misread
from bridge.typed_yaml.field_type import FieldType

Operator = str
_GO_SPACE = r"[\t\n\f\r ]*"
_CLASSIC = re.compile(
    rf"{_GO_SPACE}(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*){_GO_SPACE}(?P<op>=~|!~|!=|=){_GO_SPACE}(?P<value>.*?){_GO_SPACE}",
    re.DOTALL,
)
_TOKEN = re.compile(
    # Go's white space is Python's without four ASCII separators.
    r"""[^\S\x1c-\x1f]*(?:(?P<mark>[{},])|(?P<op>=~|!~|!=|=)|"(?P<quoted>(?:[^"\\]|\\.)*)\""""
    r"""|(?P<bare>(?:[^\s{}!=~,\\"'`]|[\x1c-\x1f])+)|(?P<end>$))""",
    re.DOTALL,
)
_GO_ESCAPE = re.compile(
    r"""\\(?:(?P<one>[abfnrtv\\"])|x(?P<byte>[0-9a-fA-F]{2})|(?P<octal>[0-7]{3})"""
    r"""|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8})|(?P<none>.))""",
    re.DOTALL,
)
_GO_CHARACTERS = dict(zip('abfnrtv\\"', '\a\b\f\n\r\t\v\\"', strict=True))
_LAST_ASCII, _LAST_CHARACTER = 0x7F, 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)
_SURROGATE = frozenset(map(chr, _SURROGATES))
_IN_REGEX = re.compile(
    r"\\Q.*?(?:\\E|$)|(?P<byte>\\C)|\\.|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]|\(\?P?<(?P<name>\w+)>", re.DOTALL
)
"""The parts of a regular expression that `compile_regex` must recognise: quotes, escapes, classes, named groups."""

_MAX_CACHED = 32
"""Values whose result a regular expression caches: an alert storm has few different names and jobs."""

_MAX_CACHED_CHARACTERS = 100

_QUIET = re2.Options()
_QUIET.log_errors = False
_QUIET.max_mem = 1 << 20


class _SyntaxError(Exception):
    """The text cannot be read in this form of the syntax."""


class Matcher:
    """One condition on one label.

    Attributes:
        text: the matcher in the UTF-8 form.
        name: the label's name.
        operator: one of ``= != =~ !~``.
        value: the text or regular expression that the label is compared with.
    """

    __slots__ = ("_holds", "name", "operator", "text", "value")

    def __init__(self, name: str, operator: Operator, value: str) -> None:
        self.name = name
        self.operator = operator
        self.value = value
        bare = name if re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) else json.dumps(name, ensure_ascii=False)
        self.text = f"{bare}{operator}{json.dumps(value, ensure_ascii=False)}"
        self._holds = _condition(operator, value)

    def __reduce__(self) -> tuple[type[Matcher], tuple[str, Operator, str]]:
        """Pickle the arguments only: a compiled regular expression cannot be pickled."""
        return Matcher, (self.name, self.operator, self.value)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether these labels fulfil the condition."""
        return self._holds(labels.get(self.name, ""))

    def __repr__(self) -> str:
        return f"Matcher({self.text!r})"


class Matchers(FieldType):
    """The conditions of one text, which must all hold.

    Attributes:
        text: the text as it was written.
        each: the conditions.
        warning: why the text may not mean what was intended; empty if nothing is doubtful.
    """

    __slots__ = ("each", "text", "warning")

    def __init__(self, text: str, each: tuple[Matcher, ...], warning: str = "") -> None:
        self.text = text
        self.each = each
        self.warning = warning

    @classmethod
    def parse(cls, text: str) -> Matchers:
        """Read one or several matchers.

        Raises:
            ValueError: the text is not a matcher, or its regular expression is invalid; the error names the fix.
        """
        modern, modern_error = _try(_read_modern, text)
        classic, classic_error = _try(_read_classic, text)
        chosen = modern if classic is None else classic
        if chosen is None:
            problem = classic_error if '"' in text and "quote" in classic_error else modern_error
            fix = """write label, operator and quoted value, such as 'severity="critical"', with one of = != =~ !~."""
            raise ValueError(f"{text!r} is not a matcher: {problem}. Fix: {fix}")
        warning = misread(text, chosen)
        if modern is not None and classic is not None and modern != classic:
            meant = ", ".join(f"{part.value!r}" for part in classic)
            warning = (
                f"{text!r} means {meant} in Alertmanager's classic form, which wins, and something else in its UTF-8"
                " form. Fix: write the value so that both agree, or without a backslash."
            )
        return cls(text, tuple(Matcher(*part) for part in chosen), warning)

    @classmethod
    def read(cls, text: str, expand: Callable[[str], str]) -> Matchers:
        """Replace the variables in the text, then `parse` it."""
        return cls.parse(expand(text).rstrip("\r\n"))

    @classmethod
    def expected(cls, node: yaml.Node) -> str:
        """Return the error for a list or section where one matcher is expected."""
        return matcher_hints.not_a_matcher(node)

    @classmethod
    def expected_list(cls, node: yaml.Node) -> str:
        """Return the error for another value where a list of matchers is expected."""
        return matcher_hints.not_matchers(node)

    def doubt(self, *, is_folded: bool) -> str:
        """Return what is doubtful about the text, or the empty text; ``is_folded``: YAML has joined several lines."""
        if self.warning or not is_folded:
            return self.warning
        return folded([Parts(matcher.name, matcher.operator, matcher.value) for matcher in self.each])

    def failing(self, labels: Mapping[str, str]) -> Matcher | None:
        """Return the first condition that these labels do not fulfil; None if they fulfil all."""
        return next((matcher for matcher in self.each if not matcher.matches(labels)), None)

    def __repr__(self) -> str:
        return f"Matchers({self.text!r})"


def _try(read: Callable[[str], list[Parts]], text: str) -> tuple[list[Parts] | None, str]:
    try:
        return read(text), ""
    except _SyntaxError as error:
        return None, str(error)


def _read_modern(text: str) -> list[Parts]:
    """Read the UTF-8 form: names and values bare or quoted, Go's escapes; a trailing comma and braces are allowed."""
    tokens = _tokens(text)
    parts: list[Parts] = []
    has_brace = tokens[0] == ("mark", "{")
    index = 1 if has_brace else 0
    while tokens[index][0] in ("bare", "quoted"):
        name, operator, value = (tokens + [("end", "")] * 2)[index : index + 3]
        if operator[0] != "op":
            raise _SyntaxError(f"an operator is missing after {name[1]!r}")
        if value[0] not in ("bare", "quoted"):
            raise _SyntaxError(f"a value is missing after {name[1]}{operator[1]}")
        if not name[1]:
            raise _SyntaxError("a label's name is empty")
        parts.append(Parts(name[1], operator[1], value[1]))
        index += 3
        if tokens[index] != ("mark", ","):
            break
        index += 1
    if has_brace and tokens[index] == ("mark", "}"):
        index += 1
    elif has_brace:
        raise _SyntaxError("a brace is not closed")
    if tokens[index][0] != "end":
        raise _SyntaxError(f"{tokens[index][1]!r} is not expected there")
    if not parts:
        raise _SyntaxError("there is no matcher in it")
    return parts


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    index = 0
    while not tokens or tokens[-1][0] != "end":
        matched = _TOKEN.match(text, index)
        if matched is None or matched.lastgroup is None:
            raise _SyntaxError(_unreadable(text[index:].lstrip()))
        word = matched[matched.lastgroup]
        tokens.append((matched.lastgroup, _unquoted(word) if matched.lastgroup == "quoted" else word))
        index = matched.end()
    return tokens


def _unreadable(remaining: str) -> str:
    if remaining.startswith('"'):
        return "a quote is not closed"
    return f"{remaining[:1]!r} must be in double quotes"


def _unquoted(text: str) -> str:
    """Return the text that a Go string literal stands for."""

    def character(matched: re.Match[str]) -> str:
        if matched["one"]:
            return _GO_CHARACTERS[matched["one"]]
        if matched["byte"] or matched["octal"]:
            number, last = int(matched["octal"], 8) if matched["octal"] else int(matched["byte"], 16), _LAST_ASCII
        else:
            number, last = int(matched["short"] or matched["long"] or "-1", 16), _LAST_CHARACTER
        if not 0 <= number <= last or number in _SURROGATES:
            raise _SyntaxError(f"{matched[0]!r} is not a valid escape")
        return chr(number)

    if "\n" in text:
        raise _SyntaxError("there is a line break between the quotes")
    return _GO_ESCAPE.sub(character, text)


def _read_classic(text: str) -> list[Parts]:
    """Read the classic form: names are words, values are quoted or end at a comma, and there are three escapes."""
    return [_classic(part) for part in _split_at_commas(text.removeprefix("{").removesuffix("}"))]


def _split_at_commas(text: str) -> list[str]:
    parts, token = [], ""
    inside, escaped = False, False
    for char in text:
        if char == "," and not inside:
            parts.append(token)
            token = ""
            continue
        if char == '"' and not escaped:
            inside = not inside
        escaped = char == "\\" and not escaped
        token += char
    return [*parts, token] if token.strip() or not parts else parts


def _classic(text: str) -> Parts:
    matched = _CLASSIC.fullmatch(text)
    if not matched:
        raise _SyntaxError(
            f"{text!r} has no label, operator and value" if text.strip() else "there is no matcher in it"
        )
    value = matched["value"]
    is_quoted = value.startswith('"')
    inner = value[1:] if is_quoted else value
    spelled, escaped = [], False
    for index, char in enumerate(inner):
        if escaped:
            spelled.append({"n": "\n", '"': '"', "\\": "\\"}.get(char, "\\" + char))
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == '"':
            if not is_quoted or index < len(inner) - 1:
                raise _SyntaxError("a quote in the value is not escaped")
            is_quoted = False
        else:
            spelled.append(char)
    if is_quoted:
        raise _SyntaxError("a quote is not closed")
    return Parts(matched["name"], matched["op"], "".join(spelled) + ("\\" if escaped else ""))


def _condition(operator: Operator, value: str) -> Callable[[str], bool]:
    if operator == "=":
        return lambda label: label == value
    if operator == "!=":
        return lambda label: label != value
    compile_regex(value)  # alone first, so that an error shows the pattern without the anchors
    pattern = compile_regex(f"^(?:{value})$")
    is_wanted = operator == "=~"

    @lru_cache(maxsize=_MAX_CACHED)
    def cached(label: str) -> bool:
        return (pattern.fullmatch(label) is not None) is is_wanted

    return lambda label: (cached if len(label) <= _MAX_CACHED_CHARACTERS else cached.__wrapped__)(label)


def compile_regex(text: str) -> re2._Regexp:
    """Compile a regular expression; syntax that RE2's library accepts and Go does not is refused.

    Raises:
        ValueError: the text is not a regular expression; the error names the fix.
    """
    names = set()
    for matched in _IN_REGEX.finditer(text):
        if matched["byte"]:
            raise ValueError(f"{text!r} is not a regular expression of Go: \\C is not known there. Fix: use (?s:.).")
        if matched["name"] in names:
            name = matched["name"]
            raise ValueError(
                f"{text!r} is not a regular expression of Go: two groups are called {name}. Fix: rename one."
            )
        names.add(matched["name"] or object())
    if not text.isascii() and any(char in _SURROGATE for char in text):
        raise ValueError(f"{text!r} holds half of a surrogate pair. Fix: write the whole character.")
    try:
        return re2.compile(text, _QUIET)
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else error.args[0]
        raise ValueError(f"{text!r} is not a regular expression of RE2: {reason}. Fix: correct it.") from None
