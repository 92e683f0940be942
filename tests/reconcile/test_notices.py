"""What an operator is told about a source's Alertmanager: what keeps it from being held in step, with the fix."""

import pytest
from msgspec.structs import replace
from peers import CONFIG, T0, answer, round_of, status

from bridge.clock import MINUTE, SECOND
from bridge.ledger import SourceKnowledge
from bridge.reconcile.comparison import Memory, compare
from bridge.reconcile.settings import AlertmanagerSettings

TIMED = CONFIG + "time_intervals: [{name: nights}]"
MUTED = TIMED.replace("repeat_interval: 4h}", "repeat_interval: 4h, mute_time_intervals: [nights]}")


def told(*rounds, receivers=("aom",), heard=()):
    """Give the notices after some rounds."""
    settings = AlertmanagerSettings(urls=("http://one",), receivers=receivers)
    memory, known = Memory(), SourceKnowledge(frozenset(heard))
    for latest in rounds:
        comparison = compare(settings, memory, latest, {}, {}, known)
        memory = comparison.memory
    return {kind: notice.text for (kind, _), notice in comparison.notices.items()}


def test_where_all_is_well_nothing_is_told():
    """A clock may be a minute off, which harms nothing."""
    assert told(round_of(answer(date=T0 + MINUTE))) == {}
    assert told(round_of(answer()), receivers=(), heard=("aom",)) == {}


def test_a_peer_that_gives_no_valid_answer_is_told_with_the_reason():
    """Nothing is ended by absence meanwhile."""
    text = told(round_of(answer(), failures={"http://two": "it answered 503: busy"}))["silent"]
    assert text == "the peer gives no valid answer, so no alarm is ended by absence: it answered 503: busy"


@pytest.mark.parametrize(("skew", "words"), [(61 * SECOND, "1m1s ahead of"), (-10 * MINUTE, "10m behind")])
def test_a_clock_that_differs_by_more_than_a_minute_is_told(skew, words):
    """The bridge compares by the peer's own clock; people compare by theirs."""
    assert words in told(round_of(answer(date=T0 + skew)))["clock"]


def test_a_load_balancer_is_told():
    """Two processes answer at one address, and neither was restarted."""
    one, two = (answer(name=name, peers=["a", "b"]) for name in ("a", "b"))
    assert "Fix: urls with every peer" in told(round_of(one), round_of(two), round_of(one))["balancer"]


def test_a_peer_that_is_not_asked_is_told_by_its_gossip_address():
    """The cluster knows it, and no address shows it; while another peer does not answer it may be that one."""
    one = answer()
    one = replace(one, status=replace(one.status, peers={"one": "10.0.0.1:9094", "two": "10.0.0.2:9094"}))
    assert "its gossip address: 10.0.0.2:9094" in told(round_of(one))["unlisted"]
    assert "unlisted" not in told(round_of(one, failures={"http://two": "refused"}))


def test_unknown_receivers_are_told():
    """None is named and no webhook has come, or the named ones have no webhook at Alertmanager."""
    assert "it is not known which receiver sends" in told(round_of(answer()), receivers=())["no_receiver"]
    assert "none of the receivers mail has a webhook" in told(round_of(answer()), receivers=("mail",))["no_receiver"]


@pytest.mark.parametrize(("version", "is_told"), [("0.25.0", True), ("0.28.1", False), ("1.0.0-rc.1", False)])
def test_a_version_that_does_not_show_what_is_muted_by_time_is_told(version, is_told):
    """Only where routes to the bridge have time intervals."""
    old = replace(status(config=MUTED), version=version)
    assert ("hidden_mutes" in told(round_of(replace(answer(), status=old)))) is is_told
    assert told(round_of(replace(answer(), status=replace(old, config=TIMED)))) == {}
