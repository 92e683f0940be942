"""What the demo draws: everything that people need is there, on small terminals as well."""

import io

import pytest
from msgspec.structs import replace
from rich.console import Console

from bridge.demo.acts import ACTS
from bridge.demo.bridge_api import Figures
from bridge.demo.pace import Pace
from bridge.demo.view import Picture, render
from bridge.web.languages import ENGLISH, Span, language

FIGURES = Figures(received=181, waiting=7, in_flight=3, accepted=105, rejected=1, sentence="AOM is in step")


def event(severity, name):
    """Give an active alarm as AOM's list shows it."""
    metadata = {"event_severity": severity, "event_name": name, "resource_id": "clusterName=demo;kind=Node;name=n"}
    return {"metadata": metadata, "annotations": {"message": "one\nline"}}


def drawn(picture, width, height, pace=None):
    """Give the lines of the view."""
    console = Console(file=io.StringIO(), width=width, height=height)
    console.print(render(picture, pace or Pace(1.0), width, height))
    return console.file.getvalue().splitlines()


@pytest.fixture
def picture():
    """The second act, with some alarms."""
    one = Picture([act.title for act in ACTS], "http://127.0.0.1:9876", "http://127.0.0.1:9877", figures=FIGURES)
    one.begin(2)
    one.say("AOM is down: " + "it answers every request with 503. " * 4)
    one.active = [event("Minor", "KubePodNotReady"), event("Critical", "KubeletDown"), event("Minor", "TargetDown")]
    return one


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (200, 60)])
def test_the_view_fits_and_shows_where_else_to_look(picture, width, height):
    """Caption, figures, severities, addresses, commands and keys fit on a terminal of 80 times 24 and more."""
    lines = drawn(picture, width, height)
    assert len(lines) <= height
    text = "\n".join(lines)
    for words in ("act 2 of 6", "AOM is down", "181", "105", "AOM shows 3 alarms", "Critical    1", "space pause"):
        assert words in text
    for words in ("http://127.0.0.1:9876/", "http://127.0.0.1:9877/", "alarms list --url http://127.0.0.1:9876"):
        assert words in text


SENTENCES = {
    "silent": "status_silent",
    "silent since": "status_silent_since",
    "a silent peer": "status_peer_silent",
    "in step": "status_in_step_since",
    "waiting": "status_waiting_next",
}


@pytest.mark.parametrize("key", SENTENCES.values(), ids=SENTENCES)
def test_what_the_bridge_says_is_there_as_a_whole(picture, key):
    """Also on 80 columns, and what follows stays where it is when the sentence changes."""
    short = drawn(picture, 80, 24)
    minute = Span(61_000)
    values = {"source": "demo", "age": minute, "peer": "http://127.0.0.1:34567", "count": 12, "target": "default"}
    sentence = language(ENGLISH).text(key, **values, next=minute)
    picture.figures = replace(FIGURES, sentence=sentence)
    lines = drawn(picture, 80, 24)
    assert f"the bridge says: {sentence}" in " ".join(" ".join(lines).split())
    assert [line.startswith("╭") for line in lines] == [line.startswith("╭") for line in short]
    assert len(lines) == len(short)
    picture.figures = replace(FIGURES, sentence="very long " * 40)
    assert len(drawn(picture, 80, 24)) == len(short)


def test_the_worst_alarm_is_first(picture):
    """Of the alarms the worst are listed first, each in one line."""
    text = "\n".join(drawn(picture, 100, 30))
    assert text.index("KubeletDown") < text.index("TargetDown") < text.index("KubePodNotReady")
    assert "one line" in text


def test_a_dead_bridge_is_said(picture):
    """Without figures no number is shown, but that the bridge does not answer."""
    picture.figures = None
    text = "\n".join(drawn(picture, 80, 24))
    assert "the bridge does not answer" in text
    assert "181" not in text


def test_after_the_acts_it_is_said_how_to_use_it(picture):
    """At the end the view says where a real Alertmanager posts its webhooks."""
    picture.end()
    lines = drawn(picture, 80, 24)
    assert len(lines) <= 24
    assert "http://127.0.0.1:9876/webhook" in "\n".join(lines)


def test_a_held_demo_is_said(picture):
    """Who has pressed space sees why nothing moves."""
    pace = Pace(1.0)
    pace.hold()
    assert "paused" in drawn(picture, 80, 24, pace)[0]
