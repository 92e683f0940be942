"""Map: an `Alert` to an `Event` by the rules of the configuration; pure.

In: the alert with its group and source. Out: a `MapResult`: the event with its target, the rules that matched, and
every field that had to fall back. No alert can fail here: a template that breaks or ends empty gives way to the
default of that one field, and the default to a constant, so the mandatory six are never missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from bridge import event as aom
from bridge.clock import Millis, format_rfc3339
from bridge.event import Event, Mapped
from bridge.mapping.filters import LONGEST, link
from bridge.mapping.matcher import Matcher, Matchers
from bridge.mapping.settings import (
    DEFAULTS_RULE,
    LINKS,
    DropLabels,
    Labels,
    MappingSettings,
    RuleSettings,
    SeveritySettings,
    mandatory_text_fields,
)
from bridge.mapping.template import Scope, Template
from bridge.notification import Alert, Group

_MOST_SEEN = 200
"""Labels or annotations that templates see where they are very long together."""

_LAST_RESORT = {"event_name": "unnamed", "resource_provider": "Prometheus", "resource_type": "alert"}


class Fallback(msgspec.Struct, frozen=True):
    """A field whose own template gave nothing usable, and why."""

    rule: str
    field: str
    problem: str


class MapResult(msgspec.Struct, frozen=True):
    """What one alert became, and how.

    ``left_out`` counts the labels and annotations that found no place within AOM's limits.
    """

    mapped: Mapped
    matched: tuple[str, ...]
    fallbacks: tuple[Fallback, ...] = ()
    left_out: int = 0


class _Rule:
    """One rule with its conditions at hand."""

    def __init__(self, settings: RuleSettings) -> None:
        self.settings = settings
        self._labels = _flat(settings.match)
        self._annotations = _flat(settings.match_annotations)
        self._group = _flat(settings.match_group)
        table = settings.severity
        self.severity_of = _table(table) if isinstance(table, SeveritySettings) else None
        self.is_label = None if settings.labels is None else _chosen_labels(settings.labels)

    def holds(self, alert: Alert, group: Group) -> bool:
        """Say whether the rule matches."""
        for matcher in self._labels:
            if not matcher.matches(alert.labels):
                return False
        if not self._annotations and not self._group:
            return True
        return self.failing(alert, group) is None

    def failing(self, alert: Alert, group: Group) -> str | None:
        """Return the first matcher that does not hold, with what it looks at where that is not the labels."""
        of_group = {**group.group_labels, "receiver": group.receiver}
        looks = (("", self._labels, alert.labels), ("annotation ", self._annotations, alert.annotations))
        for what, matchers, values in (*looks, ("group ", self._group, of_group)):
            for matcher in matchers:
                if not matcher.matches(values):
                    return what + matcher.text
        return None


class _Draft(msgspec.Struct):
    """One alert on its way to one event."""

    source: str
    alert: Alert
    scope: Scope
    matched: list[_Rule]
    fallbacks: list[Fallback]

    def render(self, template: Template, rule: str, field: str) -> str:
        """Return the template's text; empty, with a fallback noted, when it breaks."""
        try:
            return template.render(self.scope)
        except Exception as error:  # noqa: BLE001 - a user's template can raise anything, and must never block
            self.fell_back(rule, field, f"{type(error).__name__}: {error}")
            return ""

    def fell_back(self, rule: str, field: str, problem: str) -> None:
        """Note a fallback; the first problem of a rule's field says why, so it counts once."""
        if not any((noted.rule, noted.field) == (rule, field) for noted in self.fallbacks):
            self.fallbacks.append(Fallback(rule, field, problem))

    def one_of(self, template: Template, rule: str, field: str, choices: tuple[str, ...]) -> str:
        """Return the choice that the template's text names, whatever its case; empty, with a fallback, for none."""
        text = self.render(template, rule, field).strip()
        for choice in choices:
            if choice.casefold() == text.casefold():
                return choice
        self.fell_back(rule, field, f"{text[:80]!r} is not one of {', '.join(choices)}")
        return ""

    def chosen(self, field: str) -> tuple[Template, str] | None:
        """Return what the last matching rule sets this field to, with that rule's name."""
        for rule in reversed(self.matched):
            if field in rule.settings.set:
                return rule.settings.set[field], rule.settings.name
        return None


class Mapper:
    """Applies the rules.

    Args:
        settings: the `mapping:` section.
        timeouts: for each target's name, after how long AOM clears an alarm by itself.
        default_target: where alerts go that no rule sends elsewhere.
    """

    def __init__(self, settings: MappingSettings, timeouts: Mapping[str, Millis], default_target: str) -> None:
        self._settings = settings
        self._timeouts = timeouts
        self._default_target = default_target
        self._rules = [_Rule(rule) for rule in settings.rules]
        self._severity_of = _table(settings.severity)
        self._is_label = _chosen_labels(settings.labels)
        self._annotation_templates = [
            (name, f"annotations.{name}", template) for name, template in settings.annotations.items()
        ]
        self._defaults = {name: getattr(settings.defaults, name) for name in mandatory_text_fields()}

    def map(self, source: str, alert: Alert, group: Group) -> MapResult:
        """Return what this alert becomes; never raises."""
        matched = self._match(alert, group)
        names = tuple([rule.settings.name for rule in matched])
        target = next(
            (rule.settings.target for rule in reversed(matched) if rule.settings.target), self._default_target
        )
        rule = names[-1] if names else DEFAULTS_RULE
        if matched and matched[-1].settings.drop:
            return MapResult(mapped=Mapped(event=None, target=target, rule=rule), matched=names)
        draft = _Draft(source, alert, scope(source, alert, group), matched, [])
        metadata, labels_out = aom.build_metadata(self._fixed(draft), self._metadata_labels(draft))
        annotations, annotations_out = aom.build_annotations(self._annotations(draft))
        event = Event(metadata=metadata, annotations=annotations, timeout=self._timeout(matched, target))
        return MapResult(
            mapped=Mapped(event=event, target=target, rule=rule),
            matched=names,
            fallbacks=tuple(draft.fallbacks),
            left_out=labels_out + annotations_out,
        )

    def explain(self, alert: Alert, group: Group) -> list[tuple[str, str | None]]:
        """Return the rules that were tried, in order: each name with its first matcher that does not hold, or None."""
        tried: list[tuple[str, str | None]] = []
        for rule in self._rules:
            failing = rule.failing(alert, group)
            tried.append((rule.settings.name, failing))
            if failing is None and not rule.settings.go_on:
                break
        return tried

    def _match(self, alert: Alert, group: Group) -> list[_Rule]:
        matched = []
        for rule in self._rules:
            if rule.holds(alert, group):
                matched.append(rule)
                if not rule.settings.go_on:
                    break
        return matched

    def _timeout(self, matched: list[_Rule], target: str) -> Millis:
        own = next((rule.settings.timeout for rule in reversed(matched) if rule.settings.timeout is not None), None)
        return self._timeouts[target] if own is None else own

    def _fixed(self, draft: _Draft) -> dict[str, str]:
        """Return the mandatory six, ours, and what the rules set, in that order: the order in which room is given."""
        fields = {
            "event_name": self._text(draft, "event_name"),
            "event_severity": self._severity(draft),
            "event_type": self._event_type(draft),
            "resource_provider": self._text(draft, "resource_provider"),
            "resource_type": self._text(draft, "resource_type"),
            "resource_id": self._text(draft, "resource_id"),
            aom.FINGERPRINT_KEY: draft.alert.fingerprint,
            aom.SOURCE_KEY: draft.source,
        }
        for rule in draft.matched:
            for field, template in rule.settings.set.items():
                if field not in aom.MANDATORY and field not in aom.OURS:
                    fields[field] = draft.render(template, rule.settings.name, field)
        return fields

    def _text(self, draft: _Draft, field: str) -> str:
        chosen = draft.chosen(field)
        if chosen:
            text = draft.render(chosen[0], chosen[1], field)
            if text and not text.isspace():
                return text
            draft.fell_back(chosen[1], field, "the value is empty")
        text = draft.render(self._defaults[field], DEFAULTS_RULE, field)
        if text and not text.isspace():
            return text
        draft.fell_back(DEFAULTS_RULE, field, "the value is empty")
        return _LAST_RESORT.get(field, draft.alert.fingerprint)

    def _severity(self, draft: _Draft) -> str:
        labels = draft.alert.labels
        for rule in reversed(draft.matched):
            if rule.severity_of is not None:
                return rule.severity_of(labels)
            own = rule.settings.severity
            template = own if isinstance(own, Template) else rule.settings.set.get("event_severity")
            if template is not None:
                name = rule.settings.name
                return draft.one_of(template, name, "event_severity", aom.SEVERITIES) or self._severity_of(labels)
        return self._severity_of(labels)

    def _event_type(self, draft: _Draft) -> str:
        chosen, default = draft.chosen("event_type"), self._settings.defaults.event_type
        return (draft.one_of(*chosen, "event_type", aom.EVENT_TYPES) if chosen else "") or default

    def _metadata_labels(self, draft: _Draft) -> list[tuple[str, str]]:
        is_label = self._is_label
        for rule in draft.matched:
            is_label = rule.is_label or is_label
        labels = draft.alert.labels
        return [(name, value) for name, value in labels.items() if is_label(name)]

    def _annotations(self, draft: _Draft) -> dict[str, str]:
        """Return the configured annotations, the rules' and then the alert's own in name order."""
        texts = {}
        for name, field, template in self._annotation_templates:
            text = draft.render(template, DEFAULTS_RULE, field)
            if text:
                texts[name] = text
        for rule in draft.matched:
            for name, template in rule.settings.annotations.items():
                texts[name] = draft.render(template, rule.settings.name, f"annotations.{name}")
        for name, text in sorted(draft.alert.annotations.items()):
            if not texts.get(name) and (name not in LINKS or link(text)):
                texts[name] = text
        return texts


def scope(source: str, alert: Alert, group: Group) -> dict[str, Any]:
    """Return the names that templates see; times are RFC 3339 texts in UTC."""
    return {
        "source": source,
        "labels": _seen(alert.labels),
        "annotations": _seen(alert.annotations),
        "alert": {
            "status": alert.status,
            "fingerprint": alert.fingerprint,
            "generator_url": alert.generator_url[:LONGEST],
            "starts_at": format_rfc3339(alert.starts_at),
            "ends_at": "" if alert.ends_at is None else format_rfc3339(alert.ends_at),
        },
        "group": {
            "receiver": group.receiver[:LONGEST],
            "group_key": group.group_key[:LONGEST],
            "group_labels": _seen(group.group_labels),
            "common_labels": _seen(group.common_labels),
            "common_annotations": _seen(group.common_annotations),
            "external_url": group.external_url[:LONGEST],
        },
    }


def _flat(texts: Sequence[Matchers]) -> tuple[Matcher, ...]:
    return tuple(matcher for matchers in texts for matcher in matchers.each)


def _table(settings: SeveritySettings) -> Callable[[Mapping[str, str]], str]:
    """Return what a severity table makes of labels."""
    severities = {value.casefold(): severity for value, severity in settings.map.items()}
    return lambda labels: severities.get(labels.get(settings.label, "").casefold(), settings.default)


def _chosen_labels(labels: Labels) -> Callable[[str], bool]:
    """Return which label names go into the metadata."""
    if labels == "all":
        return lambda _name: True
    if isinstance(labels, DropLabels):
        dropped = frozenset(labels.drop)
        return lambda name: name not in dropped
    kept = frozenset() if labels == "none" else frozenset(labels)
    return kept.__contains__


def _seen(values: Mapping[str, str]) -> Mapping[str, str]:
    """Return what templates see: AOM takes less of a value, and no template can make more of it than there is."""
    if sum(map(len, values.values())) <= LONGEST:
        return values
    few = list(values.items())[:_MOST_SEEN]
    return {name[:LONGEST]: value[:LONGEST] for name, value in few}
