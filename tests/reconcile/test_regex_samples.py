"""Texts that a regular expression matches, as far as they can be guessed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.mapping.matcher import Matcher
from bridge.reconcile.regex_samples import MAX_SAMPLES, samples

GUESSED = {
    "critical|warning": ("critical", "warning"),
    "^(one|two)$": ("one", "two"),
    "team-(?:a|b)-.+": ("team-a-x", "team-b-x"),
    "prod-.*": ("prod-", "prod-x"),
    "(x|y)?z": ("xz", "yz", "z"),
    r"\d+\.\w{2}": ("0.aa",),
    "[ab]c": ("ac", "bc"),
    "[^ab]+": ("x", "0"),
    r"[]\]\d]": ("]", "0"),
    "[[:digit:][:alpha:]]": ("0", "a"),
    "(?P<name>n)(?i)m": ("nm",),
    "x{2,3}y*?": ("xxy", "xx"),
    r"\bword\b": ("word",),
    "": ("",),
}


@pytest.mark.parametrize(("pattern", "texts"), GUESSED.items())
def test_usual_expressions_are_guessed(pattern, texts):
    """Each text is one that the expression matches."""
    assert samples(pattern) == texts
    matcher = Matcher("a", "=~", pattern)
    assert [text for text in texts if not matcher.matches({"a": text})] == []


@pytest.mark.parametrize("pattern", ["[", "[[:digit:", "a\\", "(" * 5_000])
def test_what_cannot_be_read_gives_nothing(pattern):
    """Each guess is tried before it counts, so none is missed here."""
    assert samples(pattern) == ()


@given(st.text(alphabet="ab.*+?{}[]()|^$\\12,:-d", max_size=20))
def test_no_expression_is_too_much(pattern):
    """Whatever is written, a few texts come out."""
    assert len(samples(pattern)) <= MAX_SAMPLES
