"""The command `aom-bridge map`: what alerts become by the rules, why, and what other rules would change.

In: a webhook's body, or the alerts that the ledger keeps. Out: text, and an exit code: with `--diff` 1 when an alert
would become something else. It sends nothing and changes nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from bridge import config
from bridge.cli.options import Commands, add_command, add_config_file
from bridge.cli.terminal import pretty, say
from bridge.clock import system_clock
from bridge.config import Settings
from bridge.errors import BridgeError, PayloadError, of_file
from bridge.ledger import AlarmFilter, OfflineLedger
from bridge.mapping.explain import Explanation, GroupedAlert, differences, explain
from bridge.notification import Notification, parse


def register(commands: Commands) -> None:
    """Add the command."""
    command = add_command(commands, "map", _run, "show rule by rule what a webhook's body becomes")
    add_config_file(command)
    command.add_argument("--source", help="source of the alerts; default: that of the configuration")
    command.add_argument(
        "--last", type=int, nargs="?", const=1, metavar="N", help="map the newest alert in the ledger, or the newest N"
    )
    command.add_argument("--diff", metavar="OTHER.yaml", help="show what another configuration would change")
    command.add_argument(
        "payload",
        nargs="?",
        metavar="PAYLOAD.json",
        help="the body of a webhook; - reads standard input; default with --diff: all alerts in the ledger",
    )


def _run(arguments: argparse.Namespace) -> int:
    settings = config.load(arguments.config_file, allow_unset=True).settings
    if arguments.payload is not None and arguments.last:
        raise BridgeError("both a payload and --last are given. Fix: one of the two.")
    if arguments.payload is None and not arguments.last and not arguments.diff:
        raise BridgeError("there is nothing to map. Fix: name a file with a webhook's body, - for stdin, or --last.")
    items = _items(arguments, settings)
    if arguments.diff:
        return _compare(items, settings, config.load(arguments.diff, allow_unset=True).settings)
    mapper, is_empty = settings.mapper(), True
    for index, item in enumerate(items, 1):
        is_empty = False
        say(f"alert {index}: {item.alert.status} {item.alert.fingerprint} of {item.source}")
        _show(explain(settings.mapping, mapper, item, system_clock()))
    if is_empty:
        say("there is no alert")
    return 0


def _items(arguments: argparse.Namespace, settings: Settings) -> Iterator[GroupedAlert]:
    if arguments.payload is None:
        yield from _stored(settings, arguments.last)
        return
    notification = _read(arguments.payload)
    if notification.truncated_alerts:
        say(f"{notification.truncated_alerts} alert(s) were cut off by Alertmanager's max_alerts, and are lost")
    for alert in notification.alerts:
        yield GroupedAlert(arguments.source or settings.source, alert, notification.group)


def _stored(settings: Settings, last: int | None) -> Iterator[GroupedAlert]:
    """Yield the alerts in the ledger, the newest first: as many as ``last``, or all."""
    for view in OfflineLedger(settings.store.url).each(AlarmFilter(limit=last or sys.maxsize)):
        yield GroupedAlert(view.alarm.source, view.context.alert, view.context.group)


def _show(explanation: Explanation) -> None:
    if explanation.heartbeat is not None:
        say(f"  a sign of heartbeat {explanation.heartbeat}, and no alarm")
        return
    for tried in explanation.rules:
        holds = "matches" if tried.failing is None else f"no, for {tried.failing} does not hold"
        say(f"  rule {tried.name}: {holds}")
    for name, value in explanation.variables.items():
        say(f"  vars.{name} is {value}")
    for fallback in explanation.fallbacks:
        say(f"  fallback of {fallback.field} in {fallback.rule}: {fallback.problem}")
    left_out = explanation.names_left_out
    if left_out:
        say(f"  left out for AOM's limits: {len(left_out)} label(s) or annotation(s): {', '.join(left_out)}")
    if explanation.is_dropped:
        say(f"  dropped by {explanation.rule}")
        return
    say(f"  mapped by {explanation.rule} for target {explanation.target}")
    _show_event(explanation)


def _show_event(explanation: Explanation) -> None:
    annotations = ((f"annotations.{each.name}", each.origin) for each in explanation.annotations)
    for name, origin in (*((each.name, each.origin) for each in explanation.fields), *annotations):
        say(f"  {name:<24} from {origin}")
    if explanation.status == "resolved":
        say("  resolved: it clears the alarm that its firing opened, as reported then; a firing would be reported as")
    say(*(f"  {line}" for line in pretty(explanation.report)))


def _compare(items: Iterator[GroupedAlert], settings: Settings, other: Settings) -> int:
    """Print for each alert what the other configuration would change; return 1 if it changes an alert."""
    mapper, changed_mapper = settings.mapper(), other.mapper()
    count = changed = 0
    for item in items:
        count += 1
        changes = differences(mapper, changed_mapper, item)
        if changes:
            changed += 1
            name = item.alert.labels.get("alertname", "")
            lines = (f"  {each.key}: {_quoted(each.old)} -> {_quoted(each.new)}" for each in changes)
            say(f"{item.alert.fingerprint} {name} of {item.source}", *lines)
    say(f"{changed} of {count} alert(s) would become something else")
    return 1 if changed else 0


def _quoted(value: str | None) -> str:
    return "nothing" if value is None else repr(value)


def _read(name: str) -> Notification:
    try:
        return parse(sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes())
    except OSError as error:
        what, fix = of_file(error)
        raise BridgeError(f"{name}: {what}. Fix: {fix}, or write - for standard input.") from None
    except PayloadError as error:
        raise BridgeError(f"{name}: {error}") from None
