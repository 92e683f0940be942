"""Finds what loses alerts or their ends in a configuration of Alertmanager, for the receivers of the bridge; pure.

In: a `Routing`, and what is asked of it. Out: findings, each with the line of that configuration and a sentence with
the fix. What other receivers get is not judged, nor which alerts the user sends to the bridge. Facts: Alertmanager's
documentation of its configuration, and measurements of its notifications.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Literal, get_args

import msgspec

from bridge.clock import SECOND, Millis, format_duration
from bridge.notification import Labels
from bridge.reconcile.routing import Route, Routing, Webhook
from bridge.reconcile.swallowing import Swallowed, swallowed
from bridge.reconcile.webhook_paths import is_at_our_port, is_misspelled, may_be_ours
from bridge.typed_yaml.problems import suggest

FindingKind = Literal[
    "no_webhook",
    "no_route",
    "wrong_path",
    "no_resolves",
    "truncates",
    "short_group_interval",
    "rare_repeats",
    "swallowed",
]
"""``no_webhook``: a receiver of the bridge has none. ``no_route``: no route leads to it. ``wrong_path``: its webhook is
to a path that the bridge does not have. ``no_resolves``: its webhook sends no resolved alerts. ``truncates``: its
webhook leaves out alerts. ``short_group_interval``: a peer sends what is no longer true. ``rare_repeats``: AOM clears
alarms by age between two repeats. ``swallowed``: another route takes alerts away."""

FINDING_KINDS: tuple[FindingKind, ...] = get_args(FindingKind)

_PEER_TIMEOUT: Millis = 15 * SECOND
"""For so long a peer waits for the one before it (`--cluster.peer-timeout`); with a shorter group_interval it sends
what was true before that wait (measured)."""

_GROUP_INTERVAL: Millis = 30 * SECOND
_PART_OF_TIMEOUT = 2
_MAX_SHOWN_LABELS = 5
_PATHS = "/webhook or /webhook/SOURCE"


class Question(msgspec.Struct, frozen=True):
    """What a configuration is asked.

    ``receivers``: the names of the receivers that send to the bridge. ``is_named``: whether the user has named them, so
    that each must be there; those that webhooks have named may have gone. ``peers``: the number of Alertmanagers of the
    cluster. ``alarm_timeout``: after which AOM clears an alarm that is not reported again, the shortest of all targets.
    ``is_in_step``: whether the bridge asks these peers, and then repeats by itself what they show. ``sources``: the
    names that its paths may have; none: they are not known.
    """

    receivers: frozenset[str]
    is_named: bool
    peers: int
    alarm_timeout: Millis
    is_in_step: bool
    sources: frozenset[str] = frozenset()


class Finding(msgspec.Struct, frozen=True):
    """What loses alerts; ``receiver``: of the bridge. ``line``: counted from 1. ``text``: a sentence with the fix."""

    kind: FindingKind
    receiver: str
    line: int
    text: str


def findings(routing: Routing, question: Question) -> list[Finding]:
    """Return what is found, in the order of the configuration."""
    found = [
        *_missing(routing, question),
        *_webhooks(routing, question),
        *_intervals(routing, question),
        *(_of_swallowed(one, question) for one in swallowed(routing, question.receivers)),
    ]
    return sorted(found, key=lambda one: (one.line, FINDING_KINDS.index(one.kind)))


def probable_receivers(routing: Routing) -> frozenset[str]:
    """Return the receivers with a webhook that may be to the bridge, or else those whose path reads nearly so."""

    def having(condition: Callable[[Webhook], bool]) -> frozenset[str]:
        return frozenset(name for name, each in routing.webhooks.items() if any(map(condition, each)))

    return having(lambda webhook: may_be_ours(webhook) or is_at_our_port(webhook)) or having(is_misspelled)


def nothing_is_sent(routing: Routing) -> Finding:
    """Return what is wrong where no receiver has a webhook that may be to the bridge."""
    what = f"no receiver has a webhook{f' whose url ends in {_PATHS}' if routing.webhooks else ''}"
    fix = "add a receiver with webhook_configs: [{url: 'http://aom-bridge:9876/webhook'}], and a route to it."
    fix = f"correct the url of its receiver, or {fix}" if routing.webhooks else fix
    text = f"{what}, so nothing is sent to the bridge. Fix: {fix}"
    return Finding("no_webhook", "", routing.receivers_line, text)


def _missing(routing: Routing, question: Question) -> Iterator[Finding]:
    """Yield the named receivers that send nothing."""
    routed = {route.receiver for route in routing.routes}
    for name in sorted(question.receivers) if question.is_named else ():
        receiver = routing.receivers.get(name)
        if receiver is None:
            known = sorted(routing.webhooks)
            fix = suggest(name, known) if known else "add it, with webhook_configs."
            yield Finding("no_webhook", name, routing.receivers_line, f"there is no receiver {name}. Fix: {fix}")
        elif not receiver.webhooks:
            text = f"the receiver {name} has no webhook, so it sends nothing to the bridge. Fix: add webhook_configs."
            yield Finding("no_webhook", name, receiver.line, text)
        elif name not in routed:
            text = f"no route leads to the receiver {name}, so the bridge gets nothing from it. Fix: add a route."
            yield Finding("no_route", name, receiver.line, text)


def _webhooks(routing: Routing, question: Question) -> Iterator[Finding]:
    for name in sorted(question.receivers & routing.webhooks.keys()):
        ours, lost = _sorted(routing.webhooks[name], question)
        late = "come late, by what the API shows"
        for one in lost:
            text = _of_wrong_path(name, one, late if question.is_in_step else "are lost", question.sources)
            yield Finding("wrong_path", name, one.url_line, text)
        for one in ours:
            if not one.sends_resolved:
                text = f"the webhook of {name} sends no resolved alerts (send_resolved: false), so alarms are cleared"
                when = "late, by what the API shows" if question.is_in_step else "by age alone"
                yield Finding("no_resolves", name, one.resolved_line, f"{text} {when}. Fix: send_resolved: true.")
            if one.max_alerts > 0:
                text = f"the webhook of {name} leaves out all but {one.max_alerts} alerts of a group (max_alerts), and"
                what = f"the others {late if question.is_in_step else 'are lost'}"
                yield Finding("truncates", name, one.max_line, f"{text} {what}. Fix: max_alerts: 0.")


def _sorted(webhooks: Sequence[Webhook], question: Question) -> tuple[Sequence[Webhook], Sequence[Webhook]]:
    """Return those webhooks of a receiver that are meant for the bridge, and those of them that do not come there."""
    right = [one for one in webhooks if may_be_ours(one, question.sources)]
    wrong = [one for one in webhooks if one not in right and is_at_our_port(one)]
    if right or wrong:
        return right + wrong, wrong
    near = [one for one in webhooks if may_be_ours(one) or is_misspelled(one)] or webhooks
    return near, near[:1]


def _of_wrong_path(name: str, webhook: Webhook, what: str, sources: Collection[str]) -> str:
    """Say where a webhook must go; its own path may hold a secret of another service."""
    if may_be_ours(webhook):
        text = f"the url of the webhook of {name} ends in a source that the bridge's configuration does not list"
        fix = f"{_PATHS} with one of {', '.join(sorted(sources))}"
    else:
        text, fix = f"the url of the webhook of {name} does not end in {_PATHS}", f"{_PATHS}; a proxy may add a prefix"
    return f"{text}, so the bridge answers 404 and its alerts {what}. Fix: a url that ends in {fix}."


def _intervals(routing: Routing, question: Question) -> Iterator[Finding]:
    """Yield the intervals that are too short or too long, each once at the line where it is set."""
    routes = routing.to(question.receivers)
    short = [one for one in routes if question.peers > 1 and one.group_interval < _PEER_TIMEOUT]
    for line, names, group in _by_line(short, lambda one: (one.group_line, one.group_interval)):
        yield Finding("short_group_interval", names, line, _of_short_interval(names, group, question.peers))
    rare = [one for one in routes if one.repeat_interval * _PART_OF_TIMEOUT > question.alarm_timeout]
    for line, names, repeat in _by_line(rare, lambda one: (one.repeat_line, one.repeat_interval)):
        yield Finding("rare_repeats", names, line, _of_rare_repeats(names, repeat, question))


def _by_line(
    routes: Sequence[Route], place: Callable[[Route], tuple[int, Millis]]
) -> Iterator[tuple[int, str, Millis]]:
    """Yield each line with the receivers for which it counts, and the value."""
    names: dict[tuple[int, Millis], dict[str, None]] = {}
    for route in routes:
        names.setdefault(place(route), {})[route.receiver] = None
    for (line, value), each in names.items():
        yield line, ", ".join(each), value


def _of_short_interval(names: str, group: Millis, peers: int) -> str:
    text = f"the group_interval of {names} is {format_duration(group)}, and with {peers} peers each waits up to "
    text += f"{format_duration(_PEER_TIMEOUT)} for the one before it: it then sends alerts as firing that have resolved"
    return f"{text}. Fix: group_interval: {format_duration(_GROUP_INTERVAL)}."


def _of_rare_repeats(names: str, repeat: Millis, question: Question) -> str:
    timeout, most = question.alarm_timeout, question.alarm_timeout // _PART_OF_TIMEOUT
    after = f"AOM clears an alarm that is not reported for {format_duration(timeout)} (alarm_timeout)"
    text = f"the repeat_interval of {names} is {format_duration(repeat)}, and {after}"
    if question.is_in_step:
        text += "; while Alertmanager's API cannot be asked, that clears alarms that still fire"
    elif repeat >= timeout:
        text += ", so it clears alarms that still fire"
    else:
        text += ", so a single repeat that is late or lost clears an alarm that still fires"
    return f"{text}. Fix: a repeat_interval of at most {format_duration(most)}, or a longer alarm_timeout."


def _of_swallowed(one: Swallowed, question: Question) -> Finding:
    what = f"the route to {one.by.receiver} takes alerts from the one to {one.ours.receiver} behind it (line "
    what += f"{one.ours.line}), {_like(one.witness)}, and the bridge never gets them"
    if question.is_in_step:
        what += (
            "; open alarms of them are cleared, since their resolves would not come either (unrouted: keep leaves them)"
        )
    place = "that one" if one.behind == one.ours else f"the route of line {one.behind.line}"
    fix = f"put {place} in front of it with continue: true, or give this one continue: true."
    return Finding("swallowed", one.ours.receiver, one.by.line, f"{what}. Fix: {fix}")


def _like(witness: Labels) -> str:
    pairs = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in witness.items()]
    if not pairs:
        return "even one without labels"
    return "such as one with " + ", ".join(pairs[:_MAX_SHOWN_LABELS]) + (" …" if len(pairs) > _MAX_SHOWN_LABELS else "")
