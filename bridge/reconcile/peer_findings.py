"""Looks through the configurations of a round's peers for what loses alerts, each only when it has changed; pure.

In: what each peer's configuration says, and what was found in it before. Out: the findings of each peer. What counts as
a finding is decided by `bridge.reconcile.lint`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from bridge.reconcile.coverage import Round
from bridge.reconcile.lint import Finding, Question, findings
from bridge.reconcile.routing import Routing

Found = Mapping[tuple[str, Question], list[Finding]]
"""What was found in a configuration, by its text and what it was asked."""


Routings = Mapping[str, tuple[str, Routing | None]]
"""The text of each peer's configuration and what it says, by the peer's address."""


def number_of_peers(latest: Round, routings: Routings) -> int:
    """Return the number of Alertmanagers of the cluster, those that are not asked or do not answer included."""
    named = (len(answer.status.peers) for answer in latest.answers if answer.status is not None)
    return max(len(_addresses(latest, routings)), *named, 1)


def find(known: Found, routings: Routings, question: Question) -> Found:
    """Return what is found in each configuration.

    Args:
        known: what was found before; only what is new, or asked something else, is looked through.
        routings: the configurations.
        question: what each is asked.
    """
    asked = {(text, question): routing for text, routing in routings.values() if routing is not None}
    return {key: known[key] if key in known else findings(routing, question) for key, routing in asked.items()}


def by_peer(latest: Round, found: Found, routings: Routings, question: Question) -> dict[str, list[Finding]]:
    """Return what was found at each peer of a round; one that does not answer has the configuration that it had."""
    urls = _addresses(latest, routings)
    return {url: found.get((text, question), []) for url, (text, _) in routings.items() if url in urls}


def _addresses(latest: Round, routings: Routings) -> Collection[str]:
    """Return the addresses of the peers; while their name cannot be resolved, those of before."""
    return {*latest.failures, *(answer.url for answer in latest.answers)} if latest.is_listed else routings.keys()
