"""What a peer's configuration says about the receivers that send to the bridge."""

import pytest

from bridge.clock import HOUR, MINUTE, SECOND
from bridge.reconcile.alertmanager_yaml import UnreadableRoutingError
from bridge.reconcile.routing import parse_routing, read_routing
from bridge.reconcile.rules import DEFAULT_MISSING_AFTER, missing_after

ORIGINAL = """
global: {resolve_timeout: 5m, smtp_auth_password: <secret>}
route:
  receiver: mail
  group_interval: 2m
  routes:
  - receiver: aom
    group_wait: 5s
    matchers: ['team="infra"']
    routes:
    - {repeat_interval: 1h, mute_time_intervals: [nights]}
  - {receiver: other, continue: true}
receivers:
- name: mail
  email_configs: [{to: a@example.org}]
- name: aom
  webhook_configs: [{url: <secret>, max_alerts: 0}, {url: <secret>, send_resolved: false, max_alerts: 20}]
- name: other
  webhook_configs: [{url: <secret>}]
"""


def test_a_route_has_the_values_of_the_routes_above_it():
    """Receiver and times are inherited, time intervals are not; where nobody sets one, it is Alertmanager's default."""
    routing = read_routing(ORIGINAL)
    first, second = routing.to({"aom"})
    assert times(first) == (5 * SECOND, 2 * MINUTE, 4 * HOUR, False)
    assert times(second) == (5 * SECOND, 2 * MINUTE, HOUR, True)
    (other,) = routing.to({"other"})
    assert times(other) == (30 * SECOND, 2 * MINUTE, 4 * HOUR, False)


def times(route):
    """Give the times of a route, and whether time intervals apply to it."""
    return route.group_wait, route.group_interval, route.repeat_interval, route.is_timed


def test_a_route_knows_its_place_and_where_its_times_are_set():
    """The lines count from 1; a time that no route sets has the line of the root."""
    root, aom, night, other = read_routing(ORIGINAL).routes
    assert [route.line for route in (root, aom, night, other)] == [4, 7, 11, 12]
    assert [route.depth for route in (root, aom, night, other)] == [0, 1, 2, 1]
    assert [route.continues for route in (root, aom, night, other)] == [False, False, False, True]
    assert (night.group_line, night.repeat_line) == (5, 11)
    assert (other.group_line, other.repeat_line) == (5, 3)


MATCHERS = {
    "a list of texts": """matchers: ['a="b"', 'c!~"d.*"']""",
    "several in one text": """matchers: ['{a="b", c!~"d.*"}']""",
    "one text alone": """matchers: 'a="b", c!~"d.*"'""",
    "both forms": """match: {a: b}, matchers: ['c!~"d.*"']""",
}


@pytest.mark.parametrize("text", MATCHERS.values(), ids=MATCHERS)
def test_matchers_are_read_in_each_form(text):
    """As a list of texts, as one text, and as the older maps."""
    (route,) = read_routing(f"route: {{{text}}}").routes
    assert [matcher.text for matcher in route.matchers] == ['a="b"', 'c!~"d.*"']


def test_the_older_map_of_expressions_is_read():
    """Alertmanager anchors each of them at both ends; a value is text, whatever YAML makes of it."""
    (route,) = read_routing("route: {match_re: {a: b|c}, match: {paging: true}}").routes
    assert [matcher.text for matcher in route.matchers] == ['paging="true"', 'a=~"b|c"']


def test_what_cannot_be_read_of_the_matchers_leaves_the_rest():
    """Another version may read them; the routes' times and receivers are known all the same."""
    routing = read_routing("route:\n  receiver: aom\n  routes:\n  - match_re: {a: '('}\n  - matchers: ['a b', c=d]")
    assert [route.receiver for route in routing.routes] == ["aom", "aom", "aom"]
    assert [route.matchers for route in routing.routes] == [(), None, None]
    assert [line for line, _ in routing.faults] == [4, 5]


def test_anchors_and_merge_keys_are_followed():
    """Files have them; a peer shows what they stand for."""
    text = "route:\n  routes:\n  - &a {receiver: aom, continue: yes}\n  - {<<: *a, receiver: other}\n  - *a"
    routes = read_routing(text).routes[1:]
    assert [(route.receiver, route.continues, route.line) for route in routes] == [
        ("aom", True, 3),
        ("other", True, 4),
        ("aom", True, 3),
    ]


def test_only_receivers_with_a_webhook_can_send_to_the_bridge():
    """The others have none of its addresses, whatever their name is."""
    routing = read_routing(ORIGINAL)
    told = {
        name: [(webhook.sends_resolved, webhook.max_alerts) for webhook in each]
        for name, each in routing.webhooks.items()
    }
    assert told == {"aom": [(True, 0), (False, 20)], "other": [(True, 0)]}
    assert {name: one.notifies for name, one in routing.receivers.items()} == dict.fromkeys(
        ("mail", "aom", "other"), True
    )
    assert (routing.receivers["aom"].line, routing.receivers_line) == (16, 13)


@pytest.mark.parametrize(
    "text", ["", "[", "a: [", "- a", "route: []", "route: {group_wait: soon}", "receivers: [{webhook_configs: [{}]}]"]
)
def test_what_cannot_be_read_is_no_routing(text):
    """A peer that shows no configuration, or another one than expected, leads to no decision."""
    routing = read_routing(text)
    assert routing is None or routing.routes == ()


BROKEN = {
    "a: [": (2, "not YAML"),
    "- a": (1, "it has no sections"),
    "route:\n  group_wait: soon": (2, "group_wait: 'soon' is not a duration"),
    "receivers:\n- name: a\n- b": (1, "receivers: a list of sections is expected"),
    "receivers: [{webhook_configs: [{max_alerts: many}]}]": (1, "max_alerts: a whole number is expected"),
    "route:\n  routes:\n  - {continue: maybe}": (3, "continue: true or false is expected"),
    "route:\n  receiver: [a]": (2, "receiver: a single value is expected"),
    "route:\n  match: a": (2, "match: a section is expected"),
    "route:\n  matchers: {a: b}": (2, "matchers: a list of values is expected"),
    "route: &a {routes: [*a]}": (1, "not YAML: found unconstructable recursive node"),
    "route: " + "{routes: [" * 210 + "]}" * 210: (1, "nested too deep"),
    "a: !b c": (1, "tags are not read"),
    "a: \0": (1, "not YAML"),
}


@pytest.mark.parametrize(("text", "told"), BROKEN.items(), ids=range(len(BROKEN)))
def test_what_is_no_configuration_is_told_with_its_line(text, told):
    """And with a fix, as every message."""
    with pytest.raises(UnreadableRoutingError) as caught:
        parse_routing(text)
    line, words = told
    assert (caught.value.line, words in str(caught.value)) == (line, True), str(caught.value)
    assert ". Fix: " in str(caught.value)


def test_the_wait_for_a_webhook_follows_from_the_slowest_route_and_the_number_of_peers():
    """Each further peer waits 15 s longer; unknown routes are taken as Alertmanager's defaults."""
    routes = read_routing(ORIGINAL).to({"aom", "other"})
    assert missing_after(routes, 1) == 2 * MINUTE + 30 * SECOND + 30 * SECOND
    assert missing_after(routes, 3) == missing_after(routes, 1) + 30 * SECOND
    assert missing_after((), 2) == DEFAULT_MISSING_AFTER
