"""The alerts that Alertmanager shows now, for people who try rules with them.

In: the settings of a source. Out: the first alerts that a peer lists, as text in the form of ``GET /api/v2/alerts``, or
`PeerError`. It is bounded in alerts, bytes and time, changes nothing, and needs no round: a round keeps of most alerts
no annotations.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

import msgspec

from bridge.clock import Clock, format_rfc3339
from bridge.reconcile.answers import ListedAlert
from bridge.reconcile.peer import PeerError
from bridge.reconcile.round import Peers
from bridge.reconcile.settings import AlertmanagerSettings

MAX_ALERTS = 200
MAX_TEXT_BYTES = 1 << 20
"""As much as may be pasted."""

_MAX_SECONDS = 5.0


async def shown_now(settings: AlertmanagerSettings, clock: Clock) -> str:
    """Return the first alerts that a peer lists, as JSON.

    Args:
        settings: of the source.
        clock: the time.

    Raises:
        PeerError: no peer has answered in time.
    """
    peers = Peers(settings, clock)
    await peers.start()
    try:
        async with asyncio.timeout(_MAX_SECONDS):
            alerts = await peers.first_alerts(MAX_ALERTS)
    except TimeoutError:
        raise PeerError(f"no peer has answered within {_MAX_SECONDS:g} s. Fix: try again, or paste alerts.") from None
    finally:
        await peers.stop()
    return f"[{','.join(_bounded(alerts))}\n]\n"


def _bounded(alerts: Iterable[ListedAlert]) -> Iterator[str]:
    """Yield alerts as JSON, each on lines of its own, as many as the limits allow."""
    size = 0
    for alert in alerts:
        text = "\n" + msgspec.json.format(msgspec.json.encode(_plain(alert)), indent=2).decode()
        size += len(text.encode()) + 1
        if size > MAX_TEXT_BYTES - len("[\n]\n"):
            return
        yield text


def _plain(alert: ListedAlert) -> dict[str, object]:
    return {
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": format_rfc3339(alert.starts_at),
        "endsAt": format_rfc3339(alert.ends_at),
        "updatedAt": format_rfc3339(alert.updated_at),
        "generatorURL": alert.generator_url,
        "fingerprint": alert.fingerprint,
        "receivers": [{"name": name} for name in alert.receivers],
        "status": {"state": "suppressed" if alert.is_suppressed else "active"},
    }
