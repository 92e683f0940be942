"""The `canary:` section of the configuration file."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.clock import SECOND, Millis
from bridge.typed_yaml.scalars import DurationField
from bridge.typed_yaml.section import Problems

_MIN_INTERVAL: Millis = SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class CanarySettings:
    """The `canary:` section: how often the alarm is sent.

    Attributes:
        interval: how often the alarm `AomBridgeCanary` of severity Info is sent through the whole chain; 0s: never.
            Exclude it from AOM's alarm action rules first.
    """

    interval: DurationField = 0

    def problems(self) -> Problems:
        """Return what is wrong with the section: pairs of the key and the sentence."""
        if 0 < self.interval < _MIN_INTERVAL:
            return [("interval", "it must be at least 1s. Fix: a longer duration such as 1h, or 0s for never.")]
        return []
