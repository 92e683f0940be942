"""The settings of the `delivery:` section."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.clock import MINUTE, SECOND
from bridge.typed_yaml.scalars import DurationField
from bridge.typed_yaml.section import Problems


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySettings:
    """The `delivery:` section: how alarms are batched and tried again.

    Attributes:
        batch_size: alarms in one request at most, 1 to 1000. Lower it if AOM refuses large requests.
        batch_wait: how long an alarm waits at most for others that share its request, while alarms keep coming; an idle
            bridge sends at once.
        max_in_flight: requests at the same time for one target and one action (report or clear), 1 to 100. Raise it
            where AOM answers slowly and storms drain too slowly.
        retry_min: the shortest wait before an alarm that AOM did not accept is tried again; the wait doubles each time,
            with jitter.
        retry_max: the longest wait between two tries. It is also how long after the end of an outage the first try may
            come.
        shutdown_timeout: how long requests to AOM may take at a stop before they are cancelled and due again. Keep it
            below the time after which the process is killed (Kubernetes: `terminationGracePeriodSeconds`).
    """

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
