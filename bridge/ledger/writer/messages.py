"""A notification on its way to the ledger; it may be sent to the writer process unparsed.

In: a notification as received (`PackedAlerts`), or parsed. Out: an `IncomingAlert` for each of its alerts. Firing
alerts are mapped and encoded when the notification is opened, a resolve only when the put finds no open alarm for it.
This module must not know the format of notifications or the mapping.
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
    """The deadline of a notification has passed, and its sender gets the answer that nothing was stored."""


class ParsedAlerts:
    """One parsed notification.

    Args:
        arrivals: its alerts.
        report: packs the mapping statistics for the receiving side; called after all alerts that need it were mapped.
    """

    def __init__(self, arrivals: Sequence[ArrivedAlert], report: Callable[[], bytes] = bytes) -> None:
        self._unmapped = dict(enumerate(arrivals))
        self.report = report

    def entries(self) -> list[IncomingAlert]:
        """Return the alerts for the put; firing alerts are mapped now, the others stay to be mapped by `map`."""
        arrivals = self._unmapped.values()
        entries = [_entry(arrival, is_mapped=arrival.alert.status == "firing") for arrival in arrivals]
        self._unmapped = {n: arrival for n, arrival in self._unmapped.items() if not entries[n].is_mapped}
        return entries

    def map(self, number: int) -> IncomingAlert:
        """Map one of the alerts that are not mapped yet."""
        return _entry(self._unmapped[number], is_mapped=True)


class PackedAlerts(Protocol):
    """One notification that is not parsed yet; pickle must accept it.

    Attributes:
        max_alerts: an upper bound for the number of its alerts.
    """

    @property
    def max_alerts(self) -> int:
        """An upper bound for the number of its alerts."""

    def open(self) -> ParsedAlerts:
        """Parse it.

        Raises:
            PayloadError: it is not a valid notification.
        """


class IncomingNotification:
    """One notification on its way into the ledger.

    Args:
        sealed: the notification as received; None if it need not be parsed any more.
        opened: the parsed notification, if the receiving side has parsed it.

    Attributes:
        entries: its alerts, once it is parsed.
        expires_at: its deadline in seconds on the monotonic clock, which all processes of a machine share.
    """

    def __init__(self, sealed: PackedAlerts | None, opened: ParsedAlerts | None = None) -> None:
        self.expires_at = math.inf
        self.sealed = sealed
        self.entries = None if opened is None else opened.entries()
        self._opened = opened

    @property
    def max_alerts(self) -> int:
        """An upper bound for the number of its alerts."""
        if self.entries is not None or self.sealed is None:
            return self.rows
        return self.sealed.max_alerts

    @property
    def rows(self) -> int:
        """The number of its alerts; 1 while it is not parsed."""
        return 1 if self.entries is None else len(self.entries)

    def check(self) -> None:
        """Raise `ExpiredError` if its deadline has passed."""
        if time.monotonic() >= self.expires_at:
            raise ExpiredError("the ledger did not commit in time")

    def open(self) -> list[IncomingAlert]:
        """Return its alerts.

        Raises:
            PayloadError: it is not a valid notification.
        """
        if self.entries is None:
            self.entries = self._read().entries()
        return self.entries

    def map(self, number: int) -> IncomingAlert:
        """Map one of the alerts that are not mapped yet, and return it."""
        entry = self.open()[number] = self._read().map(number)
        return entry

    def report(self) -> bytes:
        """Return the packed mapping statistics; empty if the notification was not parsed here."""
        return b"" if self._opened is None else self._opened.report()

    def _read(self) -> ParsedAlerts:
        if self._opened is None:
            if self.sealed is None:
                raise ValueError(
                    "the notification was sent without its body, although some of its alerts are not mapped"
                )
            self._opened = self.sealed.open()
        return self._opened


class IncomingNotifications(list[IncomingNotification]):
    """Notifications for pickle: parsed alerts become one MessagePack blob, which takes a tenth of pickle's time."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as one MessagePack blob; bodies of notifications whose alerts are all mapped are not sent."""
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
    mapped = codec().mapped_alert(arrival.mapped(), AlertContext(alert, arrival.group)) if is_mapped else None
    return IncomingAlert(
        arrival.source, alert.fingerprint, alert.status, alert.starts_at, alert.ends_at, mapped, is_mapped
    )
