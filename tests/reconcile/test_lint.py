"""What loses alerts in a configuration of Alertmanager: each finding with its line, and what must be none."""

import pytest
from plain_words import is_plain

from bridge.clock import DAY, HOUR
from bridge.reconcile.lint import Question, findings, nothing_is_sent, probable_receivers
from bridge.reconcile.routing import parse_routing

GOOD = """\
global: {resolve_timeout: 5m}
route:
  receiver: mail
  routes:
  - receiver: aom
    continue: true
    group_interval: 30s
    repeat_interval: 2h
  - receiver: pager
    matchers: [severity="critical"]
receivers:
- name: mail
  email_configs: [{to: a@example.org}]
- name: pager
  webhook_configs: [{url: https://pager.example/v2/alerts, send_resolved: false, max_alerts: 1}]
- name: aom
  webhook_configs:
  - url: http://aom-bridge:9876/webhook
    send_resolved: true
    max_alerts: 0
"""


def told(text, *receivers, named=True, peers=1, timeout=5 * DAY, in_step=True, sources=()):
    """Give what is found: kind, receiver, line and sentence."""
    question = Question(frozenset(receivers or ("aom",)), named, peers, timeout, in_step, frozenset(sources))
    return [(one.kind, one.receiver, one.line, one.text) for one in findings(parse_routing(text), question)]


def only(text, *receivers, **more):
    """Give the one finding."""
    (one,) = told(text, *receivers, **more)
    assert is_plain(one[3])
    return one


def test_nothing_is_found_where_all_is_well():
    """What is wrong with the receivers of others is none of ours."""
    assert told(GOOD, peers=3, timeout=4 * HOUR) == []


def test_a_webhook_without_resolves_is_found():
    """Its alarms are cleared by age alone, or by what the API shows."""
    text = GOOD.replace("send_resolved: true", "send_resolved: false")
    kind, receiver, line, sentence = only(text)
    assert (kind, receiver, line) == ("no_resolves", "aom", 19)
    assert "are cleared late, by what the API shows. Fix: send_resolved: true." in sentence
    assert "are cleared by age alone. Fix" in only(text, in_step=False)[3]
    assert only(GOOD.replace("send_resolved: true", "send_resolved: no"))[0] == "no_resolves"


def test_a_webhook_that_truncates_is_found():
    """Whatever the number is."""
    text = GOOD.replace("max_alerts: 0", "max_alerts: 50")
    kind, receiver, line, sentence = only(text, in_step=False)
    assert (kind, receiver, line) == ("truncates", "aom", 20)
    assert "leaves out all but 50 alerts of a group (max_alerts), and the others are lost. Fix: max_al" in sentence
    assert "and the others come late, by what the API shows. Fix: max_alerts: 0." in only(text)[3]


BESIDE = "  - {url: https://chat.example/hooks/1, send_resolved: false, max_alerts: 5}\n"


def test_a_webhook_that_is_visibly_to_another_is_not_judged():
    """It has another path than the bridge's; a masked one may be the bridge's."""
    assert told(GOOD + BESIDE) == []
    kinds = [kind for kind, *_ in told(GOOD + BESIDE.replace("https://chat.example/hooks/1", "<secret>"))]
    assert kinds == ["no_resolves", "truncates"]
    assert told(GOOD.replace(":9876/webhook", "/behind/a/proxy") + BESIDE.replace("hooks/1", "webhook/a"))[0][2] == 21


URL = "http://aom-bridge:9876/webhook"
RIGHT = {
    "a source": URL + "/prod",
    "a prefix and a slash": "https://gate.example/aom/webhook/prod/",
    "a query": URL + "?a=b",
    "masked": "<secret>",
    "a template": "'http://aom-bridge/{{ .Receiver }}'",
    "a placeholder": "http://aom-bridge:9876/${HOOK}",
    "no address": "'http://[aom'",
}
WRONG = {
    "misspelled": "http://aom-bridge:9876/webhok",
    "no path": "http://aom-bridge:9876",
    "another path": "http://aom-bridge/api/v2/alerts",
    "too long": URL + "/a/b",
    "two slashes": URL + "//",
    "in capitals": "http://aom-bridge:9876/Webhook",
}


@pytest.mark.parametrize("url", RIGHT.values(), ids=RIGHT)
def test_a_path_of_the_bridge_or_an_unknown_one_is_right(url):
    """A proxy may add a prefix; what is masked, in a file or made by a template is not known."""
    assert told(GOOD.replace(URL, url)) == []
    assert told(GOOD.replace(f"url: {URL}", "url_file: /etc/hook")) == []


@pytest.mark.parametrize("url", WRONG.values(), ids=WRONG)
def test_a_path_that_the_bridge_does_not_have_is_found(url):
    """At the line of the url, which is not shown, since the path of another service may be its secret."""
    kind, receiver, line, sentence = only(GOOD.replace(URL, url), in_step=False)
    assert (kind, receiver, line) == ("wrong_path", "aom", 18)
    assert "answers 404 and its alerts are lost. Fix: a url that ends in /webhook or /webhook/SOURCE" in sentence
    assert url not in sentence
    assert "its alerts come late, by what the API shows. Fix" in only(GOOD.replace(URL, url))[3]


def test_a_wrong_path_is_found_beside_a_right_one():
    """At the port of the bridge; what has another port is to another service."""
    beside = "  - {url: http://aom-bridge:9876/webhok}\n"
    assert only(GOOD + beside)[:3] == ("wrong_path", "aom", 21)
    assert told(GOOD + beside.replace(":9876", "")) == []
    alone = GOOD.replace(URL, "https://chat.example/hooks/1") + beside.replace(":9876", "")
    assert only(alone)[:3] == ("wrong_path", "aom", 21)


def test_a_source_that_is_not_configured_is_found_where_the_sources_are_known():
    """The bridge answers 404 to it as well."""
    text = GOOD.replace(URL, URL + "/prd")
    kind, _, line, sentence = only(text, sources=("prod", "test"))
    assert (kind, line) == ("wrong_path", 18)
    assert "Fix: a url that ends in /webhook or /webhook/SOURCE with one of prod, test." in sentence
    assert told(text) == told(text, sources=("prd",)) == []


@pytest.mark.parametrize(("group", "peers", "is_found"), [("14s", 2, True), ("15s", 3, False), ("1s", 1, False)])
def test_a_group_interval_under_the_peers_wait_is_found(group, peers, is_found):
    """Only where there are several peers: a peer that waits sends what was true before."""
    found = told(GOOD.replace("30s", group), peers=peers)
    assert [one[:3] for one in found] == [("short_group_interval", "aom", 7)] * is_found
    assert all("with 2 peers each waits up to 15s" in one[3] and is_plain(one[3]) for one in found)


def test_an_inherited_interval_is_found_once_where_it_is_set():
    """For all receivers of ours together, and not for what sets its own."""
    text = """\
route:
  receiver: aom
  group_interval: 5s
  routes: [{receiver: aom, matchers: [a=b]}, {receiver: two, matchers: [a=c]}, {receiver: two, group_interval: 1m}]
receivers: [{name: aom, webhook_configs: [{url: <secret>}]}, {name: two, webhook_configs: [{url: <secret>}]}]
"""
    assert only(text, "aom", "two", peers=2)[:3] == ("short_group_interval", "aom, two", 3)


def test_a_repeat_interval_over_half_of_the_timeout_is_found():
    """The bridge repeats by itself what the API shows; that helps as long as the API answers."""
    kind, receiver, line, sentence = only(GOOD, timeout=4 * HOUR - 1)
    assert (kind, receiver, line) == ("rare_repeats", "aom", 8)
    assert "while Alertmanager's API cannot be asked, that clears alarms that still fire. Fix" in sentence
    assert "a single repeat that is late or lost" in only(GOOD, timeout=3 * HOUR, in_step=False)[3]
    sentence = only(GOOD, timeout=2 * HOUR, in_step=False)[3]
    assert "repeat_interval of aom is 2h" in sentence
    assert "so it clears alarms that still fire. Fix: a repeat_interval of at most 1h" in sentence


def test_a_default_repeat_interval_is_found_at_the_root():
    """Alertmanager's own is 4 hours."""
    assert only(GOOD.replace("    repeat_interval: 2h\n", ""), timeout=7 * HOUR)[:3] == ("rare_repeats", "aom", 2)


def test_a_named_receiver_without_a_webhook_is_found():
    """It is not there, or has only other integrations; one that webhooks have named may have gone."""
    assert only(GOOD, "aom", "oam")[:3] == ("no_webhook", "oam", 11)
    assert "Fix: did you mean 'aom'?" in only(GOOD, "aom", "oam")[3]
    assert only(GOOD, "aom", "mail")[:3] == ("no_webhook", "mail", 12)
    assert told(GOOD, "aom", "oam", "mail", named=False) == []
    assert "Fix: add it, with webhook_configs." in only("route: {receiver: a}\nreceivers: [{name: a}]")[3]


def test_a_named_receiver_to_which_no_route_leads_is_found():
    """Its webhook never sends anything."""
    assert only(GOOD.replace("- receiver: aom", "- receiver: mail"))[:3] == ("no_route", "aom", 16)
    assert told(GOOD.replace("- receiver: aom", "- receiver: mail"), named=False) == []


def test_a_route_in_front_that_takes_alerts_is_found():
    """With its line, that of ours, and an alert that it takes."""
    text = GOOD.replace("    continue: true\n", "").replace("- receiver: aom", "- receiver: mail", 1)
    text = text.replace("- receiver: pager\n    matchers", "- receiver: aom\n    matchers")
    kind, receiver, line, sentence = only(text)
    assert (kind, receiver, line) == ("swallowed", "aom", 5)
    assert 'takes alerts from the one to aom behind it (line 8), such as one with severity="critical"' in sentence
    assert "Fix: put that one in front of it with continue: true, or give this one continue: true." in sentence


def test_the_fix_names_the_route_that_must_move():
    """Ours may be below a sibling of the route that takes the alerts."""
    text = """\
route:
  receiver: mail
  routes:
  - receiver: mail
    matchers: ['owner!="x"']
  - matchers: [team=db]
    routes:
    - receiver: aom
receivers: [{name: mail, email_configs: [{}]}, {name: aom, webhook_configs: [{url: <secret>}]}]
"""
    _, _, line, sentence = only(text)
    assert line == 4
    assert '(line 8), such as one with team="db"' in sentence
    assert "Fix: put the route of line 6 in front of it" in sentence
    assert "even one without labels" in only(text.replace("[team=db]", "[]"))[3]


KUBE_PROMETHEUS = """\
route:
  receiver: Default
  group_interval: 5m
  repeat_interval: 12h
  routes:
  - {receiver: Watchdog, matchers: [alertname = Watchdog]}
  - {receiver: "null", matchers: [alertname = InfoInhibitor]}
  - {receiver: Critical, matchers: [severity = critical]}
receivers:
- name: Default
- name: Watchdog
- name: Critical
- name: "null"
"""
WEBHOOK = "\n  webhook_configs: [{url: http://aom-bridge:9876/webhook}]"
MAIL = "\n  email_configs: [{to: a@example.org}]"


def test_the_default_of_kube_prometheus_is_judged_as_its_user_fills_it():
    """Its receivers notify nobody at first; once they do, what a route takes from the bridge is said."""
    ours_last = KUBE_PROMETHEUS.replace("name: Critical", "name: Critical" + WEBHOOK)
    assert told(ours_last, "Critical") == []
    found = told(ours_last.replace("name: Watchdog", "name: Watchdog" + MAIL), "Critical")
    assert [one[:3] for one in found] == [("swallowed", "Critical", 6)]
    assert 'such as one with alertname="Watchdog", severity="critical"' in found[0][3]
    assert told(KUBE_PROMETHEUS.replace("name: Default", "name: Default" + WEBHOOK), "Default") == []


NESTED = """\
route:
  receiver: team-a
  routes:
  - match_re: {service: ^(one|two)$}
    receiver: team-a
    routes:
    - {match: {severity: critical}, receiver: pager-a}
  - match: {service: three}
    receiver: team-b
    continue: true
    routes:
    - {match: {severity: critical}, receiver: pager-b, continue: true}
    - {receiver: team-b}
  - match: {service: database}
    receiver: aom
    mute_time_intervals: [nights]
    routes:
    - {match: {owner: a}, receiver: team-a}
  - {receiver: aom, match_re: {service: "four|two"}}
receivers:
- {name: team-a, email_configs: [{}]}
- {name: pager-a, pagerduty_configs: [{}]}
- {name: team-b, email_configs: [{}]}
- {name: pager-b, pagerduty_configs: [{}]}
- {name: aom, webhook_configs: [{url: <secret>}]}
time_intervals: [{name: nights}]
"""


def test_nested_routes_of_the_older_form_are_judged():
    """Of two lists of services one value is common; the other routes are apart, or below ours, or continue."""
    kind, _, line, sentence = only(NESTED)
    assert (kind, line) == ("swallowed", 4)
    assert '(line 19), such as one with service="two"' in sentence
    assert told(NESTED.replace("four|two", "four|five")) == []


OPERATOR = """\
route:
  receiver: "null"
  routes:
  - receiver: shop/alerts/aom
    matchers: [namespace="shop"]
    continue: true
    routes:
    - {receiver: shop/alerts/pager, matchers: [severity="critical"]}
    - {receiver: shop/alerts/aom}
  - receiver: infra/alerts/aom
    matchers: [namespace="infra"]
    continue: true
  - {receiver: "null", matchers: [alertname="Watchdog"]}
receivers:
- name: "null"
- {name: shop/alerts/aom, webhook_configs: [{url: <secret>}]}
- {name: shop/alerts/pager, pagerduty_configs: [{}]}
- {name: infra/alerts/aom, webhook_configs: [{url: <secret>}]}
"""


def test_the_routes_of_the_operator_are_judged_each_within_its_namespace():
    """The operator makes them continue, and adds the matcher of the namespace."""
    found = told(OPERATOR, "shop/alerts/aom", "infra/alerts/aom")
    assert [one[:3] for one in found] == [("swallowed", "shop/alerts/aom", 8)]
    assert 'namespace="shop", severity="critical"' in found[0][3]


def test_probable_receivers_are_those_with_a_webhook_that_may_be_to_the_bridge():
    """Where none is named: by the path or the port, where they are visible; or else by a path that reads nearly so."""
    assert probable_receivers(parse_routing(GOOD)) == {"aom"}
    assert probable_receivers(parse_routing(OPERATOR)) == {"shop/alerts/aom", "infra/alerts/aom"}
    assert probable_receivers(parse_routing(GOOD.replace("/webhook\n", "/\n"))) == {"aom"}
    assert probable_receivers(parse_routing(GOOD.replace(":9876/webhook", "/aom/webhok"))) == {"aom"}
    both = GOOD.replace("https://pager.example/v2/alerts", "http://aom-bridge:9876/webhok")
    assert probable_receivers(parse_routing(both)) == {"aom", "pager"}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (KUBE_PROMETHEUS, 9, "no receiver has a webhook, so"),
        (GOOD.replace(":9876/webhook", "/alerts"), 11, "no receiver has a webhook whose url ends in /webhook or"),
    ],
    ids=["none", "others"],
)
def test_where_no_webhook_is_to_the_bridge_that_is_told(text, line, words):
    """No receiver is judged then: each of them may be right for another service."""
    routing = parse_routing(text)
    assert probable_receivers(routing) == frozenset()
    found = nothing_is_sent(routing)
    assert (found.kind, found.line) == ("no_webhook", line)
    assert words in found.text
    assert is_plain(found.text)
