"""The `mapping:` section of the configuration file: rules, severity table, defaults, vars and annotations."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import ClassVar, Literal

from bridge.event import MANDATORY
from bridge.mapping.console import CONSOLE
from bridge.mapping.doubts import doubtful_rules
from bridge.mapping.names import missing_braces
from bridge.mapping.near_misses import near_misses
from bridge.mapping.rule_settings import DEFAULTS_RULE, DropLabels, Labels, RuleSettings
from bridge.mapping.severity import SeveritySettings
from bridge.mapping.template import Template
from bridge.typed_yaml.section import Problems

__all__ = ["DEFAULTS_RULE", "DefaultsSettings", "DropLabels", "MappingSettings", "RuleSettings", "SeveritySettings"]

_VAR = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultsSettings:
    """The fields of an event that no rule sets.

    Attributes:
        event_type: `alarm`, or `event` for what is only told and never cleared.
        event_name: the name that the console shows.
        resource_provider: the service that the resource belongs to; CCE's own alarms write `CCE`. Where AOM's alarm
            rules match on it, 64 characters at most.
        resource_type: the kind of the resource, such as `pod` or `host`.
        resource_id: which resource it is.
    """

    instead: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("event_severity", "severity"), "write mapping.severity.default, beside defaults."
    )

    event_type: Literal["event", "alarm"] = "alarm"
    event_name: Template = field(
        default_factory=lambda: Template.parse("{{ labels.alertname or labels.alert_name or 'unnamed' }}")
    )
    resource_provider: Template = field(default_factory=lambda: Template.parse("Prometheus"))
    resource_type: Template = field(default_factory=lambda: Template.parse("{{ labels.job or 'alert' }}"))
    resource_id: Template = field(default_factory=lambda: Template.parse("{{ labels.instance or alert.fingerprint }}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingSettings:
    """How alerts become events. Rules are tried from top to bottom.

    Attributes:
        labels: which labels go into the metadata: `all`, `none`, a list, or all but some: `{drop: [uid]}`. AOM takes 30
            keys: leave out what no rule of AOM and no person looks at.
        vars: named values and templates that all other templates may use as `vars.NAME`; each may use those above it.
            For what several rules repeat.
        severity: the table from a label's values to AOM's severities.
        defaults: the fields of an event that no rule sets.
        annotations: annotations of every alarm, which replace the shipped ones for AOM's console or add to them; `""`
            leaves one out.
        rules: the rules, tried from top to bottom; the first that matches counts, unless it has `continue: true`.
    """

    labels: Labels = "all"
    vars: dict[str, Template] = field(default_factory=dict)
    severity: SeveritySettings = field(default_factory=SeveritySettings)
    defaults: DefaultsSettings = field(default_factory=DefaultsSettings)
    annotations: dict[str, Template] = field(default_factory=dict)
    rules: tuple[RuleSettings, ...] = ()

    def __post_init__(self) -> None:
        """Add the file's annotations to the console's; the file wins where both have a name."""
        object.__setattr__(self, "annotations", {**CONSOLE, **self.annotations})

    def problems(self) -> Problems:
        """Return what is wrong with the section as a whole: pairs of the key and the sentence."""
        first_index = {rule.name: index for index, rule in reversed(list(enumerate(self.rules)))}
        return self._problems_of_vars() + [
            (f"rules[{index}].name", f"{rule.name!r} names an earlier rule too. Fix: give each rule a name of its own.")
            for index, rule in enumerate(self.rules)
            if first_index[rule.name] != index
        ]

    def templates(self) -> Iterator[tuple[str, Template]]:
        """Yield each template with its key, except those of vars."""
        for name in mandatory_text_fields():
            yield f"defaults.{name}", getattr(self.defaults, name)
        for name, template in self.annotations.items():
            yield f"annotations.{name}", template
        for index, rule in enumerate(self.rules):
            for key, template in rule.templates():
                yield f"rules[{index}].{key}", template

    def group_values_looked_at(self) -> Iterator[tuple[str, str]]:
        """Yield each value of the group that a template looks at: pairs of the template's key and the value's name."""
        of_vars = ((f"vars.{name}", template) for name, template in self.vars.items())
        for key, template in (*of_vars, *self.templates()):
            yield from ((key, name) for scope, name in sorted(template.looks_at) if scope == "group")

    def labels_looked_at(self) -> frozenset[str]:
        """Return the names of the labels that matchers, templates and severity tables look at."""
        templates = [*self.vars.values(), *(template for _, template in self.templates())]
        names = {name for template in templates for scope, name in template.looks_at if scope == "labels"}
        names |= {matcher.name for rule in self.rules for matchers in rule.match for matcher in matchers.each}
        tables = (self.severity, *(rule.severity for rule in self.rules))
        return frozenset(names | {table.label for table in tables if isinstance(table, SeveritySettings)})

    def _problems_of_vars(self) -> Problems:
        problems = []
        above: list[str] = []
        for name, template in self.vars.items():
            if not _VAR.fullmatch(name):
                problems.append(
                    (f"vars.{name}", f"{name!r} is not a name. Fix: begin with a letter, then A-Z a-z 0-9 _.")
                )
            if ("vars", name) in template.looks_at:
                problems.append((f"vars.{name}", f"vars.{name} uses itself. Fix: give it a value of its own."))
            above.append(name)
            problems += [(f"vars.{name}", text) for text in _unknown_vars(template, above, self.vars)]
        for key, template in self.templates():
            problems += [(key, text) for text in _unknown_vars(template, self.vars, self.vars)]
        return problems

    def doubts(self) -> Problems:
        """Return what is valid but probably not meant so: pairs of the key and the sentence."""
        doubts = [(f"annotations.{name}", text) for name, text in near_misses(self.annotations, CONSOLE)]
        doubts += [(f"vars.{name}", text) for name, var in self.vars.items() if (text := missing_braces(var.text))]
        doubts += [(key, text) for key, template in self.templates() if (text := missing_braces(template.text))]
        return doubts + [(f"rules[{index}]", text) for index, text in doubtful_rules(self.rules)]


def _unknown_vars(template: Template, usable: Collection[str], all_names: Collection[str]) -> Iterator[str]:
    """Yield a sentence for each of ``vars`` that a template uses and that is not among the ``usable`` ones."""
    for scope, name in sorted(template.looks_at):
        if scope != "vars" or name in usable:
            continue
        if name in all_names:
            yield f"vars.{name} is defined below it. Fix: put vars.{name} higher in mapping.vars."
            continue
        near = get_close_matches(name, usable, n=1)
        fix = f"did you mean vars.{near[0]}?" if near else f"name it under mapping.vars, such as {name}: prod."
        yield f"mapping.vars has no {name!r}. Fix: {fix}"


def mandatory_text_fields() -> tuple[str, ...]:
    """Return the mandatory fields that are free text, in AOM's order."""
    return tuple(name for name in MANDATORY if name not in ("event_severity", "event_type"))
