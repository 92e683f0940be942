"""Plan: what the rules that match an alert say together, worked out once for each combination of them; pure.

In: the settings of the rules that matched, then a `Rendering` for each alert. Out: the parts of its event as text of
any shape, which `bridge.event` brings within AOM's limits. A template that breaks or ends empty gives way to the
default of that one field, and the default to a constant.
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

_LAST_RESORT = {"event_name": "unnamed", "resource_provider": "Prometheus", "resource_type": "alert"}


class Fallback(msgspec.Struct, frozen=True):
    """A field whose own template gave nothing usable, or a severity that its table does not hold, and why.

    ``word``: that severity, as far as a log needs it; empty for a template.
    """

    rule: str
    field: str
    problem: str
    word: str = ""


class _Field(msgspec.Struct, frozen=True):
    """A template, with the rule and the field that it stands for."""

    template: Template
    rule: str
    name: str


class Rendering(msgspec.Struct):
    """One alert on its way to one event."""

    source: str
    alert: Alert
    scope: Scope
    fallbacks: list[Fallback]

    def render(self, field: _Field) -> str:
        """Return the template's text; empty, with a fallback noted, when it breaks."""
        try:
            return field.template.render(self.scope)
        except Exception as error:  # noqa: BLE001 - a user's template can raise anything, and must never block
            self.fell_back(field, f"{type(error).__name__}: {error}")
            return ""

    def fell_back(self, field: _Field, problem: str) -> None:
        """Note a fallback; the first problem of a rule's field says why, so it counts once."""
        if not any((noted.rule, noted.field) == (field.rule, field.name) for noted in self.fallbacks):
            self.fallbacks.append(Fallback(field.rule, field.name, problem))

    def one_of(self, field: _Field, choices: tuple[str, ...]) -> str:
        """Return the choice that the template's text names, whatever its case; empty, with a fallback, for none."""
        text = self.render(field).strip()
        for choice in choices:
            if choice.casefold() == text.casefold():
                return choice
        self.fell_back(field, f"{text[:80]!r} is not one of {', '.join(choices)}")
        return ""


class CompiledRules:
    """What one combination of rules does.

    Args:
        settings: the `mapping:` section.
        rules: those that matched, in their order; none: the defaults alone.
        timeouts: for each target's name, after how long AOM clears an alarm by itself.
        default_target: where alerts go that no rule sends elsewhere.

    Attributes:
        names: of the rules.
        rule: the name of the last one, or that of the defaults.
        drops: whether the alert is dropped.
        target: where it goes.
        timeout: after how long AOM clears the alarm by itself.
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
        own = next((rule.timeout for rule in last_first if rule.timeout is not None), None)
        self.timeout = timeouts[self.target] if own is None else own
        self._is_label = _chosen_labels(
            next((rule.labels for rule in last_first if rule.labels is not None), settings.labels)
        )
        self._texts = {name: _text(settings, last_first, name) for name in mandatory_text_fields()}
        self._severity = _severity(settings, last_first)
        self._event_type = _event_type(settings, last_first)
        self._more = [
            _Field(template, rule.name, name)
            for rule in rules
            for name, template in rule.set.items()
            if name not in aom.MANDATORY and name not in aom.OURS
        ]
        self._console = [
            (name, _Field(template, DEFAULTS_RULE, f"annotations.{name}"))
            for name, template in settings.annotations.items()
        ]
        self._console_renders = [(name, field.template.render) for name, field in self._console]
        self._annotations = [
            (name, _Field(template, rule.name, f"annotations.{name}"))
            for rule in rules
            for name, template in rule.annotations.items()
        ]

    def fixed(self, draft: Rendering) -> dict[str, str]:
        """Return the mandatory six, ours, and what the rules set, in that order: the order in which room is given."""
        texts = self._texts
        fields = {
            "event_name": texts["event_name"](draft),
            "event_severity": self._severity(draft),
            "event_type": self._event_type(draft),
            "resource_provider": texts["resource_provider"](draft),
            "resource_type": texts["resource_type"](draft),
            "resource_id": texts["resource_id"](draft),
            aom.FINGERPRINT_KEY: draft.alert.fingerprint,
            aom.SOURCE_KEY: draft.source,
        }
        for field in self._more:
            fields[field.name] = draft.render(field)
        return fields

    def labels(self, labels: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return those that go into the metadata."""
        is_label = self._is_label
        if is_label is None:
            return list(labels.items())
        return [(name, value) for name, value in labels.items() if is_label(name)]

    def annotations(self, draft: Rendering) -> dict[str, str]:
        """Return the configured annotations, the rules' and then the alert's own in name order."""
        texts = self._console_texts(draft)
        for name, field in self._annotations:
            texts[name] = draft.render(field)
        for name, text in sorted(draft.alert.annotations.items()):
            if not texts.get(name) and (name not in LINKS or link(text)):
                texts[name] = text
        return texts

    def _console_texts(self, draft: Rendering) -> dict[str, str]:
        """Return those of the configured annotations that are not empty."""
        scope = draft.scope
        try:
            return {name: text for name, render in self._console_renders if (text := render(scope))}
        except Exception:  # noqa: BLE001 - as in `Draft.render`, which tells them apart
            return {name: text for name, field in self._console if (text := draft.render(field))}


_Part = Callable[[Rendering], str]


def _chosen(rules: Sequence[RuleSettings], name: str) -> _Field | None:
    """Return what the first of these rules that sets a field sets it to."""
    return next((_Field(rule.set[name], rule.name, name) for rule in rules if name in rule.set), None)


def _text(settings: MappingSettings, rules: Sequence[RuleSettings], name: str) -> _Part:
    default = _Field(getattr(settings.defaults, name), DEFAULTS_RULE, name)
    chosen = _chosen(rules, name)
    fields = (default,) if chosen is None else (chosen, default)

    def part(draft: Rendering) -> str:
        for field in fields:
            text = draft.render(field)
            if text and not text.isspace():
                return text
            draft.fell_back(field, "the value is empty")
        return _LAST_RESORT.get(name, draft.alert.fingerprint)

    return part


def _severity(settings: MappingSettings, rules: Sequence[RuleSettings]) -> _Part:
    by_word = _table(settings.severity, DEFAULTS_RULE)
    for rule in rules:
        if isinstance(rule.severity, SeveritySettings):
            return _table(rule.severity, rule.name)
        template = rule.severity or rule.set.get("event_severity")
        if template is not None:
            field = _Field(template, rule.name, "event_severity")
            return lambda draft: draft.one_of(field, aom.SEVERITIES) or by_word(draft)
    return by_word


def _event_type(settings: MappingSettings, rules: Sequence[RuleSettings]) -> _Part:
    chosen, default = _chosen(rules, "event_type"), settings.defaults.event_type
    if chosen is None:
        return lambda _draft: default
    return lambda draft: draft.one_of(chosen, aom.EVENT_TYPES) or default


def _table(settings: SeveritySettings, rule: str) -> _Part:
    """Return what a severity table makes of an alert; a word that it does not hold is a fallback, no word is none."""
    severity_of, label, default = settings.table(), settings.label, settings.default

    def part(draft: Rendering) -> str:
        word = draft.alert.labels.get(label, "")
        severity = severity_of(word)
        if severity is None and word and not word.isspace():
            problem = f"{label}={word[:80]!r} is not in the table: {default}"
            draft.fallbacks.append(Fallback(rule, "event_severity", problem, word[:80]))
        return severity or default

    return part


def _chosen_labels(labels: Labels) -> Callable[[str], bool] | None:
    """Return which label names go into the metadata; None for all."""
    if labels == "all":
        return None
    if isinstance(labels, DropLabels):
        dropped = frozenset(labels.drop)
        return lambda name: name not in dropped
    kept = frozenset() if labels == "none" else frozenset(labels)
    return kept.__contains__
