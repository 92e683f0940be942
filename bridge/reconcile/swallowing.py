"""Finds the routes that take alerts away from ours: siblings in front of them without `continue: true`; pure.

In: the routes of a configuration, and the receivers that send to the bridge. Out: for each such route an alert as a
witness. A route counts only if an alert was found that it takes away, by Alertmanager's own rule of routing, so that
none is called by mistake; for regular expressions that few texts match, one may be missed. A route that leads to no
integration drops its alerts on purpose and takes nothing away. Source: Alertmanager's `dispatch/route.go`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import combinations, islice, product

import msgspec

from bridge.mapping.matcher import Matcher
from bridge.notification import Labels
from bridge.reconcile.regex_samples import samples
from bridge.reconcile.routing import Route, Routing

_MAX_TRIES = 200
"""Alerts that are tried for two routes: a witness is found among the first ones, or seldom at all."""

_MAX_EFFORT = 200_000
"""A search ends after this number of visits of a route, which is about a second; what is left is not judged."""

_EFFORT_OF_ALERT = 5
_EFFORT_OF_PAIR = 20
"""As many visits take the same time."""

_MAX_VALUES = 40
_FRESH = "other"
"""A value that no matcher is likely to name."""


class Swallowed(msgspec.Struct, frozen=True):
    """A route that takes alerts away.

    ``by``: that route. ``ours``: the route to the bridge that would get them. ``behind``: the sibling of ``by`` that
    leads to it, often ``ours`` itself. ``witness``: the labels of such an alert.
    """

    by: Route
    ours: Route
    behind: Route
    witness: Labels


class _UnknownError(Exception):
    """An alert meets a route whose matchers cannot be read."""


class _Node:
    """A route with those below it; ``equal``: the values that an alert must have to come here."""

    __slots__ = ("children", "equal", "parent", "route")

    def __init__(self, route: Route, parent: _Node | None) -> None:
        self.route = route
        self.parent = parent
        self.children: list[_Node] = []
        self.equal: dict[str, str] = dict(parent.equal) if parent else {}
        self.equal.update((one.name, one.value) for one in route.matchers or () if one.operator == "=")

    def below(self) -> Iterator[_Node]:
        """Yield the node itself, and all below it."""
        yield self
        for child in self.children:
            yield from child.below()

    def conditions(self) -> Iterator[Matcher]:
        """Yield the matchers that an alert must fulfil to come here from the root."""
        if self.parent is not None:
            yield from self.parent.conditions()
        yield from self.route.matchers or ()


def swallowed(routing: Routing, ours: Collection[str]) -> list[Swallowed]:
    """Return the routes that take away alerts that the bridge would get, each with the first route that it harms.

    Args:
        routing: the routes and receivers.
        ours: the names of the receivers that send to the bridge.
    """
    if not any(route.receiver in ours for route in routing.routes):
        return []
    search = _Search(routing, ours)
    found = (search.of(parent, index) for parent in search.root.below() for index in range(len(parent.children)))
    return [one for one in found if one is not None]


class _Search:
    """Looks for witnesses.

    Attributes:
        root: the tree of routes.
    """

    def __init__(self, routing: Routing, ours: Collection[str]) -> None:
        self.root = _tree(routing.routes)
        self._ours = ours
        self._silent = {name for name, one in routing.receivers.items() if not one.notifies}
        self._values = _values(routing.routes)
        self._effort = 0

    def of(self, parent: _Node, index: int) -> Swallowed | None:
        """Return what the child with this index takes away from those after it; None if nothing is known."""
        by = parent.children[index]
        if by.route.continues:
            return None
        for behind in parent.children[index + 1 :]:
            for node in behind.below():
                if node.route.receiver in self._ours and self._effort < _MAX_EFFORT:
                    witness = self._witness(by, behind, node)
                    if witness is not None:
                        return Swallowed(by.route, node.route, behind.route, witness)
        return None

    def _witness(self, by: _Node, behind: _Node, ours: _Node) -> Labels | None:
        """Return an alert that one route takes away from another."""
        self._effort += 1
        if any(by.equal.get(name, value) != value for name, value in ours.equal.items()):
            return None
        self._effort += _EFFORT_OF_PAIR
        conditions = list({matcher.text: matcher for node in (by, ours) for matcher in node.conditions()}.values())
        choices: dict[str, list[str]] = {}
        for name in dict.fromkeys([*(matcher.name for matcher in conditions), *self._values]):
            choices[name] = self._choices(name, conditions)
            if not choices[name]:
                return None
        return next(
            (labels for labels in islice(_alerts(choices), _MAX_TRIES) if self._is_taken(by, behind, ours, labels)),
            None,
        )

    def _choices(self, name: str, conditions: Sequence[Matcher]) -> list[str]:
        """Return the values of a label that fulfil all conditions on it; the empty one, first, is no label."""
        own = [matcher for matcher in conditions if matcher.name == name]
        values = [value for matcher in own for value in _tried(matcher)]
        found = _fulfilling(own, ["", *values, *self._values.get(name, ())])
        if found or len(own) < 2:
            return found
        return _fulfilling(own, (one + other for one, other in product(values, values)))  # a prefix and a suffix

    def _is_taken(self, by: _Node, behind: _Node, ours: _Node, labels: Labels) -> bool:
        """Say whether an alert ends at a route, reaches none of ours, and would reach one of ours behind it."""
        self._effort += _EFFORT_OF_ALERT
        try:
            ends = self._ends(self.root, labels)
            if not any(_is_below(end, by) for end in ends) or any(end.route.receiver in self._ours for end in ends):
                return False
            notified = any(end.route.receiver not in self._silent for end in self._ends(by, labels))
            return notified and ours in self._ends(behind, labels, is_open=True)
        except _UnknownError:
            return False

    def _ends(self, node: _Node, labels: Labels, *, is_open: bool = False) -> list[_Node]:
        """Return the routes at which an alert ends; ``is_open``: as if each had `continue: true`."""
        self._effort += 1
        if node.route.matchers is None:
            raise _UnknownError
        if not all(matcher.matches(labels) for matcher in node.route.matchers):
            return []
        ends: list[_Node] = []
        for child in node.children:
            below = self._ends(child, labels, is_open=is_open)
            ends += below
            if below and not child.route.continues and not is_open:
                break
        return ends or [node]


def _tree(routes: Sequence[Route]) -> _Node:
    path: list[_Node] = []
    for route in routes:
        del path[route.depth :]
        node = _Node(route, path[-1] if path else None)
        if path:
            path[-1].children.append(node)
        path.append(node)
    return path[0]


def _is_below(node: _Node | None, above: _Node) -> bool:
    while node is not None and node is not above:
        node = node.parent
    return node is above


def _values(routes: Sequence[Route]) -> dict[str, list[str]]:
    """Return the values of each label that are worth trying, by what any matcher says of it."""
    values: dict[str, dict[str, None]] = {}
    for route in routes:
        for matcher in route.matchers or ():
            known = values.setdefault(matcher.name, {_FRESH: None})
            if len(known) < _MAX_VALUES:
                known.update(dict.fromkeys(_tried(matcher)))
    return {name: list(known) for name, known in values.items()}


def _fulfilling(matchers: Sequence[Matcher], values: Iterable[str]) -> list[str]:
    """Return the values that fulfil all of these matchers of one label."""
    found = (
        value for value in dict.fromkeys(values) if all(matcher.matches({matcher.name: value}) for matcher in matchers)
    )
    return list(islice(found, _MAX_VALUES))


def _tried(matcher: Matcher) -> Sequence[str]:
    return [matcher.value] if matcher.operator in ("=", "!=") else samples(matcher.value)


def _alerts(choices: Mapping[str, Sequence[str]]) -> Iterator[Labels]:
    """Yield alerts: that of the first choices, then those that differ from it in one label, in two, and so on."""
    first = {name: values[0] for name, values in choices.items()}
    others = {name: values[1:] for name, values in choices.items() if len(values) > 1}
    for count in range(len(others) + 1):
        for names in combinations(others, count):
            for values in product(*(others[name] for name in names)):
                labels = first | dict(zip(names, values, strict=True))
                yield {name: value for name, value in labels.items() if value}
