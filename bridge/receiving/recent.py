"""The last webhooks of this process, for the status page: when, from where, what became of them, how long it took.

In: one note for each answered webhook, refused ones too. Out: the newest 200, and when each source has posted last.
Nothing is stored: after a restart it is empty.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import msgspec

from bridge.clock import Millis

_MAX_NOTES = 200
_MAX_CHARACTERS = 200


class RecentWebhook(msgspec.Struct, frozen=True):
    """One webhook that was answered.

    ``peer``: the address that it came from. ``receiver`` and ``group``: as Alertmanager names them; empty if it was
    refused. ``effects``: how many alerts had which effect on the ledger. ``text``: the answer. ``took``: milliseconds
    from its first byte to the answer.
    """

    at: Millis
    source: str
    peer: str
    status: int
    took: Millis
    text: str = ""
    receiver: str = ""
    group: str = ""
    alerts: int = 0
    effects: Mapping[str, int] = {}


class RecentWebhooks:
    """The newest webhooks."""

    def __init__(self) -> None:
        self._notes: deque[RecentWebhook] = deque(maxlen=_MAX_NOTES)
        self._last_at: dict[str, Millis] = {}

    def note(self, webhook: RecentWebhook) -> None:
        """Remember one; the caller has checked that its source is configured if it was kept."""
        self._notes.appendleft(webhook)
        if webhook.status < 300:
            self._last_at[webhook.source] = webhook.at

    def newest(self) -> Sequence[RecentWebhook]:
        """Return them, the newest first."""
        return list(self._notes)

    def last_at(self, source: str) -> Millis | None:
        """Return when a webhook of a source was kept last."""
        return self._last_at.get(source)


def cut(text: str) -> str:
    """Return what is remembered of a text that a sender chooses."""
    return text[:_MAX_CHARACTERS]
