"""What `aom-bridge diff` shows: Alertmanager, the ledger and AOM side by side, and what will be done about each alert.

In: the command line, the configuration, the peers of each source, `store.url`, AOM's own list of each target. Out: a
table or JSON, and an exit code: 0 nothing differs whose time is up, 1 something does, or no running bridge will do
anything about it, 2 a peer, the ledger or AOM could not be asked. It changes nothing.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import asdict

from bridge.aom.fixes import outcome_failure
from bridge.cli.beside import load_beside
from bridge.cli.difference_table import lines, wide_lines
from bridge.cli.output import is_in_colour, print_table, print_value, terminal_width
from bridge.cli.remote import Remote, remote_of
from bridge.cli.table import ago, span
from bridge.cli.terminal import complain, say
from bridge.clock import Millis, format_rfc3339, parse_rfc3339, system_clock
from bridge.config import Settings
from bridge.ledger import Key, OfflineLedger
from bridge.notification import Labels
from bridge.receiving.parsed_notification import AlertmanagerReader
from bridge.reconcile.audit.judge import Action, Finding
from bridge.reconcile.audit.once import AomLook, look_once
from bridge.reconcile.heartbeats import late_text, of_all
from bridge.reconcile.look import Differing, Look, look

_ACTIONS = {"vanished": "cleared", "unrouted": "cleared", "silenced": "cleared", "missing": "raised"}


class _Plan(NamedTuple):
    """What will be done about an alert, or what for it waits; ``brief``: the same for a narrow terminal."""

    text: str
    brief: str


_WAITS = {
    "coverage": _Plan("waits until every peer has answered for long enough", "waits for peers"),
    "webhook": _Plan("waits for its webhook", "waits for webhook"),
    "heartbeat": _Plan(
        "waits because a heartbeat is late, or was until now: the alert may be absent for the same reason",
        "waits for heartbeat",
    ),
}
_AFTER_AUDIT: Mapping[Action, _Plan] = {
    "clear": _Plan("cleared after a second look", "cleared soon"),
    "sweep": _Plan("all but one cleared after a second look", "one left soon"),
    "report": _Plan("reported again after a second look", "reported soon"),
    "wait": _Plan("reported again by its next firing", "waits for firing"),
    "finish": _Plan("ended here after a second look", "ended soon"),
    "adopt": _Plan("taken over after a second look", "taken over soon"),
    "end": _Plan("cleared after a second look", "cleared soon"),
    "tell": _Plan("left alone: another bridge may have reported it", "left alone"),
}
_UNKNOWN = _Plan("no running bridge has told yet", "not known yet")


class _Row(msgspec.Struct, frozen=True):
    """One alert that differs; ``aom``: whether AOM holds its alarm open; None: AOM was not asked."""

    source: str
    fingerprint: str
    labels: Labels
    alertmanager: str | None
    ledger: str | None
    aom: str | None
    difference: str
    since: str | None
    next: str
    brief: str
    is_due: bool


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    remote = remote_of(arguments)
    if remote is not None:
        return _of_remote(remote, arguments.output)
    settings = load_beside(arguments.config_file)
    ledger = OfflineLedger(settings.store.url)
    looks = {name: asyncio.run(_look(settings, name, ledger)) for name in settings.by_source}
    audited = [name for name, target in settings.targets.items() if target.audit]
    aom = {
        name: asyncio.run(look_once(name, settings.audit_settings.of(name), ledger, system_clock)) for name in audited
    }
    rows = [*_of_alertmanager(looks, aom), *_of_aom(looks, aom, ledger)]
    is_complete = all(one.is_complete for one in looks.values()) and all(one.look for one in aom.values())
    _print(rows, arguments.output, "nothing differs" if is_complete else "")
    complain(*_notes(settings, ledger, looks, aom))
    if not is_complete:
        return 2
    return 1 if any(row.is_due for row in rows) else 0


def _of_remote(remote: Remote, output: str) -> int:
    """Print what the last rounds of a running bridge have shown; it asks AOM by its audit, and not for this."""
    found = remote.get("/api/v1/differences")["data"]
    if output in ("json", "yaml"):
        print_value(found, output)
    else:
        now = system_clock()
        rows = [_of_round(one, now) for one in found]
        _print(rows, output, "the last rounds have shown no difference from Alertmanager")
    complain(*_seen_at(remote))
    complain(
        "aom-bridge: AOM's list is not asked with --url. Fix, to look at it: aom-bridge diff --url= beside the bridge."
    )
    return 1 if any(one["is_due"] for one in found) else 0


def _seen_at(remote: Remote) -> Iterator[str]:
    """Yield when the peers of each source were asked last: what has changed since then does not show."""
    status = remote.get("/api/v1/status")["data"]
    for name, source in status["sources"].items():
        if source["covered_at"] is not None:
            yield f"aom-bridge: all peers of source {name} last answered {ago(source['covered_at'])}"


def _of_round(one: Mapping[str, Any], now: Millis) -> _Row:
    due_at = parse_rfc3339(one["due_at"]) if "due_at" in one else None
    plan = _plan(one["difference"], due_at, one["waits_for"], now)
    return _Row(
        source=one["source"],
        fingerprint=one["fingerprint"],
        labels=one["labels"],
        alertmanager=None,
        ledger=one.get("ledger"),
        aom=None,
        difference=one["difference"],
        since=one["since"],
        next=plan.text,
        brief=plan.brief,
        is_due=one["is_due"],
    )


async def _look(settings: Settings, name: str, ledger: OfflineLedger) -> Look:
    reader = AlertmanagerReader(settings.mapper())
    switch_of = partial(settings.heartbeat_config.switches.find, name)
    alertmanager = settings.by_source[name]
    return await look(alertmanager, name, ledger, reader, system_clock, switch_of, alarm_timeout=settings.alarm_timeout)


def _of_alertmanager(looks: Mapping[str, Look], aom: Mapping[str, AomLook]) -> Iterator[_Row]:
    """Yield the alerts whose alarm is not what Alertmanager says."""
    for source, one in looks.items():
        for each in one.differing:
            plan = _next(each, one.at)
            yield _Row(
                source=source,
                fingerprint=each.fingerprint,
                labels=each.labels,
                alertmanager=each.alertmanager,
                ledger=each.alarm.state if each.alarm else None,
                aom=_at_aom((source, each.fingerprint), aom),
                difference=each.kind,
                since=format_rfc3339(each.known.since) if each.known else None,
                next=plan.text,
                brief=plan.brief,
                is_due=_is_due(one, each),
            )


def _of_aom(looks: Mapping[str, Look], aom: Mapping[str, AomLook], ledger: OfflineLedger) -> Iterator[_Row]:
    """Yield the alerts whose alarm in AOM is not what the ledger says."""
    for one in aom.values():
        seqs = [finding.noted[0] for finding in one.findings if finding.noted]
        labels = ledger.labels(seqs) if seqs else {}
        for finding in one.findings:
            source, fingerprint = finding.key
            plan = _AFTER_AUDIT[finding.action] if one.is_audited or finding.action == "tell" else _UNKNOWN
            yield _Row(
                source=source,
                fingerprint=fingerprint,
                labels=labels.get(finding.noted[0], {}) if finding.noted else {},
                alertmanager=_at_alertmanager(finding.key, one, looks),
                ledger=finding.noted[2] if finding.noted else None,
                aom="open" if finding.entry else "not open",
                difference=finding.kind,
                since=None,
                next=plan.text,
                brief=plan.brief,
                is_due=not one.is_audited or _stays(finding, one),
            )


def _stays(finding: Finding, one: AomLook) -> bool:
    """Say whether nothing will be done about an alarm of another bridge whose alert does not fire."""
    view = one.look.api.get(finding.key[0]) if one.look else None
    return finding.action == "tell" and view is not None and view.is_complete and finding.key[1] not in view.shown


def _at_aom(key: Key, aom: Mapping[str, AomLook]) -> str | None:
    looks = [one.look for one in aom.values() if one.look is not None]
    if any(key in one.entries for one in looks):
        return "open"
    return "not open" if looks else None


def _at_alertmanager(key: Key, one: AomLook, looks: Mapping[str, Look]) -> str | None:
    view = one.look.api.get(key[0]) if one.look else None
    if view is None or key[0] not in looks:
        return None
    if key[1] not in view.shown:
        return "absent" if view.is_complete else "unknown"
    return "firing" if key[1] in view.active else "suppressed"


def _notes(
    settings: Settings, ledger: OfflineLedger, looks: Mapping[str, Look], aom: Mapping[str, AomLook]
) -> Iterator[str]:
    """Yield what else an operator should know."""
    if not looks:
        fix = "Fix: alertmanagers: [{urls: [http://HOST:9093]}]."
        yield f"aom-bridge: no Alertmanager is configured, so only the ledger and AOM are compared. {fix}"
    for name, one in looks.items():
        yield from (f"aom-bridge: source {name}: {notice.subject}: {notice.text}" for notice in one.notices)
        if one.differing and not one.is_compared:
            text = "no running bridge compares it with its Alertmanager, so nothing will be done about what differs."
            yield f"aom-bridge: source {name}: {text} Fix: start aom-bridge serve with this configuration."
    for name, of_target in aom.items():
        if of_target.look is None:
            hint = settings.targets[name].auth.hint
            yield f"aom-bridge: target {name}: {outcome_failure(of_target.outcome, 'aom:alarm:list', hint)}"
        elif of_target.findings and not of_target.is_audited:
            text = "no running bridge compares AOM's list with the ledger, so nothing will be done about what differs."
            yield f"aom-bridge: target {name}: {text} Fix: start aom-bridge serve with this configuration."
    verdicts = of_all(settings.heartbeats, ledger.switches(), system_clock())
    yield from (f"aom-bridge: {late_text(one)}" for one in verdicts if one.is_late)


def _is_due(one: Look, each: Differing) -> bool:
    if each.known is None or not one.is_compared:
        return not one.is_compared
    return each.known.due_at is not None and each.known.due_at <= one.at


def _next(each: Differing, now: Millis) -> _Plan:
    """Return what will be done, and when or what for it waits."""
    if each.known is None:
        return _UNKNOWN
    return _plan(each.kind, each.known.due_at, each.known.waits_for, now)


def _plan(kind: str, due_at: Millis | None, waits_for: str, now: Millis) -> _Plan:
    if due_at is None:
        return _WAITS.get(waits_for, _Plan(waits_for, waits_for))
    when = f"in {span(due_at - now)}" if due_at > now else "now"
    return _Plan(f"{_ACTIONS[kind]} at {format_rfc3339(due_at)}", f"{_ACTIONS[kind]} {when}")


def _print(rows: Sequence[_Row], output: str, if_none: str) -> None:
    if output in ("json", "yaml"):
        print_value([_as_json(row) for row in rows], output)
    elif not rows:
        say(*filter(None, [if_none]))
    elif output == "wide":
        say(*wide_lines([*map(asdict, rows)]))
    else:
        print_table(lines([*map(asdict, rows)], terminal_width(), system_clock(), in_colour=is_in_colour()))


def _as_json(row: _Row) -> dict[str, Any]:
    return {name: value for name, value in asdict(row).items() if value is not None and name != "brief"}
