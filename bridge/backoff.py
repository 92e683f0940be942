"""Exponential backoff with jitter; pure.

In: the number of failed attempts, and the Retry-After of the last answer. Out: milliseconds. Nothing here sleeps.
"""

from __future__ import annotations

from collections.abc import Callable

from bridge.clock import Millis

Random = Callable[[], float]
"""Returns a number in [0, 1); it is an argument, so that tests can fix it."""

_MAX_DOUBLINGS = 40


def backoff(attempt: int, *, min_wait: Millis, max_wait: Millis, random: Random, asked: Millis | None = None) -> Millis:
    """Return the wait after the given failed attempt (1 = the first): exponential, full jitter.

    Full jitter draws from the whole range, so that alarms which failed together are not retried together;
    ``asked`` (a Retry-After) is a lower bound, itself capped at ``max_wait``.
    """
    ceiling = min(max_wait, min_wait << min(attempt - 1, _MAX_DOUBLINGS))
    wait = min_wait + int((ceiling - min_wait) * random())
    return max(wait, min(asked or 0, max_wait))
