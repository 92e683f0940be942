"""What a peer's configuration says about the receivers that send to the bridge: whether they exist, and their times.

In: `config.original` of a peer's status, YAML with the secrets masked. Out: `Routing`: which receivers have a webhook,
and for how long a webhook of a route to one of ours may still come. Facts: Alertmanager's documentation of its
configuration; a route has the values of its parent where it sets none. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec
import yaml

from bridge.clock import HOUR, MINUTE, SECOND, Millis
from bridge.typed_yaml.scalars import parse_duration

_GROUP_WAIT: Millis = 30 * SECOND
_GROUP_INTERVAL: Millis = 5 * MINUTE
_REPEAT_INTERVAL: Millis = 4 * HOUR
"""Alertmanager's own defaults."""

_MAX_DEPTH = 200


class Route(msgspec.Struct, frozen=True):
    """One route with the values that it has from those above it; ``is_timed``: mute or active time intervals apply."""

    receiver: str
    group_wait: Millis
    group_interval: Millis
    repeat_interval: Millis
    is_timed: bool


class Webhooks(msgspec.Struct, frozen=True):
    """The webhooks of one receiver: whether each sends resolved alerts, and the largest `max_alerts` that cuts."""

    sends_resolved: bool
    max_alerts: int


class Routing(msgspec.Struct, frozen=True):
    """The routes, and the webhooks of each receiver that has any, by its name."""

    routes: tuple[Route, ...] = ()
    webhooks: dict[str, Webhooks] = {}

    def to(self, receivers: Collection[str]) -> tuple[Route, ...]:
        """Return the routes that end in one of these receivers."""
        return tuple(route for route in self.routes if route.receiver in receivers)


def read_routing(original: str) -> Routing | None:
    """Read a configuration of Alertmanager; None if it cannot be read, for example because the peer shows none."""
    try:
        tree = yaml.load(original, Loader=_Loader)  # noqa: S506 - a subclass of SafeLoader
        return _routing(tree) if isinstance(tree, dict) else None
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return None


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # the C loader is not in the stubs
    """Reads every scalar as text."""


_Loader.yaml_implicit_resolvers = {}


def _routing(tree: Mapping[str, Any]) -> Routing:
    first = Route("", _GROUP_WAIT, _GROUP_INTERVAL, _REPEAT_INTERVAL, is_timed=False)
    receivers = tree.get("receivers") or []
    webhooks = {str(one["name"]): _webhooks(one["webhook_configs"]) for one in receivers if one.get("webhook_configs")}
    root = tree.get("route")
    return Routing(tuple(_routes(root, first, 0)) if root else (), webhooks)


def _routes(node: Mapping[str, Any], above: Route, depth: int) -> Iterator[Route]:
    if depth > _MAX_DEPTH:
        raise ValueError("the routes are nested too deep")
    own_times = node.get("mute_time_intervals") or node.get("active_time_intervals")
    route = Route(
        receiver=str(node.get("receiver") or above.receiver),
        group_wait=_duration(node, "group_wait", above.group_wait),
        group_interval=_duration(node, "group_interval", above.group_interval),
        repeat_interval=_duration(node, "repeat_interval", above.repeat_interval),
        is_timed=bool(own_times),
    )
    yield route
    for child in node.get("routes") or []:
        yield from _routes(child, route, depth + 1)


def _duration(node: Mapping[str, Any], key: str, default: Millis) -> Millis:
    text = node.get(key)
    return default if text is None else parse_duration(str(text))


def _webhooks(configs: Collection[Mapping[str, Any]]) -> Webhooks:
    return Webhooks(
        sends_resolved=all(str(config.get("send_resolved", "true")).lower() == "true" for config in configs),
        max_alerts=max(int(str(config.get("max_alerts", "0"))) for config in configs),
    )
