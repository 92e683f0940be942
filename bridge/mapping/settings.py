"""The `mapping:` section of the configuration file: what the rules, the severity table and the defaults say."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

from bridge.clock import Millis
from bridge.event import EVENT_TYPES, LONGEST_TIMEOUT, MANDATORY, OURS, SEVERITIES, SHORTEST_TIMEOUT
from bridge.mapping.matcher import Matcher, Matchers
from bridge.mapping.severity import SeveritySettings
from bridge.mapping.template import Template
from bridge.scalars import DurationField

DEFAULTS_RULE = "defaults"
"""Stands in metrics and `map` for "no rule matched"; so no rule may have this name."""

_CONSOLE = {
    name: Template.parse(text)
    for name, text in {
        "message": "{{ annotations.message or annotations.description or annotations.summary }}",
        "alarm_probableCause_en_us": "{{ annotations.cause }}",
        "alarm_probableCause_zh_cn": "{{ annotations.cause_zh or annotations.cause }}",
        "alarm_fix_suggestion_en_us": "{{ annotations.fix or annotations.runbook_url | link }}",
        "alarm_fix_suggestion_zh_cn": "{{ annotations.fix_zh or annotations.fix or annotations.runbook_url | link }}",
        "runbook_url": "{{ annotations.runbook_url | link }}",
        "dashboard_url": "{{ annotations.dashboard_url | link }}",
        "generator_url": "{{ alert.generator_url | link }}",
    }.items()
}
"""What AOM's console shows of an alarm (AOM user guide, "Checking Alarms"), and links to where it came from."""

_VAR = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

LINKS = frozenset(name for name in _CONSOLE if name.endswith("_url"))
"""Annotations that people click on: nothing but web addresses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DropLabels:
    """All labels but these go into the metadata."""

    drop: tuple[str, ...]


Labels = Literal["all", "none"] | tuple[str, ...] | DropLabels
"""Which labels go into the metadata."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultsSettings:
    """The fields of an event where no rule says otherwise."""

    event_type: Literal["event", "alarm"] = "alarm"
    event_name: Template = field(default_factory=lambda: Template.parse("{{ labels.alertname or 'unnamed' }}"))
    resource_provider: Template = field(default_factory=lambda: Template.parse("Prometheus"))
    resource_type: Template = field(default_factory=lambda: Template.parse("{{ labels.job or 'alert' }}"))
    resource_id: Template = field(default_factory=lambda: Template.parse("{{ labels.instance or alert.fingerprint }}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSettings:
    """One rule: when all its matchers hold, what it sets. Without matchers it always holds.

    ``match`` looks at labels, ``match_annotations`` at annotations, ``match_group`` at the group's labels and receiver.
    """

    name: str
    match: tuple[Matchers, ...] = ()
    match_annotations: tuple[Matchers, ...] = ()
    match_group: tuple[Matchers, ...] = ()
    set: dict[str, Template] = field(default_factory=dict)
    annotations: dict[str, Template] = field(default_factory=dict)
    severity: Template | SeveritySettings | None = None
    labels: Labels | None = None
    target: str | None = None
    timeout: DurationField | None = None
    drop: bool = False
    go_on: bool = field(default=False, metadata={"key": "continue"})

    def templates(self) -> Iterator[tuple[str, Template]]:
        """Give the templates with their keys."""
        for name in ("set", "annotations"):
            for key, template in getattr(self, name).items():
                yield f"{name}.{key}", template
        if isinstance(self.severity, Template):
            yield "severity", self.severity

    def conditions(self) -> dict[tuple[str, str], list[Matcher]]:
        """Return the conditions by what they look at: the kind of value and its name."""
        found: dict[tuple[str, str], list[Matcher]] = {}
        for kind, texts in (("", self.match), ("annotation ", self.match_annotations), ("group ", self.match_group)):
            for matcher in (matcher for matchers in texts for matcher in matchers.each):
                found.setdefault((kind, matcher.name), []).append(matcher)
        return found

    def contradiction(self) -> str:
        """Return two conditions that can never hold together; empty if none are known."""
        for (kind, name), matchers in self.conditions().items():
            for one in (matcher for matcher in matchers if matcher.operator == "="):
                for other in matchers:
                    if not other.matches({name: one.value}):
                        return f"{kind}{one.text} and {kind}{other.text}"
        return ""

    def takes_all_of(self, later: RuleSettings) -> bool:
        """Say whether no alert gets past this rule to a later one, as far as equal conditions show it."""
        if self.go_on:
            return False
        theirs = {(key, matcher.text) for key, matchers in later.conditions().items() for matcher in matchers}
        ours = {(key, matcher.text) for key, matchers in self.conditions().items() for matcher in matchers}
        return ours <= theirs

    def problems(self) -> list[tuple[str, str]]:
        """Return what is wrong with the rule as a whole: pairs of the key and the sentence."""
        found = []
        if self.name == DEFAULTS_RULE:
            found.append(("name", f"{self.name!r} means in metrics that no rule matched. Fix: choose another name."))
        if self.timeout is not None:
            found += [("timeout", text) for text in timeout_problems(self.timeout)]
        sets = (self.set, self.annotations, self.severity, self.labels, self.target, self.timeout, self.go_on)
        if self.drop and any(sets):
            found.append(("drop", "a rule that drops sets nothing else. Fix: remove the other keys, or drop."))
        for key, choices in (("event_severity", SEVERITIES), ("event_type", EVENT_TYPES)):
            found += [(f"set.{key}", text) for text in _choice_problems(self.set.get(key), choices)]
        if isinstance(self.severity, Template):
            found += [("severity", text) for text in _choice_problems(self.severity, SEVERITIES)]
        if self.severity is not None and "event_severity" in self.set:
            found.append(("severity", "set.event_severity stands in the rule, too. Fix: keep one of them."))
        text = "the bridge sets it, and finds its alarms by it. Fix: choose another name."
        return found + [(f"set.{key}", text) for key in OURS if key in self.set]


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingSettings:
    """How alerts become events. Rules are tried from top to bottom.

    ``vars`` are named templates that all others may use; each may use those above it. ``annotations`` are those for
    AOM's console, with what the file says instead of or beside them.
    """

    labels: Labels = "all"
    vars: dict[str, Template] = field(default_factory=dict)
    severity: SeveritySettings = field(default_factory=SeveritySettings)
    defaults: DefaultsSettings = field(default_factory=DefaultsSettings)
    annotations: dict[str, Template] = field(default_factory=dict)
    rules: tuple[RuleSettings, ...] = ()

    def __post_init__(self) -> None:
        """Join the file's annotations to the usual ones."""
        object.__setattr__(self, "annotations", {**_CONSOLE, **self.annotations})

    def problems(self) -> list[tuple[str, str]]:
        """Return what is wrong between the rules: pairs of the key and the sentence."""
        first = {rule.name: index for index, rule in reversed(list(enumerate(self.rules)))}
        return self._problems_of_vars() + [
            (f"rules[{index}].name", f"{rule.name!r} names an earlier rule too. Fix: give each rule a name of its own.")
            for index, rule in enumerate(self.rules)
            if first[rule.name] != index
        ]

    def templates(self) -> Iterator[tuple[str, Template]]:
        """Give all templates but the vars with their keys."""
        for name in mandatory_text_fields():
            yield f"defaults.{name}", getattr(self.defaults, name)
        for name, template in self.annotations.items():
            yield f"annotations.{name}", template
        for index, rule in enumerate(self.rules):
            for key, template in rule.templates():
                yield f"rules[{index}].{key}", template

    def _problems_of_vars(self) -> list[tuple[str, str]]:
        found = []
        above: list[str] = []
        for name, template in self.vars.items():
            if not _VAR.fullmatch(name):
                found.append((f"vars.{name}", f"{name!r} is not a name. Fix: begin with a letter, then A-Z a-z 0-9 _."))
            if ("vars", name) in template.looks_at:
                found.append((f"vars.{name}", f"vars.{name} uses itself. Fix: give it a value of its own."))
            above.append(name)
            found += [(f"vars.{name}", text) for text in _unknown_vars(template, above, self.vars)]
        for key, template in self.templates():
            found += [(key, text) for text in _unknown_vars(template, self.vars, self.vars)]
        return found

    def doubts(self) -> list[tuple[str, str]]:
        """Return which rules no alert can come to: pairs of the key and the sentence."""
        found = []
        for index, rule in enumerate(self.rules):
            never = rule.contradiction()
            if never:
                found.append((f"rules[{index}]", f"no alert can match {rule.name!r}: {never}. Fix: correct a matcher."))
            before = next((other for other in self.rules[:index] if other.takes_all_of(rule)), None)
            if before is not None:
                text = f"{before.name!r} above takes every alert that {rule.name!r} would match"
                found.append(
                    (f"rules[{index}]", f"{text}. Fix: put it higher, or give {before.name!r} continue: true.")
                )
        return found


def _unknown_vars(template: Template, known: Collection[str], named: Collection[str]) -> Iterator[str]:
    """Say which of ``vars`` a template uses that it cannot: ``known`` are those that it can, ``named`` all."""
    for what, name in sorted(template.looks_at):
        if what != "vars" or name in known:
            continue
        if name in named:
            yield f"vars.{name} does not stand above it. Fix: put vars.{name} higher in mapping.vars."
            continue
        near = get_close_matches(name, known, n=1)
        fix = f"did you mean vars.{near[0]}?" if near else f"name it under mapping.vars, such as {name}: prod."
        yield f"mapping.vars has no {name!r}. Fix: {fix}"


def timeout_problems(timeout: Millis) -> list[str]:
    """Say whether AOM takes this timeout: 1 minute to 15 days."""
    if SHORTEST_TIMEOUT <= timeout <= LONGEST_TIMEOUT:
        return []
    return ["AOM clears an alarm by itself after 1m at the earliest and 15d at the latest. Fix: a duration between."]


def _choice_problems(template: Template | None, choices: tuple[str, ...]) -> list[str]:
    if template is None or "{" in template.text or "$" in template.text or template.text in choices:
        return []
    return [f"{template.text!r} is not one of {', '.join(choices)}. Fix: AOM knows only these."]


def mandatory_text_fields() -> tuple[str, ...]:
    """Return the mandatory fields that are free text, in AOM's order."""
    return tuple(name for name in MANDATORY if name not in ("event_severity", "event_type"))
