"""`aom-bridge map`: what alerts become by the rules, why, and what other rules would change.

In: a webhook's body, or the alerts that the ledger keeps. Out: text, and an exit code: with `--diff` 1 when an alert
would become something else. It sends nothing and changes nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from bridge import config
from bridge.cli.output import print_value
from bridge.cli.remote import Remote, remote_of
from bridge.cli.remote_alarms import RemoteAlarms
from bridge.cli.terminal import say
from bridge.clock import format_duration, format_rfc3339, parse_rfc3339, system_clock
from bridge.config import Settings
from bridge.errors import BridgeError, PayloadError, of_file
from bridge.ledger import AlarmFilter, OfflineLedger
from bridge.mapping.explain import Explanation, GroupedAlert, differences, explain
from bridge.mapping.playground.pasted import Pasted, as_pasted, read_pasted
from bridge.notification import OWN_SOURCES, Alert, Group, fingerprint
from bridge.reconcile.settings import AlertmanagerSettings
from bridge.reconcile.shown_now import shown_now

_PAGE = 100
"""How many alarms of a running bridge are read at once, to find the newest that no Alertmanager sent among its own."""


def run(arguments: argparse.Namespace) -> int:
    """Print what alerts become; return the exit code."""
    remote = remote_of(arguments)
    if remote is not None:
        return _of_remote(arguments, remote)
    settings = config.load(arguments.config_file, allow_unset=True, needs_targets=False).settings
    items = _items(arguments, settings)
    if arguments.diff:
        other = config.load(arguments.diff, allow_unset=True, needs_targets=False).settings
        return _compare(items, settings, other)
    mapper, now = settings.mapper(), system_clock()
    return _print([explain(settings.mapping, mapper, item, now) for item in items], arguments.output)


def _print(explanations: Sequence[Explanation], output: str) -> int:
    if output != "table":
        print_value(explanations, output)
        return 0
    for index, one in enumerate(explanations, 1):
        say(f"alert {index}: {one.status} {one.fingerprint} of {one.source}")
        _show(one)
    if not explanations:
        say("there is no alert")
    return 0


def _of_remote(arguments: argparse.Namespace, remote: Remote) -> int:
    """Map alerts by the rules of a running bridge: those that are named, or the newest of its ledger."""
    if arguments.diff:
        raise BridgeError("--diff compares two files. Fix: leave --url out.")
    if arguments.alerts or arguments.alertmanager:
        grouped = list(_given(arguments, arguments.source or ""))
    else:
        rows = RemoteAlarms(remote).search([], sys.maxsize, _PAGE)
        stored = (row for row in rows if row["source"] not in OWN_SOURCES)
        newest = islice(stored, max(arguments.last or 1, 0))
        grouped = [msgspec.convert({"source": row["source"], **_kept(row)}, GroupedAlert) for row in newest]
    explanations: list[Explanation] = []
    for one in grouped:
        source = {"source": one.source} if one.source else {}
        told = remote.post("/api/v1/playground", {"webhook": as_pasted(one), **source})["data"]
        if told["error"] or told["webhook_error"]:
            raise BridgeError(told["error"] or told["webhook_error"])
        explanations += msgspec.convert(told["explanations"], list[Explanation])
    return _print(explanations, arguments.output)


def _kept(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the alert and the group of an alarm, as far as the API shows them."""
    alert = {
        "fingerprint": row["fingerprint"],
        "status": "resolved" if "ends_at" in row else "firing",
        "labels": row["labels"],
        "annotations": row["event"]["annotations"],
        "starts_at": parse_rfc3339(row["starts_at"]),
        "ends_at": parse_rfc3339(row["ends_at"]) if "ends_at" in row else None,
        "generator_url": row["event"]["annotations"].get("generator_url", ""),
    }
    return {"alert": alert, "group": row["group"]}


def _items(arguments: argparse.Namespace, settings: Settings) -> Iterator[GroupedAlert]:
    given = [bool(arguments.alerts), bool(arguments.last), bool(arguments.alertmanager)]
    if sum(given) > 1:
        raise BridgeError("alerts, --last and --from exclude each other. Fix: one of them.")
    if not any(given) and not arguments.diff:
        fix = "labels such as alertname=DiskFull, a file with a webhook's body, - for stdin, --last, or --from"
        raise BridgeError(f"there is nothing to map. Fix: {fix}.")
    if arguments.alerts or arguments.alertmanager:
        return _given(arguments, arguments.source or settings.source)
    return _stored(settings, arguments.last)


def _given(arguments: argparse.Namespace, source: str) -> Iterator[GroupedAlert]:
    """Yield the alerts of the command line: labels, a file, or those that an Alertmanager shows."""
    if arguments.alertmanager:
        settings = AlertmanagerSettings(urls=(arguments.alertmanager.rstrip("/"),))
        yield from read_pasted(asyncio.run(shown_now(settings, system_clock)), source).alerts
        return
    if any("=" in text for text in arguments.alerts):
        yield _of_labels(arguments.alerts, source)
        return
    if len(arguments.alerts) > 1:
        raise BridgeError("several files are named. Fix: one at a time.")
    pasted = _read(arguments.alerts[0], source)
    if pasted.truncated:
        say(f"{pasted.truncated} alert(s) were cut off by Alertmanager's max_alerts, and are lost")
    yield from pasted.alerts


def _of_labels(pairs: Sequence[str], source: str) -> GroupedAlert:
    """Return a firing alert with the labels of the command line; a name that begins with ``@`` is an annotation."""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    for pair in pairs:
        name, is_pair, value = pair.partition("=")
        if not is_pair or not name.strip("@"):
            raise BridgeError(f"{pair!r} is no label. Fix: NAME=VALUE, or @NAME=VALUE for an annotation.")
        (annotations if name.startswith("@") else labels)[name.lstrip("@")] = value
    now = system_clock()
    alert = Alert(fingerprint(labels), "firing", labels, annotations, now, None, "")
    return GroupedAlert(source, alert, Group("", "", {}, labels, annotations, ""))


def _stored(settings: Settings, last: int | None) -> Iterator[GroupedAlert]:
    """Yield the alerts in the ledger, the newest first: ``last`` of them, or all; those of the bridge are left out."""
    views = OfflineLedger(settings.store.url).each(AlarmFilter(limit=sys.maxsize))
    kept = (view for view in views if view.alarm.source not in OWN_SOURCES)
    return (
        GroupedAlert(view.alarm.source, view.context.alert, view.context.group)
        for view in islice(kept, last and max(last, 0))
    )


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
    """Print each value beside what gave it."""
    annotations = (replace(one, name=f"annotations.{one.name}") for one in explanation.annotations)
    for one in (*explanation.fields, *annotations):
        say(f"  {one.name} = {one.value}", f"      from {one.origin}")
    if explanation.timeout is not None:
        say(f"  AOM clears it by itself after {format_duration(explanation.timeout)}")
    if explanation.report is not None:
        say(f"  it fires since {format_rfc3339(explanation.report.starts_at)}")
    if explanation.status == "resolved":
        say("  resolved: it clears the alarm that its firing opened, as reported then; a firing would be reported so")


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


def _read(name: str, source: str) -> Pasted:
    try:
        raw = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        pasted = read_pasted(raw.decode("utf-8", "surrogateescape"), source)
    except OSError as error:
        what, fix = of_file(error)
        raise BridgeError(f"{name}: {what}. Fix: {fix}, or labels such as alertname=DiskFull.") from None
    except PayloadError as error:
        raise BridgeError(f"{name}: {error}") from None
    if not raw.strip():
        raise BridgeError(f"{name}: the body is empty. Fix: a webhook's body, or a list of alerts.")
    return pasted
