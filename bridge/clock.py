"""Time: one unit for the whole bridge, and its formats for people and Alertmanager.

Every point in time and every span is a whole number of milliseconds (`Millis`); points count from the Unix
epoch in UTC. That is AOM's own unit, and finer than every interval of Alertmanager.
Modules get the time by an argument (`Clock`), so that tests can set it.
"""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Millis = int
Clock = Callable[[], Millis]

SECOND: Millis = 1_000
MINUTE: Millis = 60 * SECOND
HOUR: Millis = 60 * MINUTE
DAY: Millis = 24 * HOUR

_RFC3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_WRITTEN = _EPOCH.replace(tzinfo=None)
"""The same without a time zone; formatting without a zone and appending "Z" takes half of the time."""

_MILLISECOND = timedelta(milliseconds=1)
ZERO_TIME: Millis = -62_135_596_800_000
"""Go's zero time, 0001-01-01T00:00:00Z: how Alertmanager writes "no end yet"."""


def system_clock() -> Millis:
    """Return the system's time."""
    return time.time_ns() // 1_000_000


def elapsed_clock() -> Millis:
    """Return milliseconds of a monotonic clock: steps of the system's time do not change it."""
    return time.monotonic_ns() // 1_000_000


class SharedClock:
    """The time of a database that several processes share.

    The processes compare times that each of them has written; if their own clocks differed, a claim that has just begun
    would seem to have expired. Between two queries of the database's time, the monotonic clock counts, so that a step
    of this process's clock changes nothing. Without a database to follow it returns this process's clock.

    Args:
        own: this process's clock.
        elapsed: a clock that never steps.
    """

    def __init__(self, own: Clock, elapsed: Clock = elapsed_clock) -> None:
        self._own = own
        self._elapsed = elapsed
        self._shared: Millis | None = None
        self._since: Millis = 0

    def __call__(self) -> Millis:
        """Return the time."""
        return self._own() if self._shared is None else self._shared + self._elapsed() - self._since

    @property
    def ahead(self) -> Millis:
        """How far this process's own clock is ahead of the database's."""
        return self._own() - self()

    def ask(self) -> Millis:
        """Return the monotonic time for `follow`; call it just before the query of the database's time."""
        return self._elapsed()

    def follow(self, shared: Millis, asked_at: Millis) -> None:
        """Set the database's time, which was read half-way between ``asked_at`` and now."""
        self._shared, self._since = shared, (asked_at + self._elapsed()) // 2


def parse_rfc3339(text: str) -> Millis:
    """Parse a time as Go writes it: 0 to 9 fraction digits, ``Z`` or an offset; without a zone it is UTC.

    Raises:
        ValueError: the text is not such a time.
    """
    if not _RFC3339.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not a time as RFC 3339 writes it")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MILLISECOND


def parse_http_date(text: str | None) -> Millis | None:
    """Parse the date of an HTTP header, which counts whole seconds; None if it is missing or invalid."""
    try:
        return int(email.utils.parsedate_to_datetime(text or "").timestamp() * SECOND)
    except (ValueError, OverflowError):
        return None


def format_duration(span: Millis) -> str:
    """Write a span as Prometheus does, in at most two units: ``2d5h``, ``1m30s``, ``250ms``."""
    parts = []
    for name, unit in (("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", 1)):
        count, span = divmod(span, unit)
        if count:
            parts.append(f"{count}{name}")
    return "".join(parts[:2]) or "0s"


def format_rfc3339(at: Millis) -> str:
    """Write a time as ``2026-11-23T08:39:12.131Z``; years outside 1 to 9999 as the nearest that can be written."""
    low, high = ZERO_TIME, 253_402_300_799_999
    moment = _EPOCH_WRITTEN + timedelta(milliseconds=min(max(at, low), high))
    return moment.isoformat(timespec="milliseconds") + "Z"
