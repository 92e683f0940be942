"""Doubts: rules that can be right, and seldom are: those that no alert comes to, and those that change nothing; pure.

In: the rules in their order. Out: for each doubtful one its place and a sentence. The work grows with the number of
rules, not with its square.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from bridge.mapping.matcher import Matcher
from bridge.mapping.rule_settings import RuleSettings

_ALTERNATIVES = re.compile(r"[\w /:@%,-]*(?:\|[\w /:@%,-]*)*")
"""A regular expression that is nothing but texts to choose from."""

_MAX_ALTERNATIVES = 100
_ANYTHING = ".*"

Condition = tuple[str, str]
"""What a matcher looks at, and the matcher."""


def doubts_of(rules: Sequence[RuleSettings]) -> list[tuple[int, str]]:
    """Return the doubtful rules: pairs of the index and the sentence."""
    found = []
    shadows = Shadows(rules)
    last_drop = max((index for index, rule in enumerate(rules) if rule.drop), default=-1)
    for index, rule in enumerate(rules):
        never = contradiction(rule)
        if never:
            found.append((index, f"no alert can match {rule.name!r}: {never}. Fix: correct a matcher."))
        before = shadows.before(index)
        if before is not None:
            text = f"{before.name!r} above takes every alert that {rule.name!r} would match"
            found.append((index, f"{text}. Fix: put it higher, or give {before.name!r} continue: true."))
        if rule.sets_nothing and (rule.go_on or index > last_drop):
            found.append((index, f"{rule.name!r} sets nothing. Fix: add set, or another key; or remove the rule."))
    return found


def contradiction(rule: RuleSettings) -> str:
    """Return conditions that can never hold together, or one that never holds; empty if none are known."""
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
    choices = ((len(found), matcher, found) for matcher in matchers if (found := _choices(matcher)))
    _, narrowest, values = min(choices, key=lambda choice: choice[0], default=(0, None, []))
    if narrowest is None or any(_all_hold(matchers, value) for value in values):
        return []
    failing = next(other for other in matchers if not _holds(other, values[0]))
    return [narrowest, failing]


def _choices(matcher: Matcher) -> list[str]:
    """Return the only values that a matcher takes; none if there are too many to know."""
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


class Shadows:
    """Finds for each rule one above it that takes all its alerts.

    A rule is looked up by the rarest of its conditions, so that each later rule is compared with few.

    Attributes:
        compared: how many pairs of rules were looked at.
    """

    def __init__(self, rules: Sequence[RuleSettings]) -> None:
        self.compared = 0
        self._rules = rules
        self._conditions = [frozenset(_conditions(rule)) for rule in rules]
        self._shadowed: dict[int, RuleSettings] = {}
        self._find(Counter(condition for conditions in self._conditions for condition in conditions))

    def before(self, index: int) -> RuleSettings | None:
        """Return the rule that leaves this one nothing, as far as equal conditions show it."""
        return self._shadowed.get(index)

    def _find(self, common: Counter[Condition]) -> None:
        by_rarest: dict[Condition | None, list[int]] = {}
        for index, conditions in enumerate(self._conditions):
            above = (other for key in (None, *conditions) for other in by_rarest.get(key, ()))
            shadow = min((other for other in above if self._takes_all(other, index)), default=None)
            if shadow is not None:
                self._shadowed[index] = self._rules[shadow]
            elif not self._rules[index].go_on:
                rarest = min(conditions, key=lambda one: (common[one], one), default=None)
                by_rarest.setdefault(rarest, []).append(index)

    def _takes_all(self, index: int, later: int) -> bool:
        self.compared += 1
        return self._conditions[index] <= self._conditions[later]


def _conditions(rule: RuleSettings) -> Iterator[Condition]:
    """Give what a rule asks for, without matchers that always hold."""
    for (kind, _), matchers in rule.conditions().items():
        for matcher in matchers:
            if (matcher.operator, matcher.value) != ("=~", _ANYTHING):
                yield kind, matcher.text
