"""The command `aom-bridge map`: what alerts become by the rules, why, and what other rules would change.

In: a webhook's body, or the alerts that the ledger keeps. Out: text, and an exit code: with `--diff` 1 when an alert
would become something else. It sends nothing and changes nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from bridge import config
from bridge.cli.options import Commands, add_command, add_config_file
from bridge.cli.terminal import pretty, say
from bridge.clock import system_clock
from bridge.config import Settings
from bridge.errors import BridgeError, PayloadError, of_file
from bridge.event import report
from bridge.ledger import OfflineLedger, alarm_id
from bridge.mapping import Mapper
from bridge.mapping.explain import explain_fields
from bridge.notification import Alert, Group, Notification, parse


class _Item(NamedTuple):
    """One alert to map."""

    source: str
    alert: Alert
    group: Group


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
        _show(settings, mapper, item)
    if is_empty:
        say("there is no alert")
    return 0


def _items(arguments: argparse.Namespace, settings: Settings) -> Iterator[_Item]:
    if arguments.payload is None:
        yield from _stored(settings, arguments.last)
        return
    notification = _read(arguments.payload)
    if notification.truncated_alerts:
        say(f"{notification.truncated_alerts} alert(s) were cut off by Alertmanager's max_alerts, and are lost")
    for alert in notification.alerts:
        yield _Item(arguments.source or settings.source, alert, notification.group)


def _stored(settings: Settings, last: int | None) -> Iterator[_Item]:
    """Yield the alerts in the ledger, the newest first: as many as ``last``, or all."""
    for view in OfflineLedger(settings.store.url).newest(last):
        yield _Item(view.alarm.source, view.context.alert, view.context.group)


def _show(settings: Settings, mapper: Mapper, item: _Item) -> None:
    sign = mapper.switches.sign(item.source, item.alert.labels)
    if sign is not None:
        say(f"  a sign of heartbeat {sign.heartbeat}, and no alarm")
        return
    for name, failing in mapper.explain(item.alert, item.group):
        say(f"  rule {name}: " + ("matches" if failing is None else f"no, for {failing} does not hold"))
    for name, value in mapper.variables(item.source, item.alert, item.group).items():
        say(f"  vars.{name} is {value}")
    result = mapper.map(item.source, item.alert, item.group)
    for fallback in result.fallbacks:
        say(f"  fallback of {fallback.field} in {fallback.rule}: {fallback.problem}")
    if result.names_left_out:
        names = ", ".join(result.names_left_out)
        say(f"  left out for AOM's limits: {result.left_out} label(s) or annotation(s): {names}")
    event = result.mapped.event
    if event is None:
        say(f"  dropped by {result.mapped.rule}")
        return
    say(f"  mapped by {result.mapped.rule} for target {result.mapped.target}")
    for field, origin in explain_fields(settings.mapping, item.alert, result).items():
        say(f"  {field:<24} from {origin}")
    if item.alert.status == "resolved":
        say("  resolved: it clears the alarm that its firing opened, as reported then; a firing would be reported as")
    now = system_clock()
    own_id = alarm_id((item.source, item.alert.fingerprint), item.alert.starts_at)
    entry = report(event, alarm_id=own_id, starts_at=item.alert.starts_at, now=now)
    say(*(f"  {line}" for line in pretty(entry)))


def _compare(items: Iterator[_Item], settings: Settings, other: Settings) -> int:
    """Print for each alert what the other configuration would change; return 1 if it changes an alert."""
    mapper, changed_mapper = settings.mapper(), other.mapper()
    count = changed = 0
    for item in items:
        count += 1
        lines = list(_changes(_flat(mapper, item), _flat(changed_mapper, item)))
        if lines:
            changed += 1
            name = item.alert.labels.get("alertname", "")
            say(f"{item.alert.fingerprint} {name} of {item.source}", *(f"  {line}" for line in lines))
    say(f"{changed} of {count} alert(s) would become something else")
    return 1 if changed else 0


def _changes(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for key in dict.fromkeys((*old, *new)):
        if old.get(key) != new.get(key):
            yield f"{key}: {_quoted(old.get(key))} -> {_quoted(new.get(key))}"


def _flat(mapper: Mapper, item: _Item) -> dict[str, str]:
    sign = mapper.switches.sign(item.source, item.alert.labels)
    if sign is not None:
        return {"heartbeat": sign.heartbeat}
    mapped = mapper.map(item.source, item.alert, item.group).mapped
    flat = {"rule": mapped.rule}
    if mapped.event is None:
        return {**flat, "dropped": "yes"}
    flat |= {"target": mapped.target, "timeout": str(mapped.event.timeout)}
    flat |= mapped.event.metadata
    return flat | {f"annotations.{name}": text for name, text in mapped.event.annotations.items()}


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
