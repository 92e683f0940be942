"""Every text of a page is there in every language, with the same values, and none is left over."""

import re
from importlib.resources import files
from string import Formatter

import pytest
import yaml

from bridge.html import span_parts
from bridge.web.languages import LANGUAGES, Key, Span, chosen, language

TEXTS = {code: language(code).texts for code in LANGUAGES}
TEMPLATES = {file.name: file.read_text() for file in (files("bridge.web.pages") / "templates").iterdir()}
COMPOSED = (
    "action_",
    "cause_",
    "check_",
    "difference_",
    "edit_",
    "effect_",
    "error_",
    "event_",
    "health_",
    "heartbeat_",
    "order_",
    "filter_",
    "alarm_",
    "plot_",
    "severity_",
    "stage_",
    "state_",
    "status_",
    "unit_",
)
"""The beginnings of keys that code and templates put together from a word of a closed set."""


def forms(text):
    """Give the forms of a text."""
    return [text] if isinstance(text, str) else list(text.values())


def values(text):
    """Give the names of the values of a text."""
    return {name for form in forms(text) for _, name, _, _ in Formatter().parse(form) if name is not None}


@pytest.mark.parametrize("code", [code for code in LANGUAGES if code != "en"])
def test_no_text_is_untranslated(code):
    """Each catalogue has the keys of English, each with the same values; a text that counts does so in each."""
    english, other = TEXTS["en"], TEXTS[code]
    assert set(english) == set(other)
    for key in english:
        assert values(english[key]) == values(other[key]), key
        assert isinstance(english[key], str) == isinstance(other[key], str), key


@pytest.mark.parametrize("code", LANGUAGES)
def test_no_key_stands_twice(code):
    """YAML would take the last one silently."""
    lines = (files("bridge.web") / "texts" / f"{code}.yaml").read_text("utf-8").splitlines()
    keys = [line.partition(":")[0] for line in lines if re.match(r"[a-zA-Z_]+:", line)]
    assert len(keys) == len(set(keys))


def test_templates_use_texts_that_are_there():
    """Each key that a template names has a text, and no page has words of its own outside the catalogues."""
    for name, text in TEMPLATES.items():
        for key in re.findall(r"""\bt\("([a-zA-Z0-9_]+)"[,)]""", text):
            assert key in TEXTS["en"], f"{name}: {key}"
        plain = re.sub(r"\{%.*?%\}|\{\{.*?\}\}", " ", text, flags=re.DOTALL)
        words = re.sub(r"<[^>]*>", " ", plain)
        left = set(re.findall(r"[A-Za-z]{3,}", words)) - {"aom", "bridge"}
        assert not left, f"{name} has words that no language translates: {left}"


def test_no_text_is_left_over():
    """A text that neither a template nor the code names is dead."""
    code = "".join(file.read_text() for file in files("bridge.web").rglob("*.py"))
    named = "".join(TEMPLATES.values()) + code
    left = [key for key in TEXTS["en"] if f'"{key}"' not in named and not key.startswith(COMPOSED)]
    assert left == []


def test_a_value_is_never_a_format():
    """A label that looks like a format is shown as it is."""
    assert language("en").text("edit_refused", text="{secret} {0}") == "Not done: {secret} {0}"


def test_durations_and_keys_are_written_in_the_language():
    """A span and a key that are values are written in the text's own language."""
    text = language("zh").text("status_difference", count=1, source="s", kind=Key("difference_vanished"))
    assert "已没有节点" in text
    assert language("en").text("ago", age=Span(3_600_000)) == "1 h ago"


@pytest.mark.parametrize(
    ("span", "parts"),
    [
        (0, [(0, "s")]),
        (4_999, [(4, "s")]),
        (61_000, [(1, "min")]),
        (3_600_000, [(1, "h")]),
        (5_400_000, [(1, "h"), (30, "min")]),
        (100_800_000, [(1, "d"), (4, "h")]),
        (-5, [(0, "s")]),
    ],
)
def test_spans_have_one_or_two_units(span, parts):
    """Small spans have one unit, hours and days two; a span below 0 is none."""
    assert span_parts(span) == parts


@pytest.mark.parametrize(
    ("asked", "accepted", "code"),
    [
        ("", "", "en"),
        ("", "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("", "fr,zh;q=0.2,en;q=0.5", "en"),
        ("zh", "en", "zh"),
        ("xx", "zh", "zh"),
        ("", "en;q=nonsense, zh", "zh"),
        ("", "," * 10_000, "en"),
    ],
)
def test_the_browser_chooses_the_language_and_the_address_overrules_it(asked, accepted, code):
    """The most wanted language that there is; English if there is none."""
    assert chosen(asked, accepted) == code


def test_catalogues_hold_texts_alone():
    """A value such as `no` or a number, which YAML reads as something else, is in quotes."""
    for code in LANGUAGES:
        raw = yaml.safe_load((files("bridge.web") / "texts" / f"{code}.yaml").read_text("utf-8"))
        assert all(isinstance(form, str) for text in raw.values() for form in forms(text))
