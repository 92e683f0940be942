"""What a put takes in of one notification: entries, which can go to another process.

In: the notification's `Arrival`s. Out: an `Entry` for each. What fires is mapped and encoded here, before the
transaction; a resolve is mapped only once the put has found no row for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from bridge.ledger.alarm import Arrival, Context, Entry
from bridge.ledger.packed import Packed
from bridge.ledger.tables import codec


class Parcel:
    """One notification on its way into the ledger.

    Args:
        arrivals: its alerts.

    Attributes:
        entries: the same, for the put.
    """

    def __init__(self, arrivals: Sequence[Arrival]) -> None:
        self.entries = [_entry(arrival, is_mapped=arrival.alert.status == "firing") for arrival in arrivals]
        self._later = {n: arrival for n, arrival in enumerate(arrivals) if not self.entries[n].is_mapped}

    def map(self, number: int) -> None:
        """Map one of the alerts after all."""
        self.entries[number] = _entry(self._later[number], is_mapped=True)


class Notifications(Packed[list[Entry]], of=list[Entry]):
    """The entries of several notifications."""


def _entry(arrival: Arrival, *, is_mapped: bool) -> Entry:
    alert = arrival.alert
    outline = codec().outline(arrival.mapped(), Context(alert, arrival.group)) if is_mapped else None
    return Entry(arrival.source, alert.fingerprint, alert.status, alert.starts_at, alert.ends_at, outline, is_mapped)
