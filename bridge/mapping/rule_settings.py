"""The rules of the `mapping:` section: what each matches, what it sets, and the mistakes in a single rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from bridge.clock import Millis
from bridge.event import BRIDGE_KEYS, EVENT_TYPES, MANDATORY, MAX_TIMEOUT, MIN_TIMEOUT, SEVERITIES
from bridge.mapping.console import CONSOLE
from bridge.mapping.matcher import Matcher, Matchers
from bridge.mapping.near_misses import near_misses
from bridge.mapping.severity import SeveritySettings
from bridge.mapping.template import Template
from bridge.typed_yaml.scalars import DurationField
from bridge.typed_yaml.section import Problems

DEFAULTS_RULE = "defaults"
"""The name that metrics and `map` show where no rule matched; a rule must not have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DropLabels:
    """All labels go into the metadata, except these.

    Attributes:
        drop: the names of the labels to leave out.
    """

    drop: tuple[str, ...]


Labels = Literal["all", "none"] | tuple[str, ...] | DropLabels
"""Which labels go into the metadata."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSettings:
    """One rule: its matchers, and what it sets when all of them hold. A rule without matchers always matches.

    Attributes:
        name: the rule's name, which `aom-bridge map`, metrics and pages show; each rule has its own.
        match: matchers of labels in Alertmanager's syntax, such as `severity="critical"`; all must hold.
        match_annotations: matchers of annotations; all must hold.
        match_group: matchers of the group's labels, and of `receiver`; all must hold.
        set: fields of the metadata with their values or templates: AOM's (`event_name`, `event_type`,
            `resource_provider`, `resource_type`, `resource_id`) and your own.
        annotations: annotations with their values or templates; `""` leaves one out.
        severity: a severity (a constant or a template), or a table of its own, for the alerts of this rule.
        labels: which labels go into the metadata, for the alerts of this rule.
        target: the target of the alerts of this rule, by its name.
        timeout: AOM clears alarms of this rule that are not reported again for so long, instead of after the target's
            `alarm_timeout`; 1m to 15d.
        drop: with true the alerts of this rule become no alarm, and are counted. It sets nothing else then.
        continues: with true the next rules are tried as well, and override what this one sets.
    """

    instead: ClassVar[Mapping[str, str]] = {
        **{name: f"write it under set, such as set: {{{name}: ...}}." for name in MANDATORY},
        "matchers": "did you mean 'match'?",
    }

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
    continues: bool = field(default=False, metadata={"key": "continue"})

    def templates(self) -> Iterator[tuple[str, Template]]:
        """Yield each template with its key."""
        for name in ("set", "annotations"):
            for key, template in getattr(self, name).items():
                yield f"{name}.{key}", template
        if isinstance(self.severity, Template):
            yield "severity", self.severity

    def conditions(self) -> dict[tuple[str, str], list[Matcher]]:
        """Return the conditions by the kind of value and the name that they look at."""
        conditions: dict[tuple[str, str], list[Matcher]] = {}
        for kind, texts in (("", self.match), ("annotation ", self.match_annotations), ("group ", self.match_group)):
            for matcher in (matcher for matchers in texts for matcher in matchers.each):
                conditions.setdefault((kind, matcher.name), []).append(matcher)
        return conditions

    @property
    def sets_nothing(self) -> bool:
        """Whether the rule changes nothing for the alerts that it matches."""
        sets = (self.set, self.annotations, self.severity, self.target, self.timeout, self.drop)
        return self.labels is None and not any(sets)

    def problems(self) -> Problems:
        """Return what is wrong with the rule as a whole: pairs of the key and the sentence."""
        problems = []
        if self.name == DEFAULTS_RULE:
            problems.append(("name", f"{self.name!r} means in metrics that no rule matched. Fix: choose another name."))
        if self.timeout is not None:
            problems += [("timeout", text) for text in timeout_problems(self.timeout)]
        sets = (self.set, self.annotations, self.severity, self.labels, self.target, self.timeout, self.continues)
        if self.drop and any(sets):
            problems.append(("drop", "a rule that drops sets nothing else. Fix: remove the other keys, or drop."))
        for key, choices in (("event_severity", SEVERITIES), ("event_type", EVENT_TYPES)):
            problems += [(f"set.{key}", text) for text in _choice_problems(self.set.get(key), choices)]
        if isinstance(self.severity, Template):
            problems += [("severity", text) for text in _choice_problems(self.severity, SEVERITIES)]
        if self.severity is not None and "event_severity" in self.set:
            problems.append(("severity", "the rule sets set.event_severity, too. Fix: keep one of them."))
        text = "the bridge sets it, and finds its alarms by it. Fix: choose another name."
        return problems + [(f"set.{key}", text) for key in BRIDGE_KEYS if key in self.set]

    def doubts(self) -> Problems:
        """Return the fields that were probably meant to be AOM's: pairs of the key and the sentence."""
        doubts = [(f"set.{key}", text) for key, text in near_misses(self.set, MANDATORY)]
        if "severity" in self.set:
            text = "'severity' is a field of its own beside AOM's event_severity. Fix: write event_severity."
            doubts.append(("set.severity", text))
        return doubts + [(f"annotations.{key}", text) for key, text in near_misses(self.annotations, CONSOLE)]


def timeout_problems(timeout: Millis) -> list[str]:
    """Return what is wrong with a timeout, which must be 1 minute to 15 days; empty if nothing is."""
    if MIN_TIMEOUT <= timeout <= MAX_TIMEOUT:
        return []
    return ["AOM clears an alarm by itself after 1m at the earliest and 15d at the latest. Fix: write one between."]


def _choice_problems(template: Template | None, choices: tuple[str, ...]) -> list[str]:
    if template is None or "{" in template.text or "$" in template.text:
        return []
    if template.text.strip().casefold() in {choice.casefold() for choice in choices}:
        return []
    return [f"{template.text!r} is not one of {', '.join(choices)}. Fix: AOM knows only these."]
