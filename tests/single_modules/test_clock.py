"""Times and spans are whole milliseconds since 1970 in UTC, and are read and written as Go does."""

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.clock import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    ZERO_TIME,
    SharedClock,
    format_duration,
    format_rfc3339,
    parse_rfc3339,
    system_clock,
)

SECOND_43 = 1_795_422_043_000
"""2026-11-23T08:20:43Z."""

TIMES = {
    "1970-01-01T00:00:00Z": 0,
    "1969-12-31T23:59:59.999Z": -1,
    "2026-11-23T08:20:43Z": SECOND_43,
    "2026-11-23T08:20:43": SECOND_43,
    "2026-11-23T16:20:43+08:00": SECOND_43,
    "2026-11-23T16:20:43.123456789+08:00": SECOND_43 + 123,
    "2026-11-22T22:50:43-09:30": SECOND_43,
    "2026-11-23T08:20:43.5Z": SECOND_43 + 500,
    "2026-11-23T08:20:43.0004Z": SECOND_43,
    "2026-11-23T08:20:43.999999999Z": SECOND_43 + 999,
    "0001-01-01T00:00:00Z": ZERO_TIME,
    "9999-12-31T23:59:59.999Z": 253_402_300_799_999,
}

NO_TIMES = [
    "",
    "now",
    "yesterday",
    "2026-13-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-11-23T25:00:00Z",
    "2026-11-23T08:20:61Z",
    "0000-01-01T00:00:00Z",
    "2026-11-23T08:20:43+99:00",
    "2026-11-23T08:20:43Zulu",
    "1795422043",
    "\ud800",
]


@pytest.mark.parametrize(("text", "expected"), TIMES.items())
def test_a_time_as_go_writes_it_is_read(text, expected):
    """Fractions are cut to milliseconds, offsets are taken off, and a time without a zone is UTC."""
    assert parse_rfc3339(text) == expected


def test_the_machines_own_zone_does_not_count(monkeypatch):
    """A time without a zone is UTC also on a machine that is elsewhere."""
    try:
        with monkeypatch.context() as elsewhere:
            elsewhere.setenv("TZ", "CST-8")
            time.tzset()
            assert parse_rfc3339("2026-11-23T08:20:43") == SECOND_43
            assert format_rfc3339(SECOND_43) == "2026-11-23T08:20:43.000Z"
    finally:
        time.tzset()


@pytest.mark.parametrize("digits", range(10))
def test_any_number_of_fraction_digits_is_read(digits):
    """Go cuts trailing zeros, so a fraction may have none to nine digits."""
    fraction = "123456789"[:digits]
    text = f"2026-11-23T08:20:43{'.' if digits else ''}{fraction}Z"
    assert parse_rfc3339(text) == SECOND_43 + int(fraction.ljust(3, "0")[:3])


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_is_a_value_error(text):
    """A text that is no such time raises ValueError and nothing else."""
    with pytest.raises(ValueError, match=r"."):
        parse_rfc3339(text)


@given(st.text(st.characters(exclude_categories=())))
def test_no_text_breaks_the_reader(text):
    """Any text is a time or a ValueError."""
    with suppress(ValueError):
        assert isinstance(parse_rfc3339(text), int)


def test_a_time_is_written_in_utc_with_milliseconds():
    """Times are written in UTC with three fraction digits and a Z."""
    assert format_rfc3339(SECOND_43 + 7) == "2026-11-23T08:20:43.007Z"
    assert format_rfc3339(0) == "1970-01-01T00:00:00.000Z"
    assert format_rfc3339(-1) == "1969-12-31T23:59:59.999Z"


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (ZERO_TIME, "0001-01-01T00:00:00.000Z"),
        (ZERO_TIME - 1, "0001-01-01T00:00:00.000Z"),
        (-(10**30), "0001-01-01T00:00:00.000Z"),
        (253_402_300_800_000, "9999-12-31T23:59:59.999Z"),
        (10**30, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_a_time_beyond_the_calendar_is_written_as_the_nearest(at, text):
    """A time outside the years 1 to 9999 never raises."""
    assert format_rfc3339(at) == text


@given(st.integers(ZERO_TIME, 253_402_300_799_999))
def test_what_is_written_is_read_again(at):
    """Writing and reading a time gives the same millisecond."""
    assert parse_rfc3339(format_rfc3339(at)) == at


def test_the_spans_are_milliseconds():
    """A second is 1,000, and the others follow."""
    assert (SECOND, MINUTE, HOUR, DAY) == (1_000, 60_000, 3_600_000, 86_400_000)


def test_the_system_clock_gives_milliseconds():
    """The system's clock gives whole epoch milliseconds."""
    before = time.time()
    now = system_clock()
    assert isinstance(now, int)
    assert before * 1_000 - 1 <= now <= time.time() * 1_000 + 1


@pytest.mark.parametrize(
    ("span", "text"),
    [(0, "0s"), (250, "250ms"), (90_000, "1m30s"), (5 * DAY, "5d"), (2 * DAY + 5 * HOUR + 3, "2d5h")],
)
def test_a_span_is_written_as_prometheus_writes_it(span, text):
    """At most two units, the largest first."""
    assert format_duration(span) == text


def test_a_shared_clock_shows_the_time_that_it_follows():
    """It shows its own time until it has one to follow, then that one, whatever its own clock does meanwhile."""
    own, elapsed = 5_000, 70
    clock = SharedClock(lambda: own, lambda: elapsed)
    assert (clock(), clock.ahead) == (5_000, 0)
    asked_at = clock.ask()
    elapsed += 20
    clock.follow(1_000, asked_at)
    assert (clock(), clock.ahead) == (1_010, 3_990)
    elapsed += 500
    own -= 100_000
    assert clock() == 1_510
