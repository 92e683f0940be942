"""Map: an `Alert` to an `Event` by the rules of the configuration; pure.

In: the alert with its group and source. Out: a `MapResult`: the event with its target, the rules that matched, and
every field that had to fall back. No alert can fail here: what a template cannot give, a default does, so the mandatory
six are never missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

from bridge import event as aom
from bridge.clock import Millis
from bridge.event import Event, Mapped
from bridge.mapping.compiled_rules import CompiledRules, Fallback, Rendering
from bridge.mapping.matcher import Matcher, Matchers
from bridge.mapping.settings import MappingSettings, RuleSettings
from bridge.mapping.template_scope import AlertScope
from bridge.notification import Alert, Group

_MAX_COMPILED = 1_024


class MapResult(msgspec.Struct, frozen=True):
    """What one alert became, and how.

    ``names_left_out``: the labels, and the annotations as ``annotations.<name>``, without a place within AOM's limits.
    """

    mapped: Mapped
    matched: tuple[str, ...]
    fallbacks: tuple[Fallback, ...] = ()
    names_left_out: tuple[str, ...] = ()

    @property
    def left_out(self) -> int:
        """How many labels and annotations found no place."""
        return len(self.names_left_out)


class _Rule:
    """One rule with its conditions at hand."""

    def __init__(self, settings: RuleSettings) -> None:
        self.settings = settings
        self._labels = _flat(settings.match)
        self._annotations = _flat(settings.match_annotations)
        self._group = _flat(settings.match_group)

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


class Mapper:
    """Applies the rules.

    Args:
        settings: the `mapping:` section.
        timeouts: for each target's name, after how long AOM clears an alarm by itself.
        default_target: where alerts go that no rule sends elsewhere.
    """

    def __init__(self, settings: MappingSettings, timeouts: Mapping[str, Millis], default_target: str) -> None:
        self._arguments = settings, timeouts, default_target
        self._vars = settings.vars
        self._looked_at = settings.labels_looked_at()
        self._rules = [_Rule(rule) for rule in settings.rules]
        self._plan = lru_cache(maxsize=_MAX_COMPILED)(
            lambda matched: CompiledRules(settings, [rule.settings for rule in matched], timeouts, default_target)
        )

    def __reduce__(self) -> tuple[type[Mapper], tuple[MappingSettings, Mapping[str, Millis], str]]:
        """Say how another process makes it again."""
        return Mapper, self._arguments

    def map(self, source: str, alert: Alert, group: Group) -> MapResult:
        """Return what this alert becomes; never raises."""
        plan = self._plan(self._match(alert, group))
        if plan.drops:
            return MapResult(mapped=Mapped(event=None, target=plan.target, rule=plan.rule), matched=plan.names)
        draft = Rendering(source, alert, AlertScope(source, alert, group, self._vars), [])
        first = (group.group_labels, self._looked_at)
        metadata, labels_out = aom.build_metadata(plan.fixed(draft), plan.labels(alert.labels), first)
        annotations, annotations_out = aom.build_annotations(plan.annotations(draft))
        event = Event(metadata=metadata, annotations=annotations, timeout=plan.timeout)
        return MapResult(
            mapped=Mapped(event=event, target=plan.target, rule=plan.rule),
            matched=plan.names,
            fallbacks=tuple(draft.fallbacks),
            names_left_out=_names(labels_out, annotations_out) if labels_out or annotations_out else (),
        )

    def variables(self, source: str, alert: Alert, group: Group) -> dict[str, str]:
        """Return what `mapping.vars` are for an alert; one that breaks says so."""
        scope = AlertScope(source, alert, group, self._vars)
        return {name: scope["vars"].told(name) for name in self._vars}

    def explain(self, alert: Alert, group: Group) -> list[tuple[str, str | None]]:
        """Return the rules that were tried, in order: each name with its first matcher that does not hold, or None."""
        tried: list[tuple[str, str | None]] = []
        for rule in self._rules:
            failing = rule.failing(alert, group)
            tried.append((rule.settings.name, failing))
            if failing is None and not rule.settings.go_on:
                break
        return tried

    def _match(self, alert: Alert, group: Group) -> tuple[_Rule, ...]:
        matched = []
        for rule in self._rules:
            if rule.holds(alert, group):
                matched.append(rule)
                if not rule.settings.go_on:
                    break
        return tuple(matched)


def _names(labels: Sequence[str], annotations: Sequence[str]) -> tuple[str, ...]:
    return (*labels, *(f"annotations.{name}" for name in annotations))


def _flat(texts: Sequence[Matchers]) -> tuple[Matcher, ...]:
    return tuple(matcher for matchers in texts for matcher in matchers.each)
