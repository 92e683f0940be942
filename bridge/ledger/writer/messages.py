"""What a put takes in of one notification: a parcel, which can go to another process before anybody has opened it.

In: a notification as it came (`PackedAlerts`). Out: an `IncomingAlert` for each of its alerts. What fires is mapped and
encoded when the parcel is opened, a resolve only once the put has found no row for it. What stands in a notification,
and how it is mapped, is the sender's business.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from bridge.errors import LedgerUnavailableError
from bridge.ledger.alarm import AlertContext, ArrivedAlert, IncomingAlert
from bridge.ledger.storage.rows import codec

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[list[IncomingAlert] | None])


class ExpiredError(LedgerUnavailableError):
    """The sender of a notification is being told by now that nothing of it was kept."""


class ParsedAlerts:
    """One notification, read.

    Args:
        arrivals: its alerts.
        notes: packs what its sender wants to hear besides the outcomes; asked when all is mapped that had to be.
    """

    def __init__(self, arrivals: Sequence[ArrivedAlert], notes: Callable[[], bytes] = bytes) -> None:
        self._unmapped = dict(enumerate(arrivals))
        self.notes = notes

    def entries(self) -> list[IncomingAlert]:
        """Return the alerts for the put; what fires is mapped now, and only the rest is kept in mind."""
        arrivals = self._unmapped.values()
        entries = [_entry(arrival, is_mapped=arrival.alert.status == "firing") for arrival in arrivals]
        self._unmapped = {n: arrival for n, arrival in self._unmapped.items() if not entries[n].is_mapped}
        return entries

    def map(self, number: int) -> IncomingAlert:
        """Map one of the alerts after all."""
        return _entry(self._unmapped[number], is_mapped=True)


class PackedAlerts(Protocol):
    """One notification that nobody has read yet; pickle can take it.

    Attributes:
        most: how many alerts can be in it.
    """

    @property
    def most(self) -> int:
        """At most so many alerts are in it."""

    def open(self) -> ParsedAlerts:
        """Read it.

        Raises:
            PayloadError: it is none.
        """


class IncomingNotification:
    """One notification on its way into the ledger.

    Args:
        sealed: as it came; None if nobody will have to read it any more.
        opened: the same, if its sender has read it already.

    Attributes:
        entries: its alerts, once it is open.
        expires_at: seconds on the clock that all processes of a machine share; later it is not committed any more.
    """

    def __init__(self, sealed: PackedAlerts | None, opened: ParsedAlerts | None = None) -> None:
        self.expires_at = math.inf
        self.sealed = sealed
        self.entries = None if opened is None else opened.entries()
        self._opened = opened

    @property
    def most(self) -> int:
        """How many alerts can be in it."""
        if self.entries is not None or self.sealed is None:
            return self.rows
        return self.sealed.most

    @property
    def rows(self) -> int:
        """How many alerts are in it, as far as anybody knows: of a sealed one that there is one."""
        return 1 if self.entries is None else len(self.entries)

    def check(self) -> None:
        """Raise `ExpiredError` if its sender is being told by now that nothing of it was kept."""
        if time.monotonic() >= self.expires_at:
            raise ExpiredError("the ledger did not commit in time")

    def open(self) -> list[IncomingAlert]:
        """Return its alerts.

        Raises:
            PayloadError: it is no notification.
        """
        if self.entries is None:
            self.entries = self._read().entries()
        return self.entries

    def map(self, number: int) -> IncomingAlert:
        """Map one of the alerts after all, and return it."""
        entry = self.open()[number] = self._read().map(number)
        return entry

    def notes(self) -> bytes:
        """Return what its sender wants to hear of what was read here; empty where nothing was."""
        return b"" if self._opened is None else self._opened.notes()

    def _read(self) -> ParsedAlerts:
        if self._opened is None:
            if self.sealed is None:
                raise ValueError("it came without its notification, as if every alert of it were mapped")
            self._opened = self.sealed.open()
        return self._opened


class IncomingNotifications(list[IncomingNotification]):
    """Parcels that pickle takes: what was read as one MessagePack text, at a tenth of what pickle needs for it."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how to make them again; a notification of which every alert is mapped stays behind."""
        sealed = [None if _is_mapped(parcel) else parcel.sealed for parcel in self]
        times = [parcel.expires_at for parcel in self]
        return _arrived, (_encoder.encode([parcel.entries for parcel in self]), sealed, times)


def _arrived(packed: bytes, sealed: Sequence[PackedAlerts | None], times: Sequence[float]) -> IncomingNotifications:
    parcels = IncomingNotifications(map(IncomingNotification, sealed))
    for parcel, entries, expires_at in zip(parcels, _decoder.decode(packed), times, strict=True):
        parcel.entries, parcel.expires_at = entries, expires_at
    return parcels


def _is_mapped(parcel: IncomingNotification) -> bool:
    return parcel.entries is not None and all(entry.is_mapped for entry in parcel.entries)


def _entry(arrival: ArrivedAlert, *, is_mapped: bool) -> IncomingAlert:
    alert = arrival.alert
    outline = codec().outline(arrival.mapped(), AlertContext(alert, arrival.group)) if is_mapped else None
    return IncomingAlert(
        arrival.source, alert.fingerprint, alert.status, alert.starts_at, alert.ends_at, outline, is_mapped
    )
