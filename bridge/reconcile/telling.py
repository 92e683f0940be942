"""Tells what the rounds of one source show: as metrics, and in the log once for each fact.

In: the comparison of each round. Out: counters, gauges and log lines. Nothing is decided here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from bridge.log import logger
from bridge.metrics import Metrics
from bridge.reconcile.comparison import Comparison
from bridge.reconcile.notices import NOTICE_KINDS, Notice

OUTCOMES_OF_ROUNDS = ("complete", "incomplete", "failed")

_MAX_NAMED = 10
"""Alerts that one log line names."""

_log = logger("reconcile")


class Telling:
    """Tells what the rounds of one source show.

    Args:
        source: its name.
        metrics: where it is counted.
    """

    def __init__(self, source: str, metrics: Metrics) -> None:
        self._source = source
        self._metrics = metrics
        self._noticed: frozenset[tuple[str, str]] = frozenset()
        self._told: dict[tuple[str, str], str] = {}

    def round(self, comparison: Comparison) -> None:
        """Tell the outcome of a round, how much differs, and what an operator should know."""
        is_complete = comparison.memory.coverage.since is not None
        outcome = "complete" if is_complete else "incomplete" if comparison.latest.answers else "failed"
        self._metrics.rounds.labels(self._source, outcome).inc()
        self._metrics.covered.labels(self._source).set(is_complete)
        due = Counter(one.kind for one in comparison.ended if one.is_due(comparison.latest.ended_at))
        for kind in ("vanished", "unrouted", "silenced"):
            self._metrics.differences.labels(self._source, kind).set(due[kind])
        self._tell(comparison.notices, all_answered=not comparison.latest.failures)

    def expired(self, fingerprints: Sequence[str]) -> None:
        """Tell the alerts that Alertmanager has resolved because their sender no longer posts them."""
        if fingerprints:
            self._metrics.expired_alerts.labels(self._source).inc(len(fingerprints))
            text = "alerts expired: their sender no longer posts them; it has not told that they resolved"
            _log.warning(text, source=self._source, alerts=len(fingerprints), fingerprints=fingerprints[:_MAX_NAMED])

    def _tell(self, notices: Mapping[tuple[str, str], Notice], *, all_answered: bool) -> None:
        """Say each notice once when two rounds have shown it, and when it is over; a single round may be bad luck.

        A round in which a peer did not answer does not say that anything is over.
        """
        for key, notice in notices.items():
            if key in self._noticed and key not in self._told:
                self._told[key] = notice.text
                _log.warning(notice.text, source=self._source, kind=notice.kind, subject=notice.subject)
        for kind, subject in self._told.keys() - notices.keys() if all_answered else ():
            text = f"this is no longer true: {self._told.pop((kind, subject))}"
            _log.info(text, source=self._source, kind=kind, subject=subject)
        self._noticed = frozenset(notices)
        counts = Counter(kind for kind, _ in notices.keys() | self._told.keys())
        for kind in NOTICE_KINDS:
            self._metrics.notices.labels(self._source, kind).set(counts[kind])
