"""The merged effect of one combination of matching rules, computed once for each combination; pure.

In: the settings of the rules that matched, then a `Rendering` for each alert. Out: the fields of its event as text of
any length, which `bridge.event` brings within AOM's limits. Where a template fails or renders an empty text, the
default of that one field is used; where the default fails too, a constant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from bridge import event as aom
from bridge.clock import Millis
from bridge.mapping.console import LINKS
from bridge.mapping.filters import link
from bridge.mapping.rule_settings import DEFAULTS_RULE, DropLabels, Labels, RuleSettings
from bridge.mapping.settings import MappingSettings, mandatory_text_fields
from bridge.mapping.severity import SeveritySettings
from bridge.mapping.template import Scope, Template
from bridge.notification import Alert

_CONSTANTS = {"event_name": "unnamed", "resource_provider": "Prometheus", "resource_type": "alert"}


class Fallback(msgspec.Struct, frozen=True):
    """A field that got its default because its template gave no usable text, or its severity is not in the table.

    ``problem``: why. ``word``: the unknown severity, shortened for the log; empty for a template.
    """

    rule: str
    field: str
    problem: str
    word: str = ""


class _Field(msgspec.Struct, frozen=True):
    """A template, with the names of its rule and of the field that it sets."""

    template: Template
    rule: str
    name: str


class Rendering(msgspec.Struct):
    """The rendering of one alert: what its templates see, and the fallbacks so far."""

    source: str
    alert: Alert
    scope: Scope
    fallbacks: list[Fallback]

    def render(self, field: _Field) -> str:
        """Return the template's text; if the template fails, add a fallback and return the empty text."""
        try:
            return field.template.render(self.scope)
        except Exception as error:  # noqa: BLE001 - a user's template can raise anything, and must never block
            self.add_fallback(field, f"{type(error).__name__}: {error}")
            return ""

    def add_fallback(self, field: _Field, problem: str) -> None:
        """Add a fallback, unless this field of this rule has one: each counts once, with its first problem."""
        if not any((fallback.rule, fallback.field) == (field.rule, field.name) for fallback in self.fallbacks):
            self.fallbacks.append(Fallback(field.rule, field.name, problem))

    def render_choice(self, field: _Field, choices: tuple[str, ...]) -> str:
        """Return the choice that the text names, in any case; for none, add a fallback and return the empty text."""
        text = self.render(field).strip()
        for choice in choices:
            if choice.casefold() == text.casefold():
                return choice
        self.add_fallback(field, f"{text[:80]!r} is not one of {', '.join(choices)}")
        return ""


class CompiledRules:
    """The merged effect of one combination of matching rules.

    Args:
        settings: the `mapping:` section.
        rules: the rules that matched, in their order; without any, only the defaults apply.
        timeouts: the `alarm_timeout` of each target, by the target's name.
        default_target: the target of an alert whose rules set none.

    Attributes:
        names: the names of the rules.
        rule: the name of the last rule, or `DEFAULTS_RULE`.
        drops: whether the rules drop the alert.
        target: the name of the target.
        timeout: milliseconds without a report after which AOM clears the alarm.
    """

    def __init__(
        self,
        settings: MappingSettings,
        rules: Sequence[RuleSettings],
        timeouts: Mapping[str, Millis],
        default_target: str,
    ) -> None:
        last_first = tuple(reversed(rules))
        self.names = tuple(rule.name for rule in rules)
        self.rule = self.names[-1] if rules else DEFAULTS_RULE
        self.drops = bool(rules) and rules[-1].drop
        self.target = next((rule.target for rule in last_first if rule.target), default_target)
        rule_timeout = next((rule.timeout for rule in last_first if rule.timeout is not None), None)
        self.timeout = timeouts[self.target] if rule_timeout is None else rule_timeout
        self._is_label = _chosen_labels(
            next((rule.labels for rule in last_first if rule.labels is not None), settings.labels)
        )
        self._text_fields = {name: _text_field(settings, last_first, name) for name in mandatory_text_fields()}
        self._severity = _severity(settings, last_first)
        self._event_type = _event_type(settings, last_first)
        self._extra_fields = [
            _Field(template, rule.name, name)
            for rule in rules
            for name, template in rule.set.items()
            if name not in aom.MANDATORY and name not in aom.BRIDGE_KEYS
        ]
        self._console_fields = [
            (name, _Field(template, DEFAULTS_RULE, f"annotations.{name}"))
            for name, template in settings.annotations.items()
        ]
        self._console_renders = [(name, field.template.render) for name, field in self._console_fields]
        self._annotations = [
            (name, _Field(template, rule.name, f"annotations.{name}"))
            for rule in rules
            for name, template in rule.annotations.items()
        ]

    def fixed_fields(self, rendering: Rendering) -> dict[str, str]:
        """Return the six mandatory fields, the bridge's own and those that rules set, most important first."""
        texts = self._text_fields
        fields = {
            "event_name": texts["event_name"](rendering),
            "event_severity": self._severity(rendering),
            "event_type": self._event_type(rendering),
            "resource_provider": texts["resource_provider"](rendering),
            "resource_type": texts["resource_type"](rendering),
            "resource_id": texts["resource_id"](rendering),
            aom.FINGERPRINT_KEY: rendering.alert.fingerprint,
            aom.SOURCE_KEY: rendering.source,
        }
        for field in self._extra_fields:
            fields[field.name] = rendering.render(field)
        return fields

    def labels(self, labels: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return the labels that go into the metadata, as pairs of name and value."""
        is_label = self._is_label
        if is_label is None:
            return list(labels.items())
        return [(name, value) for name, value in labels.items() if is_label(name)]

    def annotations(self, rendering: Rendering) -> dict[str, str]:
        """Return the configured annotations, then those of the rules, then the alert's own in name order."""
        texts = self._console_texts(rendering)
        for name, field in self._annotations:
            texts[name] = rendering.render(field)
        for name, text in sorted(rendering.alert.annotations.items()):
            if not texts.get(name) and (name not in LINKS or link(text)):
                texts[name] = text
        return texts

    def _console_texts(self, rendering: Rendering) -> dict[str, str]:
        """Return the configured annotations that are not empty."""
        scope = rendering.scope
        try:
            return {name: text for name, render in self._console_renders if (text := render(scope))}
        except Exception:  # noqa: BLE001 - a user's template can raise anything; `render` finds out which one
            return {name: text for name, field in self._console_fields if (text := rendering.render(field))}


_RenderField = Callable[[Rendering], str]
"""Renders one field of an event."""


def _chosen(rules: Sequence[RuleSettings], name: str) -> _Field | None:
    """Return the template of the first of these rules that sets the field; None if none does."""
    return next((_Field(rule.set[name], rule.name, name) for rule in rules if name in rule.set), None)


def _text_field(settings: MappingSettings, rules: Sequence[RuleSettings], name: str) -> _RenderField:
    default = _Field(getattr(settings.defaults, name), DEFAULTS_RULE, name)
    chosen = _chosen(rules, name)
    fields = (default,) if chosen is None else (chosen, default)

    def render(rendering: Rendering) -> str:
        for field in fields:
            text = rendering.render(field)
            if text and not text.isspace():
                return text
            rendering.add_fallback(field, "the value is empty")
        return _CONSTANTS.get(name, rendering.alert.fingerprint)

    return render


def _severity(settings: MappingSettings, rules: Sequence[RuleSettings]) -> _RenderField:
    by_table = _severity_by_table(settings.severity, DEFAULTS_RULE)
    for rule in rules:
        if isinstance(rule.severity, SeveritySettings):
            return _severity_by_table(rule.severity, rule.name)
        template = rule.severity or rule.set.get("event_severity")
        if template is not None:
            field = _Field(template, rule.name, "event_severity")
            return lambda rendering: rendering.render_choice(field, aom.SEVERITIES) or by_table(rendering)
    return by_table


def _event_type(settings: MappingSettings, rules: Sequence[RuleSettings]) -> _RenderField:
    chosen, default = _chosen(rules, "event_type"), settings.defaults.event_type
    if chosen is None:
        return lambda _draft: default
    return lambda rendering: rendering.render_choice(chosen, aom.EVENT_TYPES) or default


def _severity_by_table(settings: SeveritySettings, rule: str) -> _RenderField:
    """Return a function that looks the severity up; an unknown word counts as a fallback, a missing label does not."""
    severity_of, label, default = settings.table(), settings.label, settings.default

    def render(rendering: Rendering) -> str:
        word = rendering.alert.labels.get(label, "")
        severity = severity_of(word)
        if severity is None and word and not word.isspace():
            problem = f"{label}={word[:80]!r} is not in the table: {default}"
            rendering.fallbacks.append(Fallback(rule, "event_severity", problem, word[:80]))
        return severity or default

    return render


def _chosen_labels(labels: Labels) -> Callable[[str], bool] | None:
    """Return a test for the label names that go into the metadata; None if all of them do."""
    if labels == "all":
        return None
    if isinstance(labels, DropLabels):
        dropped = frozenset(labels.drop)
        return lambda name: name not in dropped
    chosen = frozenset() if labels == "none" else frozenset(labels)
    return chosen.__contains__
