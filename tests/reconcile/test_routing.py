"""What a peer's configuration says about the receivers that send to the bridge."""

import pytest

from bridge.clock import HOUR, MINUTE, SECOND
from bridge.reconcile.routing import Route, Webhooks, read_routing
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
    assert routing.to({"aom"}) == (
        Route("aom", 5 * SECOND, 2 * MINUTE, 4 * HOUR, is_timed=False),
        Route("aom", 5 * SECOND, 2 * MINUTE, HOUR, is_timed=True),
    )
    assert routing.to({"other"}) == (Route("other", 30 * SECOND, 2 * MINUTE, 4 * HOUR, is_timed=False),)


def test_only_receivers_with_a_webhook_can_send_to_the_bridge():
    """The others have none of its addresses, whatever their name is."""
    assert read_routing(ORIGINAL).webhooks == {
        "aom": Webhooks(sends_resolved=False, max_alerts=20),
        "other": Webhooks(sends_resolved=True, max_alerts=0),
    }


@pytest.mark.parametrize(
    "text", ["", "[", "a: [", "- a", "route: []", "route: {group_wait: soon}", "receivers: [{webhook_configs: [{}]}]"]
)
def test_what_cannot_be_read_is_no_routing(text):
    """A peer that shows no configuration, or another one than expected, leads to no decision."""
    routing = read_routing(text)
    assert routing is None or routing.routes == ()


def test_the_wait_for_a_webhook_follows_from_the_slowest_route_and_the_number_of_peers():
    """Each further peer waits 15 s longer; unknown routes are taken as Alertmanager's defaults."""
    routes = read_routing(ORIGINAL).to({"aom", "other"})
    assert missing_after(routes, 1) == 2 * MINUTE + 30 * SECOND + 30 * SECOND
    assert missing_after(routes, 3) == missing_after(routes, 1) + 30 * SECOND
    assert missing_after((), 2) == DEFAULT_MISSING_AFTER
