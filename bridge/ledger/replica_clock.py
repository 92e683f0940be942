"""Keeps a replica's clock equal to that of the database that it shares with others.

In: the database's time, asked for every second. Out: the process's `SharedClock` shows it, and a warning where its own
clock is far from it. A file has no time, and there the clock stays as it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sqlalchemy.engine import Connection

from bridge.clock import SECOND, Clock, Millis, SharedClock, format_duration
from bridge.log import logger

MAX_UNTOLD_MS: Millis = 5 * SECOND
"""A clock that is off by more is warned of."""

_log = logger("ledger")


class ReplicaClock:
    """Follows one database's time.

    Args:
        clock: this process's clock; followed if it is a `SharedClock`.
        read: runs one read.
        now: gives the database's time on an open transaction; None where it has none.
    """

    def __init__(
        self,
        clock: Clock,
        read: Callable[[Callable[[Connection], Millis | None]], Awaitable[Millis | None]],
        now: Callable[[Connection], Millis | None],
    ) -> None:
        self._clock = clock
        self._read = read
        self._now = now
        self._is_told = False

    async def follow(self) -> None:
        """Take the database's time.

        Raises:
            LedgerUnavailableError: it does not answer; the clock counts from the last time.
        """
        clock = self._clock
        if not isinstance(clock, SharedClock):
            return
        asked_at = clock.ask()
        shared = await self._read(self._now)
        if shared is None:
            return
        clock.follow(shared, asked_at)
        is_off = abs(clock.ahead) > MAX_UNTOLD_MS
        if is_off and not self._is_told:
            which = "ahead of" if clock.ahead > 0 else "behind"
            _log.warning(
                "the clock of this replica is wrong, and the database's time is used. Fix: synchronize the clock (NTP)",
                difference=f"{format_duration(abs(clock.ahead) // SECOND * SECOND)} {which} the database",
            )
        self._is_told = is_off
