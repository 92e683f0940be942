"""What a peer's configuration says about the receivers that send to the bridge: their routes, times and webhooks.

In: `config.original` of a peer's status, YAML with the secrets masked, or a file. Out: `Routing`: which receivers have
a webhook, and the routes with what each takes and the values that it has. Facts: Alertmanager's documentation of its
configuration; a route has the values of its parent where it sets none. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice

import msgspec

from bridge.clock import HOUR, MINUTE, SECOND, Millis
from bridge.mapping.matcher import Matcher, Matchers
from bridge.reconcile.alertmanager_yaml import Section, UnreadableRoutingError, parse

_GROUP_WAIT: Millis = 30 * SECOND
_GROUP_INTERVAL: Millis = 5 * MINUTE
_REPEAT_INTERVAL: Millis = 4 * HOUR
"""Alertmanager's own defaults."""

_MAX_DEPTH = 200
_MAX_ROUTES = 50_000


class Route(msgspec.Struct, frozen=True):
    """One route with the values that it has from those above it.

    ``is_timed``: mute or active time intervals apply. ``depth``: 0 at the root; the routes of a `Routing` are in the
    order of the file, each before those below it. ``matchers``: its own; None: they cannot be read. ``continues``:
    whether the routes after it get its alerts as well. ``line``: where it begins, counted from 1; ``group_line`` and
    ``repeat_line``: where its ``group_interval`` and ``repeat_interval`` are set, at the root where none is.
    """

    receiver: str
    group_wait: Millis
    group_interval: Millis
    repeat_interval: Millis
    is_timed: bool
    depth: int = 0
    matchers: tuple[Matcher, ...] | None = ()
    continues: bool = False
    line: int = 1
    group_line: int = 1
    repeat_line: int = 1


class Webhook(msgspec.Struct, frozen=True):
    """One webhook of a receiver.

    ``url``: empty where it is in a file; `<secret>` where a peer masks it. ``url_line``, ``resolved_line`` and
    ``max_line``: where `url`, `send_resolved` and `max_alerts` are set.
    """

    url: str
    sends_resolved: bool
    max_alerts: int
    resolved_line: int = 1
    max_line: int = 1
    url_line: int = 1


class Receiver(msgspec.Struct, frozen=True):
    """One receiver. ``notifies``: whether it has a webhook or any other integration, so that somebody is notified."""

    line: int
    webhooks: tuple[Webhook, ...]
    notifies: bool


class Routing(msgspec.Struct, frozen=True):
    """The routes, and the receivers by their names.

    ``receivers_line``: where the list of receivers is. ``faults``: what could not be read, which leaves the rest
    usable: pairs of the line and the sentence.
    """

    routes: tuple[Route, ...] = ()
    receivers: dict[str, Receiver] = {}
    receivers_line: int = 1
    faults: tuple[tuple[int, str], ...] = ()

    @property
    def webhooks(self) -> dict[str, tuple[Webhook, ...]]:
        """The webhooks of each receiver that has any, by its name."""
        return {name: one.webhooks for name, one in self.receivers.items() if one.webhooks}

    def to(self, receivers: Collection[str]) -> tuple[Route, ...]:
        """Return the routes that end in one of these receivers."""
        return tuple(route for route in self.routes if route.receiver in receivers)


def read_routing(original: str) -> Routing | None:
    """Read a configuration of Alertmanager; None if it cannot be read, for example because the peer shows none."""
    try:
        return parse_routing(original)
    except UnreadableRoutingError:
        return None


def parse_routing(original: str) -> Routing:
    """Read a configuration of Alertmanager.

    Raises:
        UnreadableRoutingError: it is none; with the line.
    """
    tree = parse(original)
    faults: list[tuple[int, str]] = []
    receivers = {one.text("name"): _receiver(one) for one in tree.sections("receivers")}
    root = tree.section("route")
    line = tree.line_of("route")
    first = Route("", _GROUP_WAIT, _GROUP_INTERVAL, _REPEAT_INTERVAL, is_timed=False, group_line=line, repeat_line=line)
    routes = tuple(islice(_routes(root, first, 0, faults), _MAX_ROUTES + 1)) if root else ()
    if len(routes) > _MAX_ROUTES:
        raise UnreadableRoutingError(line, f"there are over {_MAX_ROUTES} routes. Fix: fewer routes.")
    return Routing(routes, receivers, tree.line_of("receivers"), tuple(faults))


def _routes(node: Section, above: Route, depth: int, faults: list[tuple[int, str]]) -> Iterator[Route]:
    if depth > _MAX_DEPTH:
        raise UnreadableRoutingError(node.line, "the routes are nested too deep. Fix: flatten them.")
    own_times = node.get("mute_time_intervals") or node.get("active_time_intervals")
    route = Route(
        receiver=node.text("receiver", above.receiver),
        group_wait=node.duration("group_wait", above.group_wait),
        group_interval=node.duration("group_interval", above.group_interval),
        repeat_interval=node.duration("repeat_interval", above.repeat_interval),
        is_timed=bool(own_times),
        depth=depth,
        matchers=_matchers(node, faults),
        continues=node.is_true("continue", default=False),
        line=node.line,
        group_line=node.lines.get("group_interval", above.group_line),
        repeat_line=node.lines.get("repeat_interval", above.repeat_line),
    )
    yield route
    for child in node.sections("routes"):
        yield from _routes(child, route, depth + 1, faults)


def _matchers(node: Section, faults: list[tuple[int, str]]) -> tuple[Matcher, ...] | None:
    """Read the matchers of a route, in each of the three forms; what cannot be read is noted."""
    matchers, count = list[Matcher](), len(faults)
    for key, operator in (("match", "="), ("match_re", "=~")):
        condition = node.section(key)
        for name in condition:
            try:
                matchers.append(Matcher(name, operator, condition.text(name)))
            except ValueError as error:
                faults.append((condition.line_of(name), str(error)))
    for text in node.texts("matchers"):
        try:
            matchers += Matchers.parse(text).each
        except ValueError as error:
            faults.append((node.line_of("matchers"), str(error)))
    return tuple(matchers) if len(faults) == count else None


def _receiver(node: Section) -> Receiver:
    webhooks = tuple(
        Webhook(
            url=one.text("url"),
            sends_resolved=one.is_true("send_resolved", default=True),
            max_alerts=one.count("max_alerts"),
            resolved_line=one.line_of("send_resolved"),
            max_line=one.line_of("max_alerts"),
            url_line=one.line_of("url"),
        )
        for one in node.sections("webhook_configs")
    )
    return Receiver(node.line, webhooks, any(node[key] for key in node if key.endswith("_configs")))
