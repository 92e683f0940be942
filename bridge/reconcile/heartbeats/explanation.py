"""Why a switch may be missing, by what the peers of Alertmanager have last shown; pure.

In: what the last round of each source has shown. Out: the probable cause and what to look at, in words for somebody who
sees nothing but the alarm, in English and in Chinese. Whether a switch is missing is decided by
`bridge.reconcile.heartbeats.states`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec


class Both(msgspec.Struct, frozen=True):
    """The same in English and in Chinese; AOM's console shows the one or the other."""

    en: str
    zh: str

    def __add__(self, other: Both) -> Both:
        """Return both texts followed by those of the other."""
        return Both(self.en + other.en, self.zh + other.zh)


_LOOK = Both("Look, in this order: ", "请按以下顺序检查：")
_PROMETHEUS = Both(
    "does Prometheus run and evaluate its rules (its page /rules)? Does it reach Alertmanager (its page /status, and"
    " its metric prometheus_notifications_dropped_total)?",
    "Prometheus 是否在运行并评估其规则（见其 /rules 页面）？它能否连接 Alertmanager（见其 /status 页面和指标"
    " prometheus_notifications_dropped_total）？",
)
_FIRST_ALERTMANAGER = Both(
    "does Alertmanager run, and can the bridge reach it? Then ",
    "Alertmanager 是否在运行，aom-bridge 能否连接到它？然后检查：",
)
_LAST_ALERTMANAGER = Both(
    " Does Alertmanager show the alert, and send it to aom-bridge?",
    "Alertmanager 是否显示该告警，并将其发送给 aom-bridge？",
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

    probable: Both
    look_at: Both


def explain(fingerprint: str, views: Collection[PeersView], *, has_ended: bool) -> Explanation:
    """Return why a switch may be missing.

    Args:
        fingerprint: of its alarm.
        views: what the peers of its sources have shown last; empty: none is asked, or another bridge asks them.
        has_ended: whether Alertmanager has told that its alert resolved.
    """
    answering = ", ".join(url for one in views for url in one.answering)
    if has_ended:
        return Explanation(_ENDED, _LOOK + _PROMETHEUS)
    if views and not answering:
        reasons = "; ".join(f"{url}: {reason}" for one in views for url, reason in one.silent.items())
        return Explanation(_no_answer(reasons), _LOOK + _FIRST_ALERTMANAGER + _PROMETHEUS)
    if any(fingerprint in one.listed for one in views):
        return Explanation(_listed(answering), _LOOK + _PROMETHEUS)
    if answering:
        return Explanation(_unlisted(answering), _LOOK + _PROMETHEUS)
    return Explanation(_UNKNOWN, _LOOK + _PROMETHEUS + _LAST_ALERTMANAGER)


_ENDED = Both(
    "Alertmanager has told that its alert resolved: its rule is gone, or Prometheus no longer sends it.",
    "Alertmanager 已通知该心跳的告警恢复：其规则已不存在，或者 Prometheus 不再发送该告警。",
)
_UNKNOWN = Both(
    "Prometheus does not send its alert, or no notification of it comes to the bridge.",
    "Prometheus 没有发送该心跳的告警，或者该告警的通知没有到达 aom-bridge。",
)


def _no_answer(reasons: str) -> Both:
    return Both(
        f"No Alertmanager answers the bridge ({reasons}), so no sign can come.",
        f"没有 Alertmanager 应答 aom-bridge（{reasons}），因此无法收到心跳信号。",
    )


def _listed(answering: str) -> Both:
    return Both(
        f"Alertmanager ({answering}) lists its alert, but Prometheus no longer posts it.",
        f"Alertmanager（{answering}）列出了该心跳的告警，但 Prometheus 已不再发送它。",
    )


def _unlisted(answering: str) -> Both:
    return Both(
        f"Alertmanager ({answering}) answers and does not list its alert, so Prometheus does not post it.",
        f"Alertmanager（{answering}）有应答，但没有列出该心跳的告警，因此 Prometheus 没有发送它。",
    )
