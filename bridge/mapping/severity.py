"""Severity: from a label's word to AOM's severity, by a table; pure.

In: the labels of an alert. Out: a severity, or None for a word that the table does not hold. Words are compared without
regard to case, spaces, ``_`` and ``-``. Sources of the shipped words: syslog (RFC 5424), OpenTelemetry's severity
texts, the severities and priorities of PagerDuty, Opsgenie, Zabbix and Jira, and AOM's console in Chinese.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from bridge.event import Severity

_MAX_WORD_CHARACTERS = 100
"""A longer one is in no table."""

_WORDS: dict[Severity, str] = {
    "Critical": "critical crit page fatal emergency emerg disaster panic alert blocker urgent highest catastrophic"
    " p0 p1 sev0 sev1 s0 s1 紧急 緊急 致命 灾难",
    "Major": "major error err high severe serious important p2 sev2 s2 重要 严重 嚴重 错误 高",
    "Minor": "minor warning warn medium moderate average ticket p3 sev3 s3 次要 警告 告警 一般 中",
    "Info": "info information informational notice none debug trace ok low lowest trivial normal"
    " p4 p5 sev4 sev5 s4 s5 提示 提醒 通知 信息 低",
}
"""Scales of four go step by step. No bare digits: 1 is the worst for some tools, and the least for others."""


def squeezed(word: str) -> str:
    """Return a word without what people spell differently: case, spaces, ``_`` and ``-``."""
    return "".join(word.split()).replace("_", "").replace("-", "").casefold()


@dataclass(frozen=True, slots=True, kw_only=True)
class SeveritySettings:
    """From a label's value to AOM's severity; values are compared without regard to case, spaces, _ and -.

    ``map`` stands instead of the shipped table.
    """

    label: str = "severity"
    map: dict[str, Severity] = field(
        default_factory=lambda: {word: severity for severity, words in _WORDS.items() for word in words.split()}
    )
    default: Severity = "Minor"

    def problems(self) -> list[tuple[str, str]]:
        """Return which words cannot be told from others: pairs of the key and the sentence."""
        found = []
        first: dict[str, str] = {}
        for word, severity in self.map.items():
            known = first.setdefault(squeezed(word), word)
            if not squeezed(word):
                found.append((f"map.{word}", f"{word!r} has nothing but spaces, _ and -. Fix: write a word."))
            elif self.map[known] != severity:
                text = f"{word!r} and {known!r} are one word here (case, spaces, _ and - aside), with two severities."
                found.append((f"map.{word}", f"{text} Fix: remove one."))
        return found

    def table(self) -> Callable[[str], Severity | None]:
        """Return what gives the severity of a word; None for one that the table does not hold."""
        known = {squeezed(word): severity for word, severity in self.map.items()}
        spelled = dict(self.map)

        def severity(word: str) -> Severity | None:
            found = spelled.get(word)
            if found is not None or len(word) > _MAX_WORD_CHARACTERS:
                return found
            return known.get(squeezed(word))

        return severity
