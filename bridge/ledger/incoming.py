"""Notifications on their way into the ledger, as the receiving side hands them over.

In: the body of a notification, and its alerts if the receiving side has parsed and mapped them already. Out: an
`IncomingAlert` for each alert of a put. Firing alerts are mapped when the notification is opened, a resolve only when
the put finds no open alarm for it. The format of notifications and the mapping belong to the receiving side: it passes
a `NotificationReader`, and this module must not know more of them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from bridge.errors import LedgerUnavailableError
from bridge.ledger.alarm import AlertContext, ArrivedAlert, IncomingAlert
from bridge.ledger.storage.rows import codec


class ExpiredError(LedgerUnavailableError):
    """The deadline of a notification has passed, and its sender gets the answer that nothing was stored."""


class ParsedAlerts:
    """The alerts of one parsed notification.

    Args:
        arrivals: its alerts.
        report: packs the mapping statistics for the receiving side; called after all alerts that need it were mapped.
    """

    def __init__(self, arrivals: Sequence[ArrivedAlert], report: Callable[[], bytes] = bytes) -> None:
        self._arrivals = arrivals
        self.report = report

    def incoming(self) -> list[IncomingAlert]:
        """Return the alerts for a put; firing alerts are mapped now, the others stay to be mapped by `map`."""
        return [
            _incoming(arrival, is_mapped=arrival.alert.status == "firing" and arrival.sign is None)
            for arrival in self._arrivals
        ]

    def map(self, number: int) -> IncomingAlert:
        """Map one of the alerts that are not mapped yet."""
        return _incoming(self._arrivals[number], is_mapped=True)


class NotificationReader(Protocol):
    """Parses and maps notifications by the rules in use.

    Pickle must accept it: it is sent to the ledger writer process when that starts and when the rules change.
    """

    def open(self, source: str, body: bytes, /) -> ParsedAlerts:
        """Parse the body of a notification.

        Raises:
            PayloadError: it is not a valid notification.
        """


class IncomingNotification(msgspec.Struct):
    """One notification on its way into the ledger.

    ``body``: as it was received; empty if all of its alerts are mapped. ``max_alerts``: an upper bound for the number
    of its alerts. ``alerts``: its alerts, if the receiving side has parsed it. ``expires_at``: its deadline in seconds
    on the monotonic clock, which all processes of a machine share.
    """

    source: str
    body: bytes
    max_alerts: int
    alerts: list[IncomingAlert] | None = None
    expires_at: float = math.inf

    @property
    def rows(self) -> int:
        """The number of its alerts; 1 while it is not parsed."""
        return 1 if self.alerts is None else len(self.alerts)

    def check(self) -> None:
        """Raise `ExpiredError` if its deadline has passed."""
        if time.monotonic() >= self.expires_at:
            raise ExpiredError("the ledger did not commit in time")


class OpenedNotification:
    """One notification in a put.

    Args:
        notification: the notification.
        reader: parses it, if that has not been done, and maps those of its alerts that are not mapped.
    """

    def __init__(self, notification: IncomingNotification, reader: NotificationReader) -> None:
        self._notification = notification
        self._reader = reader
        self._parsed: ParsedAlerts | None = None

    def check(self) -> None:
        """Raise `ExpiredError` if its deadline has passed."""
        self._notification.check()

    def alerts(self) -> list[IncomingAlert]:
        """Return its alerts.

        Raises:
            PayloadError: it is not a valid notification.
        """
        if self._notification.alerts is None:
            self._notification.alerts = self._read().incoming()
        return self._notification.alerts

    def map(self, number: int) -> IncomingAlert:
        """Map one of the alerts that are not mapped yet, and return it."""
        incoming = self.alerts()[number] = self._read().map(number)
        return incoming

    def report(self) -> bytes:
        """Return the packed mapping statistics; empty if the notification was not parsed here."""
        return b"" if self._parsed is None else self._parsed.report()

    def _read(self) -> ParsedAlerts:
        if self._parsed is None:
            self._parsed = self._reader.open(self._notification.source, self._notification.body)
        return self._parsed


def _incoming(arrival: ArrivedAlert, *, is_mapped: bool) -> IncomingAlert:
    alert = arrival.alert
    mapped = codec().mapped_alert(arrival.mapped(), AlertContext(alert, arrival.group)) if is_mapped else None
    return IncomingAlert(
        source=arrival.source,
        fingerprint=alert.fingerprint,
        status=alert.status,
        starts_at=alert.starts_at,
        ends_at=alert.ends_at,
        mapped=mapped,
        is_mapped=is_mapped,
        sign=arrival.sign,
    )
