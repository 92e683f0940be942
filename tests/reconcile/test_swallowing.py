"""Routes that take alerts away from ours: each that is named takes one for certain, and none that does is left out."""

import subprocess

import pytest
import yaml
from hypothesis import Phase, find, given, settings
from programs import need
from route_trees import ALERTS, ends, notifying, open_from, takers, trees

from bridge.reconcile.routing import parse_routing
from bridge.reconcile.swallowing import swallowed

RECEIVERS = [{"name": name, "email_configs": [{"to": "a@example.org"}]} for name in ("pager", "mail")]
RECEIVERS += [{"name": "aom", "webhook_configs": [{"url": "http://aom-bridge:9876/webhook"}]}, {"name": "null"}]


def found(tree, ours=("aom",)):
    """Give what takes alerts away in a tree: the place of each route, in the order of the file, and the finding."""
    routing = parse_routing(yaml.safe_dump({"route": tree, "receivers": RECEIVERS}))
    lines = [route.line for route in routing.routes]
    return {lines.index(one.by.line): one for one in swallowed(routing, frozenset(ours))}


@pytest.mark.slow
def test_random_trees_have_both_kinds():
    """Otherwise the properties below would prove nothing."""
    quick = settings(phases=[Phase.generate], deadline=None)  # the first one will do; the smallest takes a minute
    assert find(trees, lambda tree: len(found(tree)) > 1, settings=quick)
    assert find(trees, lambda tree: not found(tree) and {"aom", "pager"} <= set(ends(tree, {"a": "x"})), settings=quick)


def route(receiver, *matchers, **more):
    """Give a route."""
    return {"receiver": receiver, "matchers": list(matchers), **more}


def root(*routes, receiver="mail"):
    """Give a tree."""
    return {"receiver": receiver, "routes": list(routes)}


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(trees)
def test_each_named_route_takes_an_alert_and_no_other_does(tree):
    """By a model of Alertmanager's routing, over every alert that the matchers can tell apart."""
    named = found(tree)
    for place, one in named.items():
        assert place in takers(tree, one.witness, {"aom"}, {"null"})
    assert set().union(*(takers(tree, alert, {"aom"}, {"null"}) for alert in ALERTS)) <= named.keys()


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(trees)
def test_where_none_is_named_each_alert_that_ours_takes_reaches_ours(tree):
    """If an alert would reach one of ours where every route continues, it does so where they do not."""
    tree = notifying(tree)
    if not found(tree):
        opened = open_from(tree, 0)
        reaching = [alert for alert in ALERTS if "aom" in ends(opened, alert)]
        assert [alert for alert in reaching if "aom" not in ends(tree, alert)] == []


USUAL = {
    "a pager first": (
        root(route("pager", 'severity="critical"'), route("aom")),
        {1: {"severity": "critical"}},
    ),
    "a pager for a list of severities": (
        root(route("pager", 'severity=~"critical|page"'), route("aom", 'team="db"')),
        {1: {"severity": "critical", "team": "db"}},
    ),
    "all that has no owner": (
        root(route("pager", 'owner=""'), route("aom", 'severity!="info"')),
        {1: {}},
    ),
    "a prefix and a suffix": (
        root(route("pager", 'pod=~"shop-.*"'), route("aom", 'pod=~".*-db"')),
        {1: {"pod": "shop--db"}},
    ),
    "two in front": (
        root(route("pager", 'severity="critical"'), route("mail", 'team="shop"'), route("aom")),
        {1: {"severity": "critical"}, 2: {"team": "shop"}},
    ),
    "in front of the route above ours": (
        root(route("pager", 'severity="critical"'), route("mail", 'team="db"', routes=[route("aom", 'env="prod"')])),
        {1: {"severity": "critical", "team": "db", "env": "prod"}},
    ),
    "beside ours, below a route of a team": (
        root(route("mail", 'team="db"', routes=[route("pager", 'severity="critical"'), route("aom")])),
        {2: {"severity": "critical", "team": "db"}},
    ),
    "with routes of its own": (
        root(route("pager", 'service="db"', routes=[route("mail", 'owner="x"')]), route("aom", 'severity="critical"')),
        {1: {"service": "db", "severity": "critical"}},
    ),
    "whose route to ours gets only a part": (
        root(route("pager", 'service="db"', routes=[route("aom", 'env="prod"')]), route("aom")),
        {1: {"service": "db"}},
    ),
    "that mutes at night, and takes what it mutes": (
        root(route("pager", 'severity="critical"', mute_time_intervals=["nights"]), route("aom")),
        {1: {"severity": "critical"}},
    ),
}


@pytest.mark.parametrize(("tree", "witnesses"), USUAL.values(), ids=USUAL)
def test_usual_trees_in_which_a_route_takes_alerts_away(tree, witnesses):
    """Each is found, with an alert that it takes."""
    assert {place: one.witness for place, one in found(tree).items()} == witnesses


HARMLESS = {
    "ours is first and continues": root(route("aom", **{"continue": True}), route("pager", 'severity="critical"')),
    "ours is first": root(route("aom", 'team="db"'), route("pager", 'severity="critical"')),
    "the pager continues": root(route("pager", 'severity="critical"', **{"continue": True}), route("aom")),
    "another value of the same label": root(route("pager", 'team="shop"'), route("aom", 'team="db"')),
    "lists without a common value": root(route("pager", 'team=~"a|b"'), route("aom", 'team=~"c|d"')),
    "a list and a value outside of it": root(route("pager", 'team!~"a|b"'), route("aom", 'team="a"')),
    "a label and its absence": root(route("pager", 'owner=""'), route("aom", 'owner=~".+"')),
    "an opposite": root(route("pager", 'severity!="critical"'), route("aom", 'severity="critical"')),
    "prefixes that differ": root(route("pager", 'pod=~"shop-.*"'), route("aom", 'pod=~"db-.*"')),
    "the value of a route above": root(
        route("mail", 'team="a"', routes=[route("pager")]), route("mail", 'team="b"', routes=[route("aom")])
    ),
    "noise that is dropped for all": root(route("null", 'alertname=~"Watchdog|InfoInhibitor"'), route("aom")),
    "an earlier route to ours that continues": root(
        route("aom", **{"continue": True}), route("pager", 'severity="critical"'), route("aom", 'team="db"')
    ),
    "a route to ours in front of ours": root(route("aom", 'severity="critical"'), route("aom", group_by=["team"])),
    "a route below the pager that leads to ours": root(
        route("pager", 'severity="critical"', routes=[route("aom", **{"continue": True}), route("pager")]), route("aom")
    ),
    "routes below ours": root(route("aom", 'team="db"', routes=[route("pager", 'severity="critical"')])),
    "ours at the root": root(route("pager", 'severity="critical"'), receiver="aom"),
    "the rest goes elsewhere": root(route("aom", 'team="db"'), route("mail")),
    "a route that nothing reaches": root(route("pager", 'a="b"', 'a="c"'), route("aom")),
    "none of ours": root(route("pager", 'severity="critical"'), route("mail")),
    "no routes": root(),
}


@pytest.mark.parametrize("tree", HARMLESS.values(), ids=HARMLESS)
def test_usual_trees_in_which_nothing_is_taken_away(tree):
    """What cannot be shown by an alert is not said, nor what the user has decided."""
    assert found(tree) == {}


def test_a_route_that_cannot_be_read_proves_nothing():
    """It may take the alert before, or lead it to the bridge."""
    first = "route:\n  receiver: mail\n  routes:\n  - {receiver: a, matchers: [%s]}\n"
    text = first + "  - {receiver: pager}\n  - {receiver: aom}"
    assert len(swallowed(parse_routing(text % "a=b"), {"aom"})) == 2
    assert swallowed(parse_routing(text % "'a b'"), {"aom"}) == []


@pytest.mark.slow
def test_a_huge_tree_takes_no_minutes():
    """A thousand routes of each kind, none of which takes anything: the search ends, and says nothing."""
    routes = [route("aom" if number % 2 else "pager", f'team=~"t{number}|u{number}"') for number in range(1_000)]
    assert found(root(route("aom", **{"continue": True}), *routes)) == {}


def amtool(folder, tree, labels):
    """Give the receivers that the real amtool names for an alert."""
    file = folder / "alertmanager.yml"
    config = {"route": tree, "receivers": RECEIVERS, "time_intervals": [{"name": "nights", "time_intervals": []}]}
    config["global"] = {"smtp_smarthost": "mail.example:25", "smtp_from": "a@example.org"}
    file.write_text(yaml.safe_dump(config))
    command = [need("amtool"), "config", "routes", "test", f"--config.file={file}"]
    words = [f"{name}={value}" for name, value in labels.items()]
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=True)
    return set(done.stdout.strip().split(","))


@pytest.mark.real
@pytest.mark.parametrize("tree", [tree for tree, _ in USUAL.values()], ids=USUAL)
def test_amtool_agrees_that_a_witness_does_not_reach_ours(tree, tmp_path):
    """It ends elsewhere; once the route continues and those behind it do, it reaches ours."""
    for place, one in found(tree).items():
        assert "aom" not in amtool(tmp_path, tree, one.witness)
        assert "aom" in amtool(tmp_path, open_from(tree, place), one.witness)


@pytest.mark.real
@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(trees)
def test_amtool_routes_as_the_model_does(tmp_path_factory, tree):
    """Otherwise the model would prove nothing: for each witness, and for some alerts of each tree."""
    folder = tmp_path_factory.mktemp("amtool")
    for labels in [*(one.witness for one in found(tree).values()), *ALERTS[1::21]]:
        assert amtool(folder, tree, labels) == set(ends(tree, labels))
