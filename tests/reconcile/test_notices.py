"""What an operator is told about a source's Alertmanager: what keeps it from being held in step, with the fix."""

import pytest
from msgspec.structs import replace
from peers import CONFIG, T0, answer, listed, round_of, status

from bridge.clock import DAY, HOUR, MINUTE, SECOND
from bridge.ledger import SourceKnowledge
from bridge.mapping.switches import Switch
from bridge.reconcile import peer_findings
from bridge.reconcile.comparison import Memory, compare
from bridge.reconcile.lint import FINDING_KINDS
from bridge.reconcile.settings import AlertmanagerSettings

TIMED = CONFIG + "time_intervals: [{name: nights}]"
MUTED = TIMED.replace("repeat_interval: 4h}", "repeat_interval: 4h, mute_time_intervals: [nights]}")


def told(*rounds, receivers=("aom",), heard=()):
    """Give the notices after some rounds."""
    settings = AlertmanagerSettings(urls=("http://one",), receivers=receivers)
    memory, known = Memory(), SourceKnowledge(frozenset(heard))
    for latest in rounds:
        comparison = compare(settings, memory, latest, {}, {}, known, alarm_timeout=5 * DAY)
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


@pytest.mark.parametrize(
    ("every", "missing_after", "words"),
    [
        (2 * MINUTE, 4 * MINUTE, None),
        (MINUTE, 3 * MINUTE, "so it is late between two posts"),
        (5 * SECOND, 2 * MINUTE, "so it is missing between two posts, since missing_after is 2m"),
        (5 * SECOND, None, None),
    ],
)
def test_a_heartbeat_that_is_posted_too_rarely_is_told(every, missing_after, words):
    """A sender posts an alert again after half of its validity, which the API shows; a paused one says nothing."""
    switch = Switch("main", "", (), (), every, missing_after)
    settings, alert = AlertmanagerSettings(urls=("http://one",), receivers=("aom",)), listed(validity=4 * MINUTE - 3)
    latest = round_of(answer(alert))
    found = compare(settings, Memory(), latest, {}, {}, SourceKnowledge(), lambda _: switch, alarm_timeout=5 * DAY)
    texts = [one.text for one in found.notices.values()]
    if words is None:
        assert texts == []
    else:
        assert words in texts[0]
        assert "Fix: every: 2m, and missing_after: 4m or longer" in texts[0]


LOSING = CONFIG.replace("{url: <secret>}", "{url: <secret>, max_alerts: 5}").replace(
    "group_interval: 1m", "group_interval: 5s"
)


def lint_notices(*rounds, receivers=("aom",), heard=(), timeout=5 * DAY):
    """Give the notices after some rounds, by kind and subject."""
    settings = AlertmanagerSettings(urls=("http://one", "http://two"), receivers=receivers)
    memory, known = Memory(), SourceKnowledge(frozenset(heard))
    for latest in rounds:
        comparison = compare(settings, memory, latest, {}, {}, known, alarm_timeout=timeout)
        memory = comparison.memory
    return {
        (kind, subject): notice.text for (kind, subject), notice in comparison.notices.items() if kind in FINDING_KINDS
    }


def pair(one, two, **more):
    """Give a round in which two peers of a cluster answer, with these configurations."""
    peers = ["one", "two"]
    return round_of(answer(config=one, peers=peers), answer(url="http://two", config=two, peers=peers), **more)


def test_what_loses_alerts_is_told_once_for_all_peers():
    """Each with the line of the configuration as a peer shows it; two peers with the same configuration are one."""
    told = lint_notices(pair(LOSING, LOSING))
    assert set(told) == {
        ("short_group_interval", "receiver aom, line 2 of Alertmanager's configuration"),
        ("truncates", "receiver aom, line 3 of Alertmanager's configuration"),
    }
    assert all("(only" not in text for text in told.values())
    assert lint_notices(pair(CONFIG, CONFIG)) == {}


def test_of_peers_with_different_configurations_the_one_is_named():
    """A reload may have been forgotten there."""
    told = lint_notices(pair(CONFIG, LOSING))
    assert all(text.endswith(" (only http://two)") for text in told.values())
    assert len(told) == 2


def test_a_peer_that_does_not_answer_keeps_what_was_found():
    """Otherwise each of its restarts would say the same anew; one that has gone is forgotten."""
    both, silent = pair(LOSING, LOSING), round_of(failures={"http://one": "refused", "http://two": "refused"})
    assert lint_notices(both, silent) == lint_notices(both)
    other = pair(CONFIG, LOSING)
    assert lint_notices(other, round_of(answer(config=CONFIG))) == {}
    assert lint_notices(other, round_of(failures={"peers": "unknown"}, listed=False)) == lint_notices(other)


def test_the_number_of_peers_is_the_clusters():
    """Also where one of them is not asked."""
    assert len(lint_notices(round_of(answer(config=LOSING, peers=["one", "two"])))) == 2
    assert {kind for kind, _ in lint_notices(round_of(answer(config=LOSING)))} == {"truncates"}


def test_findings_are_of_the_named_receivers_or_of_those_that_webhooks_have_named():
    """While none is known, or none has a webhook, that alone is told."""
    assert lint_notices(pair(LOSING, LOSING), receivers=()) == {}
    assert lint_notices(pair(LOSING, LOSING), receivers=("mail",)) == {}
    assert len(lint_notices(pair(LOSING, LOSING), receivers=(), heard=("aom", "gone"))) == 2
    assert {kind for kind, _ in lint_notices(pair(CONFIG, CONFIG), receivers=("aom", "mail"))} == {"no_webhook"}


def test_several_findings_of_a_kind_are_one_notice():
    """It names the first lines; the text is that of the first."""
    routes = "".join(f"  - {{receiver: mail, matchers: [team=t{number}]}}\n" for number in range(7))
    text = f"route:\n  receiver: mail\n  routes:\n{routes}  - receiver: aom\n"
    text += "receivers: [{name: aom, webhook_configs: [{url: <secret>}]}, {name: mail, email_configs: [{}]}]"
    ((kind, subject),) = lint_notices(round_of(answer(config=text)))
    assert kind == "swallowed"
    assert subject == "receiver aom, lines 4, 5, 6, 7, 8 and 2 more of Alertmanager's configuration"


def test_a_configuration_is_looked_through_only_when_it_has_changed(monkeypatch):
    """Or when it is asked something else, such as with another timeout."""
    looked = []
    monkeypatch.setattr(peer_findings, "findings", lambda _, question: looked.append(question) or [])
    settings, known, memory = (
        AlertmanagerSettings(urls=("http://one",), receivers=("aom",)),
        SourceKnowledge(),
        Memory(),
    )
    rounds = [(CONFIG, DAY, 1), (CONFIG, DAY, 1), (LOSING, DAY, 2), (LOSING, HOUR, 3), (LOSING, HOUR, 3)]
    for text, timeout, count in rounds:
        latest = round_of(answer(config=text))
        memory = compare(settings, memory, latest, {}, {}, known, alarm_timeout=timeout).memory
        assert len(looked) == count
