"""Matchers: Alertmanager's own syntax for "this label is so"; pure.

In: the text of one matcher, such as ``severity=~"critical|page"`` or ``"k8s.pod"!=""``. Out: a `Matcher` that
says yes or no to labels. Regular expressions are RE2, as Alertmanager's are, and anchored at both ends; a label
that is not there is the empty string.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import re2

_FORM = re.compile(
    r"""\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s{}!=~,\\"'`]+))\s*(?P<op>=~|!~|!=|=)\s*(?P<value>.*?)\s*""",
    re.DOTALL,
)
_VALUE = re.compile(r'"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>(?:[^"\\]|\\.)*\\?)', re.DOTALL)
_ESCAPE = re.compile(r'\\(["\\n])')
_QUIET = re2.Options()
_QUIET.log_errors = False


class Matcher:
    """One condition on one label.

    Attributes:
        text: the matcher as it was written.
        name: the label's name.
    """

    __slots__ = ("_holds", "name", "text")

    def __init__(self, text: str, name: str, holds: Callable[[str], bool]) -> None:
        self.text = text
        self.name = name
        self._holds = holds

    @classmethod
    def parse(cls, text: str) -> Matcher:
        """Read one matcher.

        Raises:
            ValueError: it is no matcher, or its regular expression is none; the text names the fix.
        """
        name, operator, value = _split(text)
        return cls(text, name, _condition(operator, value))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether these labels fulfil the condition."""
        return self._holds(labels.get(self.name, ""))

    def __repr__(self) -> str:
        return f"Matcher({self.text!r})"


def _split(text: str) -> tuple[str, str, str]:
    found = _FORM.fullmatch(text)
    if not found or found["quoted"] == "":
        raise ValueError(
            f"{text!r} is not a matcher. Fix: write label, operator and quoted value, "
            """such as 'severity="critical"', with one of = != =~ !~."""
        )
    value = _VALUE.fullmatch(found["value"])
    if not value:
        raise ValueError(f'{text!r} has a quote that is not closed, or not escaped. Fix: "value", with \\" inside it.')
    return _either(found), found["op"], _either(value)


def _either(found: re.Match[str]) -> str:
    """Return the bare text, or the quoted one without its escapes; only these three are escapes in Alertmanager."""
    text = found["bare"] if found["quoted"] is None else found["quoted"]
    return _ESCAPE.sub(lambda escape: "\n" if escape[1] == "n" else escape[1], text)


def _condition(operator: str, value: str) -> Callable[[str], bool]:
    if operator == "=":
        return lambda found: found == value
    if operator == "!=":
        return lambda found: found != value
    try:
        pattern = re2.compile(value, _QUIET)
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else error.args[0]
        raise ValueError(f"{value!r} is not a regular expression of RE2: {reason}. Fix: correct it.") from None
    if operator == "=~":
        return lambda found: pattern.fullmatch(found) is not None
    return lambda found: pattern.fullmatch(found) is None
