"""Durations, sizes and secrets are read from text, and a wrong one says what is wrong and how to write it."""

import copy
import json
import pickle
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.clock import DAY, HOUR, MINUTE, SECOND
from bridge.typed_yaml.scalars import parse_duration, parse_size
from bridge.typed_yaml.secret import Secret

DURATIONS = {
    "0": 0,
    "0s": 0,
    "1ms": 1,
    "200ms": 200,
    "5s": 5 * SECOND,
    "5m": 5 * MINUTE,
    "1h30m": 90 * MINUTE,
    "90m": 90 * MINUTE,
    "5d": 5 * DAY,
    "2w": 14 * DAY,
    "1y": 365 * DAY,
    "1y2w3d4h5m6s7ms": (365 + 14 + 3) * DAY + 4 * HOUR + 5 * MINUTE + 6 * SECOND + 7,
}
NO_DURATIONS = ["", "5", "-5m", "1.5h", " 5m", "5m ", "5 m", "1m1h", "1s1s", "5M", "5 minutes", "ms", "5m\n", "1e3s"]

SIZES = {
    "0": 0,
    "1": 1,
    "1048576": 1 << 20,
    "5B": 5,
    "512KiB": 512 << 10,
    "64MiB": 64 << 20,
    "64 MiB": 64 << 20,
    "2GiB": 2 << 30,
}
NO_SIZES = ["", "-1", "1.5MiB", "64MB", "64M", "64mib", "MiB", "1 TiB", "0x10", "64MiB\n", "1e3"]


@pytest.mark.parametrize(("text", "expected"), DURATIONS.items())
def test_a_duration_is_read_as_prometheus_writes_it(text, expected):
    """Units stand in falling order, each at most once; a lone 0 needs none."""
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", NO_DURATIONS)
def test_what_is_no_duration_says_so_and_how_to_write_one(text):
    """A wrong duration is quoted in the message, with examples as the fix."""
    with pytest.raises(
        ValueError, match=r"is not a duration\. Fix: write it as Prometheus does, such as 200ms"
    ) as caught:
        parse_duration(text)
    assert str(caught.value).startswith(repr(text))


@pytest.mark.parametrize(("parse", "unit"), [(parse_duration, "d"), (parse_size, "MiB")])
def test_a_number_of_thousands_of_digits_is_refused_with_a_fix(parse, unit):
    """An absurd number is refused with a sentence of ours, not with Python's own."""
    with pytest.raises(ValueError, match="Fix: "):
        parse("9" * 5_000 + unit)


@pytest.mark.parametrize(("text", "expected"), SIZES.items())
def test_a_size_is_read_in_bytes(text, expected):
    """A size is a whole number of bytes, or of binary units."""
    assert parse_size(text) == expected


@pytest.mark.parametrize("text", NO_SIZES)
def test_what_is_no_size_says_so_and_how_to_write_one(text):
    """A wrong size is quoted in the message, with examples as the fix."""
    with pytest.raises(ValueError, match=r"is not a size\. Fix: write a number of bytes with a unit") as caught:
        parse_size(text)
    assert str(caught.value).startswith(repr(text))


@given(st.text(st.characters(exclude_categories=())))
def test_no_text_breaks_a_scalar(text):
    """Any text is a value that is not negative, or a ValueError."""
    for parse in (parse_duration, parse_size):
        with suppress(ValueError):
            assert parse(text) >= 0


def test_a_secret_shows_itself_nowhere():
    """No way of writing a secret gives its value; only `reveal` does."""
    secret = Secret("hunter2-s3cret")
    ways = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r:>20}",
        repr([secret]),
        repr({"a": secret}),
    ]
    assert [way for way in ways if "s3cret" in way] == []
    assert repr(secret) == str(secret) == "<secret>"
    assert secret.reveal() == "hunter2-s3cret"
    with pytest.raises(TypeError, match="not JSON serializable"):
        json.dumps(secret)


def test_secrets_are_compared_by_value():
    """Equal secrets are equal, so that a reload sees whether one has changed, and no text equals a secret."""
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert copy.copy(Secret("a")) == pickle.loads(pickle.dumps(Secret("a"))) == Secret("a")  # noqa: S301 - our own bytes
