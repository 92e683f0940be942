"""Which alarms people search; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bridge.clock import Millis
from bridge.ledger.states import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmFilter:
    """Which alarms are searched, and in which order.

    Attributes:
        states: names of states, or of `STATE_GROUPS`; an alarm matches if one of them holds; empty for all.
        target: only those of this target.
        source: only those of this source.
        severity: only those of this severity.
        event_name: only those with exactly this event name.
        text: only those with this text in their event name or resource, whether in upper or lower case.
        labels: only those whose alert's labels pass this test.
        since: only those whose alert was taken in at this time or later.
        until: only those whose alert was taken in before this time.
        fingerprint: only those of the alert with this fingerprint.
        order: by when the bridge took the alert in; ``worst``: by severity, and of each the newest first.
        after: `AlarmPage.next` of the page before.
        limit: the maximum number of alarms of a page.
    """

    states: Sequence[str] = ()
    target: str | None = None
    source: str | None = None
    severity: str | None = None
    event_name: str | None = None
    text: str | None = None
    labels: Callable[[Mapping[str, str]], bool] | None = None
    since: Millis | None = None
    until: Millis | None = None
    fingerprint: str | None = None
    order: Order = "newest"
    after: str | None = None
    limit: int = 1_000
