"""What a bridge has seen of a source and of heartbeats, for people; plain values, from which nothing follows.

In: the newest comparison, the verdicts of the watch. Out: `SourceSeen` and `SwitchSeen`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from bridge.clock import Millis
from bridge.notification import Labels
from bridge.reconcile.comparison import Comparison
from bridge.reconcile.heartbeats import Verdict, late_text
from bridge.reconcile.notices import Notice


class PeerSeen(msgspec.Struct, frozen=True):
    """One peer in the last round; ``problem``: why its answer does not count, empty if it does."""

    address: str
    version: str
    problem: str


class SourceSeen(msgspec.Struct, frozen=True):
    """One source in the last round; ``leads``: whether this bridge asks its peers, or another one on the same ledger.

    ``round_at``: when the last round ended; None: there has been none. ``receivers``: those that send to the bridge.
    """

    leads: bool = False
    round_at: Millis | None = None
    receivers: Sequence[str] = ()
    peers: Sequence[PeerSeen] = ()
    notices: Sequence[Notice] = ()

    @classmethod
    def of(cls, comparison: Comparison) -> SourceSeen:
        """Return what a round has shown."""
        latest = comparison.latest
        answered = [PeerSeen(one.url, "" if one.status is None else one.status.version, "") for one in latest.answers]
        failed = [PeerSeen(address, "", reason) for address, reason in latest.failures.items()]
        receivers = sorted(comparison.receivers)
        return cls(
            leads=True,
            round_at=latest.ended_at,
            receivers=receivers,
            peers=[*answered, *failed],
            notices=list(comparison.notices.values()),
        )


class SwitchSeen(msgspec.Struct, frozen=True):
    """One switch of a heartbeat; ``by``: the values of its labels. ``text``: what is wrong, empty if nothing is."""

    name: str
    by: Labels
    state: str
    seen_at: Millis | None
    every: Millis
    text: str


def switches_seen(verdicts: Mapping[str, Verdict]) -> list[SwitchSeen]:
    """Return the switches of these verdicts, the worst first."""
    ordered = sorted(verdicts.values(), key=lambda one: (not one.is_late, one.sign.heartbeat))
    return [
        SwitchSeen(
            name=one.sign.heartbeat,
            by=one.sign.by,
            state=one.state,
            seen_at=None if one.row is None else one.row.seen_at,
            every=one.settings.every,
            text=late_text(one) if one.is_late else "",
        )
        for one in ordered
    ]
