"""Alertmanager's routing as its documentation tells it, small and slow, to judge what the lint says of routes.

In: a tree of routes as dicts, as in YAML, and alerts as dicts of labels. Out: where an alert ends, and which routes
take it away from others. It shares nothing with the bridge. Also random trees of few labels and values.
"""

import copy
import re
from itertools import product

from hypothesis import strategies as st

NAMES = ("a", "b", "c")
VALUES = ("x", "y")
ALERTS = [
    {name: value for name, value in zip(NAMES, values, strict=True) if value}
    for values in product(("", *VALUES, "else"), repeat=len(NAMES))
]
"""Every alert that random trees can tell apart."""


def holds(matcher, labels):
    """Say whether a matcher such as `a=~"x|y"` takes these labels."""
    name, operator, value = re.fullmatch(r'(\w+)(=~|!~|!=|=)"(.*)"', matcher).groups()
    label = labels.get(name, "")
    is_equal = bool(re.fullmatch(value, label)) if "~" in operator else label == value
    return is_equal is not operator.startswith("!")


def ends(route, labels, inherited=None):
    """Give the receivers at which an alert ends; the empty list if the route does not take it."""
    receiver = route.get("receiver", inherited)
    if not all(holds(matcher, labels) for matcher in route.get("matchers", ())):
        return []
    found = []
    for child in route.get("routes", ()):
        below = ends(child, labels, receiver)
        found += below
        if below and not child.get("continue"):
            break
    return found or [receiver]


def in_order(route):
    """Give a route and all below it, in the order of the file."""
    yield route
    for child in route.get("routes", ()):
        yield from in_order(child)


def open_from(tree, place):
    """Give a tree in which the route at a place in the order of the file, and all after it, continue."""
    opened = copy.deepcopy(tree)
    for route in list(in_order(opened))[place:]:
        route["continue"] = True
    return opened


def notifying(tree):
    """Give a tree in which every receiver notifies somebody."""
    loud = copy.deepcopy(tree)
    for route in in_order(loud):
        if route.get("receiver") == "null":
            route["receiver"] = "mail"
    return loud


def takers(tree, labels, ours, silent=()):
    """Give the places (in the order of the file) of the routes that take an alert away from ours.

    Such a route decides where the alert ends, somebody is notified, and none of ours is; and had this route and those
    behind it continued, one of ours would have been.
    """
    if ours & set(ends(tree, labels)):
        return set()
    return {
        place
        for place, route in enumerate(in_order(tree))
        if place and not route.get("continue") and _takes(tree, labels, place, ours, silent)
    }


def _takes(tree, labels, place, ours, silent):
    # A receiver that exists nowhere else shows whether the alert passes here at all.
    marked = copy.deepcopy(tree)
    route = list(in_order(marked))[place]
    before = ends(route, labels, _receiver_above(marked, route))
    for one in in_order(route):
        one["receiver"] = "here"
    if "here" not in ends(marked, labels) or set(before) <= set(silent):
        return False
    opened = copy.deepcopy(tree)
    route = list(in_order(opened))[place]
    route["continue"] = True
    siblings = next(one["routes"] for one in in_order(opened) if any(child is route for child in one.get("routes", ())))
    behind = siblings[[child is route for child in siblings].index(True) + 1 :]
    for sibling in behind:
        for one in in_order(sibling):
            one["continue"] = True
    return bool(ours & set(ends(opened, labels)))


def _receiver_above(tree, route, inherited=None):
    receiver = tree.get("receiver", inherited)
    if tree is route:
        return inherited
    return next(
        (
            found
            for child in tree.get("routes", ())
            if any(one is route for one in in_order(child))
            for found in [_receiver_above(child, route, receiver)]
        ),
        None,
    )


_matchers = st.builds(
    lambda name, condition: name + condition,
    st.sampled_from(NAMES),
    st.sampled_from(
        ['="x"', '="y"', '!="x"', '=""', '!=""', '=~"x|y"', '=~".+"', '=~".*"', '!~"x|y"', '=~"x.*"', '!~"y.*"']
    ),
)

_receivers = st.sampled_from(["aom", "aom", "pager", "mail", "null"])

_leaves = st.fixed_dictionaries(
    {"receiver": _receivers, "continue": st.booleans(), "matchers": st.lists(_matchers, max_size=2)}
)


def _branches(children):
    return st.fixed_dictionaries(
        {
            "continue": st.booleans(),
            "matchers": st.lists(_matchers, max_size=1),
            "routes": st.lists(children, max_size=4),
        },
        optional={"receiver": _receivers},
    )


trees = st.fixed_dictionaries(
    {"receiver": _receivers, "routes": st.lists(st.recursive(_leaves, _branches, max_leaves=6), max_size=5)}
)
"""Random trees of routes: to `aom`, to others, and to `null`, which notifies nobody."""
