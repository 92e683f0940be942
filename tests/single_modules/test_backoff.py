"""The wait before the next try grows, is spread over its whole range, and never leaves its bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.backoff import backoff
from bridge.clock import MINUTE, SECOND

ALMOST_ONE = 1 - 2**-53
draws = st.floats(0, ALMOST_ONE)
attempts = st.integers(1, 10**9)
spans = st.tuples(st.integers(1, 10**7), st.integers(1, 10**7)).map(sorted)


def wait(attempt, drawn, asked=None, least=SECOND, most=5 * MINUTE):
    """Give the wait for one draw."""
    return backoff(attempt, min_wait=least, max_wait=most, random=lambda: drawn, asked=asked)


@pytest.mark.parametrize(
    ("attempt", "longest"),
    [(1, 1_000), (2, 2_000), (3, 4_000), (4, 8_000), (9, 256_000), (10, 300_000), (11, 300_000), (10_000, 300_000)],
)
def test_the_range_doubles_with_each_attempt(attempt, longest):
    """The range begins at 1 s, its end doubles with each attempt, and stops at 5 min."""
    assert wait(attempt, 0) == SECOND
    assert longest - 1 <= wait(attempt, ALMOST_ONE) <= longest


def test_the_jitter_is_full():
    """The wait is drawn from the whole range, so that what failed together does not come back together."""
    assert wait(4, 0.5) == 1_000 + 3_500
    assert len({wait(9, drawn / 100) for drawn in range(100)}) == 100


def test_each_wait_draws_anew():
    """Every wait asks for a random number of its own, and for one only."""
    drawn = []
    backoff(3, min_wait=SECOND, max_wait=MINUTE, random=lambda: drawn.append(0) or 0.25)
    assert drawn == [0]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [(None, 1_000), (0, 1_000), (999, 1_000), (30_000, 30_000), (300_000, 300_000), (86_400_000, 300_000)],
)
def test_what_the_other_side_asks_for_is_kept(asked, expected):
    """A Retry-After is a lower bound of the wait, and is itself capped."""
    assert wait(1, 0, asked=asked) == expected


@given(attempts, draws, spans, st.none() | st.integers(0, 10**9))
def test_a_wait_never_leaves_its_bounds(attempt, drawn, span, asked):
    """However often it was tried and whatever was asked for, least <= wait <= most."""
    least, most = span
    found = wait(attempt, drawn, asked=asked, least=least, most=most)
    assert isinstance(found, int)
    assert least <= found <= most
    assert found >= min(asked or 0, most)


@given(attempts, draws, spans)
def test_a_later_attempt_never_waits_less_for_the_same_draw(attempt, drawn, span):
    """The range only grows."""
    least, most = span
    assert wait(attempt, drawn, least=least, most=most) <= wait(attempt + 1, drawn, least=least, most=most)
