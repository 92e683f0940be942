"""How long to wait before the next try; pure.

In: how often it was tried, and what the other side asked for. Out: milliseconds. Nothing here sleeps.
"""

from __future__ import annotations

from collections.abc import Callable

from bridge.clock import Millis

Random = Callable[[], float]
"""Gives a number in [0, 1); comes in by argument, so that tests can fix it."""

_MAX_DOUBLINGS = 40


def backoff(attempt: int, *, least: Millis, most: Millis, random: Random, asked: Millis | None = None) -> Millis:
    """Return the wait after the given failed attempt (1 = the first): exponential, full jitter.

    Full jitter draws from the whole range, so that rows which failed together do not come back together;
    ``asked`` (a Retry-After) is a lower bound, itself capped at ``most``.
    """
    ceiling = min(most, least << min(attempt - 1, _MAX_DOUBLINGS))
    wait = least + int((ceiling - least) * random())
    return max(wait, min(asked or 0, most))
