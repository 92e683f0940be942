"""Why a switch may be missing, by what the peers of Alertmanager have last shown; pure.

In: what the last round of each source has shown. Out: the probable cause and what to look at, in words for somebody who
sees nothing but the alarm. Whether a switch is missing is decided by `bridge.reconcile.heartbeats.states`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

_PROMETHEUS = (
    "does Prometheus run and evaluate its rules (its page /rules)? Does it reach Alertmanager (its page /status, and"
    " its metric prometheus_notifications_dropped_total)?"
)


class PeersView(msgspec.Struct, frozen=True):
    """What the last round of one source has shown.

    ``silent``: the peers that gave no valid answer, with the reason. ``answering``: the addresses of the others.
    ``listed``: the fingerprints of the switches whose alerts they list.
    """

    silent: Mapping[str, str]
    answering: tuple[str, ...]
    listed: frozenset[str]


class Explanation(msgspec.Struct, frozen=True):
    """``probable``: a sentence. ``look_at``: what to look at, in order."""

    probable: str
    look_at: str


def explain(fingerprint: str, views: Collection[PeersView], *, has_ended: bool) -> Explanation:
    """Return why a switch may be missing.

    Args:
        fingerprint: of its alarm.
        views: what the peers of its sources have shown last; empty: none is asked, or another bridge asks them.
        has_ended: whether Alertmanager has told that its alert resolved.
    """
    answering = ", ".join(url for one in views for url in one.answering)
    if has_ended:
        probable = "Alertmanager has told that its alert resolved: its rule is gone, or Prometheus no longer sends it."
        return Explanation(probable, f"Look, in this order: {_PROMETHEUS}")
    if views and not answering:
        reasons = "; ".join(f"{url}: {reason}" for one in views for url, reason in one.silent.items())
        probable = f"No Alertmanager answers the bridge ({reasons}), so no sign can come."
        return Explanation(
            probable, f"Look, in this order: does Alertmanager run, and can the bridge reach it? Then {_PROMETHEUS}"
        )
    if any(fingerprint in one.listed for one in views):
        probable = f"Alertmanager ({answering}) lists its alert, but Prometheus no longer posts it."
        return Explanation(probable, f"Look, in this order: {_PROMETHEUS}")
    if answering:
        probable = f"Alertmanager ({answering}) answers and does not list its alert, so Prometheus does not post it."
        return Explanation(probable, f"Look, in this order: {_PROMETHEUS}")
    probable = "Prometheus does not send its alert, or no notification of it comes to the bridge."
    last = "Does Alertmanager show the alert, and send it to aom-bridge?"
    return Explanation(probable, f"Look, in this order: {_PROMETHEUS} {last}")
