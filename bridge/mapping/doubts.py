"""Doubtful rules, which are valid but seldom meant so: no alert can reach them, or they change nothing; pure.

In: the rules in their order. Out: for each doubtful rule its index and a sentence. The time grows with the number of
rules, not with its square.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from bridge.mapping.matcher import Matcher
from bridge.mapping.rule_settings import RuleSettings

_ALTERNATIVES = re.compile(r"[\w /:@%,-]*(?:\|[\w /:@%,-]*)*")
"""A regular expression that only lists alternative texts."""

_MAX_ALTERNATIVES = 100
_ANYTHING = ".*"

Condition = tuple[str, str]
"""The kind of value that a matcher looks at, and the matcher's text."""


def doubtful_rules(rules: Sequence[RuleSettings]) -> list[tuple[int, str]]:
    """Return the doubtful rules: pairs of the index and the sentence."""
    doubts = []
    shadowed = ShadowedRules(rules)
    last_drop = max((index for index, rule in enumerate(rules) if rule.drop), default=-1)
    for index, rule in enumerate(rules):
        conflict = contradiction(rule)
        if conflict:
            doubts.append((index, f"no alert can match {rule.name!r}: {conflict}. Fix: correct a matcher."))
        shadow = shadowed.shadow_of(index)
        if shadow is not None:
            text = f"{shadow.name!r} above takes every alert that {rule.name!r} would match"
            doubts.append((index, f"{text}. Fix: put it higher, or give {shadow.name!r} continue: true."))
        if rule.sets_nothing and (rule.continues or index > last_drop):
            doubts.append((index, f"{rule.name!r} sets nothing. Fix: add set, or another key; or remove the rule."))
    return doubts


def contradiction(rule: RuleSettings) -> str:
    """Return two conditions that cannot both hold, or one that never holds; the empty text if none are known."""
    for (kind, _), matchers in rule.conditions().items():
        pair = _contradiction(list({matcher.text: matcher for matcher in matchers}.values()))
        if pair:
            return " and ".join(kind + matcher.text for matcher in pair)
    return ""


def _contradiction(matchers: Sequence[Matcher]) -> list[Matcher]:
    """Return the matchers of one name that contradict each other."""
    texts = {(matcher.operator, matcher.value): matcher for matcher in matchers}
    for (operator, value), matcher in texts.items():
        if (operator, value) == ("!~", _ANYTHING):
            return [matcher]
        if operator == "!~" and ("=~", value) in texts:
            return [texts["=~", value], matcher]
    choices = ((matcher, values) for matcher in matchers if (values := _choices(matcher)))
    narrowest, values = min(choices, key=lambda choice: len(choice[1]), default=(None, []))
    if narrowest is None or any(_all_hold(matchers, value) for value in values):
        return []
    failing = next(other for other in matchers if not _holds(other, values[0]))
    return [narrowest, failing]


def _choices(matcher: Matcher) -> list[str]:
    """Return all values that a matcher accepts; the empty list if they cannot be listed."""
    if matcher.operator == "=":
        return [matcher.value]
    if matcher.operator != "=~" or not _ALTERNATIVES.fullmatch(matcher.value):
        return []
    values = matcher.value.split("|")
    return values if len(values) <= _MAX_ALTERNATIVES else []


def _all_hold(matchers: Sequence[Matcher], value: str) -> bool:
    return all(_holds(matcher, value) for matcher in matchers)


def _holds(matcher: Matcher, value: str) -> bool:
    return matcher.matches({matcher.name: value})


class ShadowedRules:
    """Finds the rules that no alert reaches, because a rule above them matches every alert that they would match.

    Rules are indexed by their rarest condition, so that each later rule is compared with few others.

    Attributes:
        compared: how many pairs of rules were compared.
    """

    def __init__(self, rules: Sequence[RuleSettings]) -> None:
        self.compared = 0
        self._rules = rules
        self._conditions = [frozenset(_conditions(rule)) for rule in rules]
        self._shadowed: dict[int, RuleSettings] = {}
        self._find(Counter(condition for conditions in self._conditions for condition in conditions))

    def shadow_of(self, index: int) -> RuleSettings | None:
        """Return the first rule above that takes all alerts of this one; it is found by equal conditions."""
        return self._shadowed.get(index)

    def _find(self, common: Counter[Condition]) -> None:
        by_rarest: dict[Condition | None, list[int]] = {}
        for index, conditions in enumerate(self._conditions):
            above = (other for key in (None, *conditions) for other in by_rarest.get(key, ()))
            shadow = min((other for other in above if self._takes_all(other, index)), default=None)
            if shadow is not None:
                self._shadowed[index] = self._rules[shadow]
            elif not self._rules[index].continues:
                rarest = min(conditions, key=lambda condition: (common[condition], condition), default=None)
                by_rarest.setdefault(rarest, []).append(index)

    def _takes_all(self, index: int, later: int) -> bool:
        self.compared += 1
        return self._conditions[index] <= self._conditions[later]


def _conditions(rule: RuleSettings) -> Iterator[Condition]:
    """Yield the conditions of a rule, without matchers that always hold."""
    for (kind, _), matchers in rule.conditions().items():
        for matcher in matchers:
            if (matcher.operator, matcher.value) != ("=~", _ANYTHING):
                yield kind, matcher.text
