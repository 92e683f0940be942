"""Map: an `Alert` to an `Event` by the rules of the configuration; pure.

In: the alert with its group and source. Out: a `MapResult`: the event with its target, the rules that matched, and
every field that fell back to its default. No alert can fail here: where a template fails, the default is used, so none
of the six mandatory fields is ever missing.
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
from bridge.mapping.switches import Switches
from bridge.mapping.template_scope import AlertScope
from bridge.notification import Alert, Group

_MAX_COMPILED = 1_024
"""Combinations of rules that are kept compiled."""


class MapResult(msgspec.Struct, frozen=True):
    """The event that one alert became, and which rules and fallbacks made it.

    ``names_left_out``: the labels, and the annotations as ``annotations.<name>``, left out to keep AOM's limits.
    """

    mapped: Mapped
    matched: tuple[str, ...]
    fallbacks: tuple[Fallback, ...] = ()
    names_left_out: tuple[str, ...] = ()

    @property
    def left_out(self) -> int:
        """How many labels and annotations were left out to keep AOM's limits."""
        return len(self.names_left_out)


class _Rule:
    """One rule, with its conditions as flat tuples."""

    def __init__(self, settings: RuleSettings) -> None:
        self.settings = settings
        self._labels = _flattened(settings.match)
        self._annotations = _flattened(settings.match_annotations)
        self._group = _flattened(settings.match_group)

    def holds(self, alert: Alert, group: Group) -> bool:
        """Return whether all conditions of the rule hold."""
        for matcher in self._labels:
            if not matcher.matches(alert.labels):
                return False
        if not self._annotations and not self._group:
            return True
        return self.failing(alert, group) is None

    def failing(self, alert: Alert, group: Group) -> str | None:
        """Return the first matcher that does not hold, with the kind of value that it looks at if not labels."""
        group_values = {**group.group_labels, "receiver": group.receiver}
        conditions = (("", self._labels, alert.labels), ("annotation ", self._annotations, alert.annotations))
        for kind, matchers, values in (*conditions, ("group ", self._group, group_values)):
            for matcher in matchers:
                if not matcher.matches(values):
                    return kind + matcher.text
        return None


class Mapper:
    """Applies the rules.

    Args:
        settings: the `mapping:` section.
        timeouts: the `alarm_timeout` of each target, by the target's name.
        default_target: the target of an alert whose rules set none.
        switches: the heartbeats, whose alerts are not mapped.
    """

    def __init__(
        self,
        settings: MappingSettings,
        timeouts: Mapping[str, Millis],
        default_target: str,
        switches: Switches | None = None,
    ) -> None:
        self.switches = Switches() if switches is None else switches
        self._arguments = settings, timeouts, default_target, self.switches
        self._vars = settings.vars
        self._labels_looked_at = settings.labels_looked_at()
        self._rules = [_Rule(rule) for rule in settings.rules]
        self._compiled_rules = lru_cache(maxsize=_MAX_COMPILED)(
            lambda matched: CompiledRules(settings, [rule.settings for rule in matched], timeouts, default_target)
        )

    def __reduce__(self) -> tuple[type[Mapper], tuple[MappingSettings, Mapping[str, Millis], str, Switches]]:
        """Pickle the arguments only; the other process compiles the rules again."""
        return Mapper, self._arguments

    def map(self, source: str, alert: Alert, group: Group) -> MapResult:
        """Map one alert; never raises."""
        rules = self._compiled_rules(self._match(alert, group))
        if rules.drops:
            return MapResult(mapped=Mapped(event=None, target=rules.target, rule=rules.rule), matched=rules.names)
        rendering = Rendering(source, alert, AlertScope(source, alert, group, self._vars), [])
        preferred = (group.group_labels, self._labels_looked_at)
        metadata, labels_out = aom.build_metadata(rules.fixed_fields(rendering), rules.labels(alert.labels), preferred)
        annotations, annotations_out = aom.build_annotations(rules.annotations(rendering))
        event = Event(metadata=metadata, annotations=annotations, timeout=rules.timeout)
        return MapResult(
            mapped=Mapped(event=event, target=rules.target, rule=rules.rule),
            matched=rules.names,
            fallbacks=tuple(rendering.fallbacks),
            names_left_out=_names(labels_out, annotations_out) if labels_out or annotations_out else (),
        )

    def variables(self, source: str, alert: Alert, group: Group) -> dict[str, str]:
        """Return the values of `mapping.vars` for an alert, for people; where one fails, its problem."""
        scope = AlertScope(source, alert, group, self._vars)
        return {name: scope["vars"].describe(name) for name in self._vars}

    def explain(self, alert: Alert, group: Group) -> list[tuple[str, str | None]]:
        """Return the rules that were tried, in order: the name, and the first matcher that does not hold or None."""
        tried: list[tuple[str, str | None]] = []
        for rule in self._rules:
            failing = rule.failing(alert, group)
            tried.append((rule.settings.name, failing))
            if failing is None and not rule.settings.continues:
                break
        return tried

    def _match(self, alert: Alert, group: Group) -> tuple[_Rule, ...]:
        matched = []
        for rule in self._rules:
            if rule.holds(alert, group):
                matched.append(rule)
                if not rule.settings.continues:
                    break
        return tuple(matched)


def _names(labels: Sequence[str], annotations: Sequence[str]) -> tuple[str, ...]:
    return (*labels, *(f"annotations.{name}" for name in annotations))


def _flattened(conditions: Sequence[Matchers]) -> tuple[Matcher, ...]:
    return tuple(matcher for matchers in conditions for matcher in matchers.each)
