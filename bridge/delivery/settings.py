"""The settings of the `delivery:` section."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.clock import MINUTE, SECOND
from bridge.typed_yaml.scalars import DurationField
from bridge.typed_yaml.section import Problems


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySettings:
    """The `delivery:` section: how alarms are batched and tried again."""

    batch_size: int = 100
    batch_wait: DurationField = 200
    max_in_flight: int = 4
    retry_min: DurationField = SECOND
    retry_max: DurationField = 5 * MINUTE
    shutdown_timeout: DurationField = 8 * SECOND

    def problems(self) -> Problems:
        """Return what is wrong with the section: pairs of the key and the sentence."""
        found = []
        if not 1 <= self.batch_size <= 1_000:
            found.append(("batch_size", "it must be 1 to 1000. Fix: such as 100."))
        if not 1 <= self.max_in_flight <= 100:
            found.append(("max_in_flight", "it must be 1 to 100. Fix: such as 4."))
        if not 1 <= self.retry_min <= self.retry_max:
            found.append(("retry_min", "it must be above 0 and at most retry_max. Fix: such as 1s."))
        return found
