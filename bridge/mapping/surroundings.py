"""What the mapping section needs of the rest of the configuration, without any secret of it; pure.

In: names and times of the targets, sources, heartbeats. Out: the `Mapper` of a mapping section, and what is wrong or
doubtful about a section with these targets. Not here: the sections themselves, which belong to other packages.
"""

from __future__ import annotations

import msgspec

from bridge.clock import Millis
from bridge.event import reassert_doubt
from bridge.mapping.mapper import Mapper
from bridge.mapping.settings import MappingSettings
from bridge.mapping.switches import Switch, Switches
from bridge.typed_yaml.problems import suggest
from bridge.typed_yaml.section import Problems

_UNKNOWN_GROUP_VALUES = ("common_labels", "common_annotations", "group_key", "external_url")
"""What templates may look at in a webhook's group, and Alertmanager's API does not tell."""


class TargetTimes(msgspec.Struct, frozen=True):
    """The times of a target on which rules depend: after which AOM clears an alarm, and a repeat is reported again."""

    alarm_timeout: Millis
    reassert_after: Millis


class Surroundings(msgspec.Struct, frozen=True):
    """The rest of the configuration, as far as rules depend on it.

    ``default_target``: of an alert whose rules set none. ``sources``: the first is that of alerts which come without
    one. ``heartbeats``: their alerts are not mapped. ``has_alertmanagers``: whether alerts are mapped, too, that only
    Alertmanager's API shows.
    """

    targets: dict[str, TargetTimes]
    default_target: str
    sources: tuple[str, ...]
    heartbeats: tuple[Switch, ...] = ()
    has_alertmanagers: bool = False

    def mapper(self, settings: MappingSettings) -> Mapper:
        """Return the mapper for a mapping section, in which `problems` finds nothing."""
        timeouts = {name: target.alarm_timeout for name, target in self.targets.items()}
        return Mapper(settings, timeouts, self.default_target, Switches(self.heartbeats))

    def problems(self, settings: MappingSettings) -> Problems:
        """Return the targets that do not exist: pairs of the key within the section and the sentence."""
        return [
            (
                f"rules[{index}].target",
                f"no target is called {rule.target!r}. Fix: {suggest(rule.target, self.targets)}",
            )
            for index, rule in enumerate(settings.rules)
            if rule.target is not None and rule.target not in self.targets
        ]

    def doubts(self, settings: MappingSettings) -> Problems:
        """Return what is valid and probably not intended: pairs of the key within the section and the sentence."""
        doubts = []
        for index, rule in enumerate(settings.rules):
            target = self.targets.get(rule.target or self.default_target)
            if rule.timeout is not None and target is not None and target.reassert_after * 2 > rule.timeout:
                doubts.append((f"rules[{index}].timeout", reassert_doubt(rule.timeout)))
        for key, name in settings.group_values_looked_at() if self.has_alertmanagers else ():
            if name in _UNKNOWN_GROUP_VALUES:
                text = f"Alertmanager's API does not tell group.{name}: an alert whose webhook was lost is mapped"
                doubts.append((key, f"{text} without it. Fix: labels, annotations or group.group_labels."))
        return doubts
