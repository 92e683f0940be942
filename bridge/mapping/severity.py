"""The severity table: from a label's value to AOM's severity; pure.

In: the value of a label. Out: a severity, or None for a word that is not in the table. Words are compared without
regard to case, spaces, ``_`` and ``-``. Sources of the shipped words: syslog (RFC 5424), OpenTelemetry's severity
texts, the severities and priorities of PagerDuty, Opsgenie, Zabbix and Jira, and AOM's console in Chinese.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bridge.event import Severity
from bridge.typed_yaml.section import Problems

_MAX_WORD_CHARACTERS = 100
"""A longer word cannot be in a table."""

_WORDS: dict[Severity, str] = {
    "Critical": "critical crit page fatal emergency emerg disaster panic alert blocker urgent highest catastrophic"
    " p0 p1 sev0 sev1 s0 s1 紧急 緊急 致命 灾难",
    "Major": "major error err high severe serious important p2 sev2 s2 重要 严重 嚴重 错误 高",
    "Minor": "minor warning warn medium moderate average ticket p3 sev3 s3 次要 警告 告警 一般 中",
    "Info": "info information informational notice none debug trace ok low lowest trivial normal"
    " p4 p5 sev4 sev5 s4 s5 提示 提醒 通知 信息 低",
}
"""A scale of four steps maps one to one. No bare digits: 1 is the highest for some tools and the lowest for others."""


def normalized(word: str) -> str:
    """Return a word in lower case and without spaces, ``_`` and ``-``."""
    return "".join(word.split()).replace("_", "").replace("-", "").casefold()


@dataclass(frozen=True, slots=True, kw_only=True)
class SeveritySettings:
    """From a label's value to AOM's severity; values are compared without regard to case, spaces, _ and -.

    Attributes:
        label: the label whose value is looked up.
        map: words and their severities. A table of your own replaces the shipped one;
            `config/bridge.yaml` lists it.
        default: the severity of alerts without the label, and of words that are not in the table.
    """

    label: str = "severity"
    map: dict[str, Severity] = field(
        default_factory=lambda: {word: severity for severity, words in _WORDS.items() for word in words.split()}
    )
    default: Severity = "Minor"

    def problems(self) -> Problems:
        """Return the words that are ambiguous or empty: pairs of the key and the sentence."""
        problems = []
        first_spelling: dict[str, str] = {}
        for word, severity in self.map.items():
            known = first_spelling.setdefault(normalized(word), word)
            if not normalized(word):
                problems.append((f"map.{word}", f"{word!r} has nothing but spaces, _ and -. Fix: write a word."))
            elif self.map[known] != severity:
                text = f"{word!r} and {known!r} are one word here (case, spaces, _ and - aside), with two severities."
                problems.append((f"map.{word}", f"{text} Fix: remove one."))
        return problems

    def table(self) -> Callable[[str], Severity | None]:
        """Return a function from a word to its severity, or to None if the word is not in the table."""
        by_normal_form = {normalized(word): severity for word, severity in self.map.items()}
        by_spelling = dict(self.map)

        def severity(word: str) -> Severity | None:
            exact = by_spelling.get(word)
            if exact is not None or len(word) > _MAX_WORD_CHARACTERS:
                return exact
            return by_normal_form.get(normalized(word))

        return severity
