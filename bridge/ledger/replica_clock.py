"""Keeps a replica's clock equal to that of the shared database.

In: the database's time, read every second. Out: the process's `SharedClock` follows it, and a warning is logged when
the machine's clock differs much. SQLite has no time of its own; there the clock is not changed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sqlalchemy.engine import Connection

from bridge.clock import SECOND, Clock, Millis, SharedClock, format_duration
from bridge.log import logger

MAX_UNTOLD_MS: Millis = 5 * SECOND
"""A warning is logged for a clock that differs by more."""

_log = logger("ledger")


class ReplicaClock:
    """Follows one database's time.

    Args:
        clock: this process's clock; followed if it is a `SharedClock`.
        read: runs a read transaction.
        now: returns the database's time on an open transaction; None if it has none.
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
        """Read the database's time and set the clock.

        Raises:
            LedgerUnavailableError: it does not answer; the clock continues from the last time read.
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
