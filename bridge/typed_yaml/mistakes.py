"""Explains why a text is not YAML, with a fix.

In: the text and PyYAML's error. Out: a `Problem` at the line and column that must be changed, which are not always
where the parser stopped. No part of a value is shown, since it may be a secret. Sources: YAML 1.1, and PyYAML's scanner
and parser.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from bridge.typed_yaml.problems import Problem

TAG = (
    "a YAML tag, and tags are not read. Fix: write the value itself, or ${NAME} for a variable of the environment;"
    " quote a value that begins with !."
)
BRACES = (
    "a template has no quotes, and { begins a section in YAML. Fix: put the whole value in single quotes,"
    " '{{ … }}', and write each ' inside of it twice."
)
_INVISIBLE = re.compile("[\u00a0\u00ad\u1680\u2000-\u200f\u2028-\u202e\u202f\u205f-\u2064\u3000\ufeff]")
"""Spaces that YAML does not treat as spaces, and invisible characters; YAML removes a byte order mark at the start."""

_TYPOGRAPHIC = "\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\uff02\uff07"
_BEFORE_VALUE = re.compile(r"[^'\"]*?(?::\ |$)")
_KEY_AND_VALUE = re.compile(r"(?P<indent>[ ]*(?:- +)*)(?P<key>[^\s:'\"\[\]{}#&*!|>%@`,][^:#]*?):\s+(?P<value>\S.*)")
_NO_SPACE = re.compile(r"\s*(?:- +)*[A-Za-z_][\w.-]*(?P<colon>:)[^\s/:]")
_FULL_WIDTH_COLON = re.compile(r"\s*(?:- +)*[\w.-]+\s*(?P<colon>\uff1a)")
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"\\]|\\.)*\"")
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")


@dataclass(frozen=True)
class _Trouble:
    """Where PyYAML stopped, and what it was parsing; lines and columns count from 0."""

    lines: list[str]
    problem: str
    context: str
    line: int
    column: int
    context_line: int
    context_column: int

    def at(self, line: int, column: int, text: str) -> Problem:
        return Problem(line + 1, column + 1, "", text)

    def text(self, line: int) -> str:
        return self.lines[line] if 0 <= line < len(self.lines) else ""

    @property
    def before(self) -> int:
        """The nearest line above that is not empty."""
        return next((line for line in range(self.line - 1, -1, -1) if self.text(line).strip()), self.line)

    @property
    def around(self) -> list[int]:
        """The lines that may hold the mistake, the likeliest first."""
        return list(dict.fromkeys((self.line, self.context_line, self.before)))


def explained(raw: bytes, error: yaml.MarkedYAMLError) -> Problem:
    """Return the mistake behind PyYAML's error."""
    mark = error.problem_mark or error.context_mark
    context = error.context_mark or mark
    trouble = _Trouble(
        _LINE_BREAK.split(raw.decode(errors="replace")),
        error.problem or "",
        error.context or "",
        *((mark.line, mark.column) if mark else (0, 0)),
        *((context.line, context.column) if context else (0, 0)),
    )
    first = next(_explanations(trouble), None)
    text = f"not YAML: {trouble.problem}. Fix: correct it, or put the value in quotes."
    return first or trouble.at(trouble.line, trouble.column, text)


def _explanations(trouble: _Trouble) -> Iterator[Problem]:
    """Yield possible mistakes, the most certain first."""
    for explain in (_tab, _unquoted_template, _invisible, _colon_missing, _escape, _open_quote, _special, _tag):
        yield from explain(trouble)
    for explain in (_after_quote, _flow, _colon_in_value, _indentation, _no_colon):
        yield from explain(trouble)


def _tab(it: _Trouble) -> Iterator[Problem]:
    if "'\\t'" in it.problem:
        yield it.at(it.line, it.column, "there is a tab, and YAML allows only spaces here. Fix: replace it by spaces.")


def _unquoted_template(it: _Trouble) -> Iterator[Problem]:
    for line in it.around:
        text = it.text(line)
        blanked = _QUOTED.sub(lambda quoted: "_" * len(quoted[0]), text)
        column = min((at for at in (blanked.find("{{"), blanked.find("{%")) if at >= 0), default=-1)
        if column >= 0 and not text.lstrip().startswith("#"):
            yield it.at(line, column, BRACES)


def _invisible(it: _Trouble) -> Iterator[Problem]:
    for line in it.around:
        head = _BEFORE_VALUE.match(it.text(line))
        char = _INVISIBLE.search(head[0]) if head else None
        if char:
            yield it.at(line, char.start(), called(char[0]))


def called(char: str) -> str:
    """Return the error message for an invisible character."""
    name = unicodedata.name(char, "a character that cannot be seen").lower()
    fix = "replace it by a space" if unicodedata.category(char) == "Zs" else "delete it"
    return f"U+{ord(char):04X} ({name}) is here, and YAML treats it as a letter. Fix: {fix}."


def in_typographic_quotes(text: str) -> str | None:
    """Return the error message for a value in typographic quotes, which YAML does not treat as quotes."""
    if len(text) < 2 or text[0] not in _TYPOGRAPHIC or text[-1] not in _TYPOGRAPHIC:
        return None
    return "its typographic quotes are part of the value. Fix: write ' or \" instead of them."


def invisible(text: str) -> str | None:
    """Return the first invisible character of a text."""
    char = _INVISIBLE.search(text)
    return char[0] if char else None


def _colon_missing(it: _Trouble) -> Iterator[Problem]:
    for line in it.around:
        full_width = _FULL_WIDTH_COLON.match(it.text(line))
        if full_width:
            text = "there is a full-width colon, which YAML treats as a letter. Fix: write ': ' instead."
            yield it.at(line, full_width.start("colon"), text)
        tight = _NO_SPACE.match(it.text(line))
        if tight and ("mapping values" in it.problem or "expected ':'" in it.problem):
            text = "a space is missing after this colon. Fix: write 'key: value'."
            yield it.at(line, tight.start("colon"), text)


def _escape(it: _Trouble) -> Iterator[Problem]:
    if "double-quoted" in it.context and "escape" in it.problem:
        text = "in double quotes \\ begins an escape, and this is none."
        fix = 'Fix: write it twice, \\\\; or put the value in single quotes and take the \\ before each " out.'
        column = it.text(it.line).rfind("\\", 0, it.column + 1)
        yield it.at(it.line, max(0, column), f"{text} {fix}")


def _open_quote(it: _Trouble) -> Iterator[Problem]:
    if "quoted scalar" in it.context and ("end of stream" in it.problem or "document separator" in it.problem):
        text = "a quote opens here and is not closed. Fix: close it at the end of the value."
        yield it.at(it.context_line, it.context_column, text)


def _special(it: _Trouble) -> Iterator[Problem]:
    bad_start = re.search("found character ('.'|\".\") that cannot start", it.problem)
    if bad_start:
        text = f"a value cannot begin with {bad_start[1][1]} in YAML. Fix: put it in quotes."
        yield it.at(it.line, it.column, text)
    if "alias" in it.context or "anchor" in it.context:
        sign, what = ("*", "an alias") if "alias" in it.context else ("&", "an anchor")
        text = f"{sign} begins {what} in YAML. Fix: put the value in quotes."
        if it.text(it.context_line).lstrip().startswith("labels:"):
            text = f"{sign} begins {what} in YAML. Fix: write labels: all."
        yield it.at(it.context_line, it.context_column, text)
    if "block scalar" in it.context:
        text = "| and > begin a text of several lines. Fix: put the value in quotes, or begin it on the next line."
        yield it.at(it.context_line, it.context_column, text)


def _tag(it: _Trouble) -> Iterator[Problem]:
    if "tag" in it.context or "tag" in it.problem:
        yield it.at(it.context_line, it.context_column, f"! begins {TAG}")


def _after_quote(it: _Trouble) -> Iterator[Problem]:
    before = it.text(it.line)[: it.column].rstrip()
    if "<scalar>" in it.problem and before[-1:] in ("'", '"'):
        quote = "''" if before[-1] == "'" else '\\"'
        text = f"text follows the closing quote. Fix: quote the whole value once, and write {quote} for a quote in it."
        yield it.at(it.line, it.column, text)


def _flow(it: _Trouble) -> Iterator[Problem]:
    if "flow sequence" in it.context or "flow mapping" in it.context:
        sign = "[" if "sequence" in it.context else "{"
        text = f"this {sign} is not closed where it should be (line {it.line + 1}, column {it.column + 1})."
        fix = "Fix: close it, or quote the value that holds one of , : [ ] { }."
        yield it.at(it.context_line, it.context_column, f"{text} {fix}")


def _colon_in_value(it: _Trouble) -> Iterator[Problem]:
    pair = _KEY_AND_VALUE.match(it.text(it.line))
    if "mapping values" in it.problem and pair and it.column >= pair.start("value"):
        text = "the value holds ': ', which makes it a key in YAML. Fix: put the whole value in quotes."
        yield it.at(it.line, pair.start("value"), text)


def _indentation(it: _Trouble) -> Iterator[Problem]:
    indent, before = _indent(it.text(it.line)), it.before
    columns = {_indent(it.text(before)): before}
    if "block collection" in it.context:
        text = f"this line is neither an entry of the list that begins in line {it.context_line + 1} nor part of one."
        fix = f"Fix: begin it with '- ' in column {it.context_column + 1}, or in column {it.context_column + 3}."
        yield it.at(it.line, indent, f"{text} {fix}")
    elif "block mapping" in it.context:
        columns.setdefault(it.context_column, it.context_line)
    elif "mapping values" not in it.problem:
        return
    if indent in columns and it.text(it.line).lstrip().startswith("- "):
        text = "there is an entry of a list among keys. Fix: remove its '- ', or begin a list with a key and a colon."
        yield it.at(it.line, indent, text)
    elif indent not in columns:
        ways = " or ".join(f"in column {column + 1}, as line {line + 1} does" for column, line in columns.items())
        yield it.at(it.line, indent, f"the indentation of this line fits no line above. Fix: begin it {ways}.")


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip(" "))


def _no_colon(it: _Trouble) -> Iterator[Problem]:
    if "expected ':'" in it.problem or "mapping values" in it.problem:
        line = it.context_line if "expected ':'" in it.problem else it.before
        text = "a key and a value are expected in this line. Fix: write 'key: value'."
        yield it.at(line, _indent(it.text(line)), text)
