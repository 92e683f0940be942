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


def told(text, *receivers, named=True, peers=1, timeout=5 * DAY, in_step=True):
    """Give what is found: kind, receiver, line and sentence."""
    question = Question(frozenset(receivers or ("aom",)), named, peers, timeout, in_step)
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
    assert told(GOOD.replace("/webhook", "/behind/a/proxy") + BESIDE.replace("hooks/1", "webhook/a"))[0][2] == 21
    assert told(GOOD.replace("9876/webhook", "9876/other").replace("max_alerts: 0", "max_alerts: 1"))[0][2] == 20


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
    """Where none is named: by the path, where it is visible; or else every one with a webhook."""
    assert probable_receivers(parse_routing(GOOD)) == {"aom"}
    assert probable_receivers(parse_routing(OPERATOR)) == {"shop/alerts/aom", "infra/alerts/aom"}
    assert probable_receivers(parse_routing(GOOD.replace("/webhook\n", "/\n"))) == {"aom", "pager"}
    none = parse_routing(KUBE_PROMETHEUS)
    assert probable_receivers(none) == frozenset()
    assert (nothing_is_sent(none).kind, nothing_is_sent(none).line) == ("no_webhook", 9)
    assert is_plain(nothing_is_sent(none).text)
