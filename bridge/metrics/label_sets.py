"""The closed sets of words that labels of metrics take.

In: words of the packages that define them, which the app hands in. Out: one value for `Metrics`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSets:
    """The closed sets of words that labels take."""

    codes: Sequence[str]
    """HTTP status codes of responses to webhooks."""

    effects: Mapping[str, Sequence[str]]
    """What the ledger does with an alert, by the alert's status."""

    states: Sequence[str]
    """States of an alarm."""

    actions: Sequence[str]
    """What is sent to AOM: report and clear."""

    severities: Sequence[str]
    """AOM's severities."""

    outcomes: Sequence[str]
    """Outcomes of a request to AOM."""

    rejections: Sequence[str]
    """Outcomes with which AOM rejects an alarm permanently."""

    refusals: Sequence[str]
    """Reasons for which a request is refused before a handler sees it."""

    round_outcomes: Sequence[str]
    """Outcomes of a round in which the peers of a source are asked."""

    differences: Sequence[str]
    """Kinds of differences between the ledger and Alertmanager."""

    reconciliations: Sequence[str]
    """Causes for which an alarm is ended or raised by what Alertmanager shows."""

    audit_differences: Sequence[str]
    """Kinds of differences between the ledger and AOM's list."""

    audit_changes: Sequence[str]
    """Kinds of differences from AOM's list of which something follows."""

    audit_outcomes: Sequence[str]
    """Outcomes of an audit."""

    target_checks: Sequence[str]
    """What is tried at a target."""

    notices: Sequence[str]
    """Kinds of notices about a source's Alertmanager."""

    braked: Sequence[str]
    """What the brake holds back: clears and raises."""

    heartbeat_states: Sequence[str]
    """States of a heartbeat's switch."""
