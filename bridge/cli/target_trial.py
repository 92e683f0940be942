"""What `aom-bridge send-test` does: it tries targets for real, step by step, from the address to a cleared alarm.

In: the targets of a configuration, and the peers of its Alertmanagers, which are asked once. Out: one line for each
step as soon as its result is known, with a fix where it failed, and an exit code: 1 when a step failed. It reports one
alarm of severity Info under its own name and clears it again; where it cannot, AOM clears it by age. It uses the
bridge's own client, and no ledger. The IAM actions: AOM API reference, "Alarm Actions".
"""

from __future__ import annotations

import argparse
import asyncio
import io
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from yarl import URL

from bridge import config, event, log
from bridge.aom import AomClient, ListedAlarm, ListKind, Outcome, Query, TargetSettings
from bridge.aom.fixes import outcome_failure
from bridge.cli.terminal import say
from bridge.clock import HOUR, MINUTE, SECOND, Clock, Millis, format_duration, system_clock
from bridge.errors import BridgeError, of_connection
from bridge.event import FINGERPRINT_KEY, SOURCE_KEY, Event
from bridge.reconcile.settings import AlertmanagerSettings
from bridge.reconcile.trial import Trial, trial

SOURCE = "aom-bridge-send-test"
_ANNOTATIONS = {
    "message": "aom-bridge send-test checks that alarms arrive; it clears this one",
    "alarm_probableCause_zh_cn": "aom-bridge send-test 正在检查告警能否到达；它会清除本告警",
}
_LIFE: Millis = 10 * MINUTE
_CONNECT_SECONDS = 10
_ATTEMPT: Millis = 10 * SECOND
_DEADLINE: Millis = MINUTE
_POLL_SECONDS = 0.5
_CLOCK_PRECISION: Millis = 2 * SECOND
"""A peer tells its time in whole seconds."""


def run(arguments: argparse.Namespace) -> int:
    """Run the command; return its exit code."""
    settings = config.load(arguments.config_file).settings
    log.configure("error", "logfmt", io.StringIO())  # the printed steps replace the log
    names = arguments.target or list(settings.targets)
    unknown = [name for name in names if name not in settings.targets]
    if unknown:
        known = ", ".join(settings.targets)
        raise BridgeError(f"no target is called {unknown[0]!r}. Fix: one of {known}.")
    targets = {name: settings.targets[name] for name in names}
    alertmanagers = {} if arguments.target else settings.by_source
    failed = asyncio.run(_try_all(settings, targets, alertmanagers, arguments.wait))
    works = "alarms can be reported, found and cleared" + (", and Alertmanager can be asked" if alertmanagers else "")
    say("this does not work yet" if failed else works)
    return 1 if failed else 0


async def _try_all(
    settings: config.Settings,
    targets: Mapping[str, TargetSettings],
    alertmanagers: Mapping[str, AlertmanagerSettings],
    wait: Millis | None,
) -> int:
    """Try every target and every peer; return the number of steps that failed."""
    failed = await _try_targets(targets, wait)
    for name, alertmanager in alertmanagers.items():
        say(f"alertmanager of source {name}: {alertmanager.dns or ', '.join(alertmanager.urls)}")
        switch_of = partial(settings.heartbeat_config.switches.find, name)
        tried = await trial(alertmanager, system_clock, switch_of, alarm_timeout=settings.alarm_timeout)
        for step in _of_peers(tried):
            failed += step.outcome == "FAIL"
            _print(step)
    return failed


async def _try_targets(targets: Mapping[str, TargetSettings], wait: Millis | None) -> int:
    failed = 0
    for name, target in targets.items():
        say(f"target {name}: {target.aom_url}, project {target.project_id}")
        steps = SendTest(name, target, target.lookup_wait if wait is None else wait, system_clock)
        async for step in steps.run():
            failed += step.outcome == "FAIL"
            _print(step)
    return failed


def _of_peers(tried: Trial) -> Iterator[Step]:
    for peer in tried.peers:
        version = f"Alertmanager {peer.version}" if peer.version else "it answers"
        cluster = {"": "", "disabled": ", no cluster"}.get(peer.state, f", a cluster of {peer.peers}, {peer.state}")
        direction = "ahead" if peer.skew > 0 else "behind"
        clock = f", clock {format_duration(abs(peer.skew))} {direction}" if abs(peer.skew) > _CLOCK_PRECISION else ""
        names = "unknown" if peer.receivers is None else ", ".join(peer.receivers) or "none"
        text = f"{peer.url}: {version}{cluster}{clock}, {peer.alerts} alerts; receivers with a webhook: {names}"
        yield Step("peer", "ok", text, took=peer.took)
    for notice in tried.notices:
        text, _, fix = notice.text.partition(" Fix: ")
        yield Step("peer", "FAIL" if notice.kind == "silent" else "warn", f"{notice.subject}: {text}", fix)


def _print(step: Step) -> None:
    took = format_duration(step.took) if step.outcome != "skip" else ""
    say(f"  {step.outcome:<5} {step.name:<12} {took:>8}  {step.text}")
    if step.fix:
        say(f"{'':21}{'':>8}  Fix: {step.fix}")


@dataclass(frozen=True, slots=True)
class Step:
    """The result of one step."""

    name: str
    """Its name, such as ``report``."""

    outcome: str
    """``ok``, ``FAIL``, ``warn`` if it works only in part, or ``skip`` after an earlier failure."""

    text: str
    """What was found."""

    fix: str = ""
    """What to do about a failure."""

    took: Millis = 0
    """Its duration."""


class _FailedError(Exception):
    """A step failed; its text says why."""

    def __init__(self, text: str, fix: str) -> None:
        super().__init__(text)
        self.fix = fix


class SendTest:
    """One test of one target.

    Args:
        name: the target's name.
        settings: its settings.
        wait: for how long AOM's list may lag.
        clock: the time.
    """

    def __init__(self, name: str, settings: TargetSettings, wait: Millis, clock: Clock) -> None:
        self._settings = settings
        self._wait = wait
        self._clock = clock
        self._client = AomClient(name, settings, clock, _ATTEMPT)
        self._fingerprint = secrets.token_hex(8)
        self._id = secrets.token_hex(16)
        self._begun: Millis = 0
        self._may_be_open = False
        self._alarms: list[ListedAlarm] = []

    async def run(self) -> AsyncIterator[Step]:
        """Try each step and yield its result."""
        await self._client.start()
        try:
            async for step in self._steps():
                yield step
        finally:
            await self._client.stop()

    async def _steps(self) -> AsyncIterator[Step]:
        tries: list[tuple[str, Callable[[], Awaitable[str]]]] = [
            ("address", self._address),
            ("connection", self._connection),
            ("credentials", self._credentials),
            ("report", self._report),
            ("list", self._list),
            ("clear", self._clear),
            ("cleared", self._cleared),
        ]
        failed, skipped = "", list[str]()
        for name, attempt in tries:
            # Still try to clear after a failure: AOM may hold the test alarm.
            must_try = (name == "clear" and failed == "list") or (name in ("list", "clear") and self._may_be_open)
            if failed and not must_try:
                skipped.append(name)
                continue
            step = await self._try(name, attempt)
            failed = failed or (name if step.outcome == "FAIL" else "")
            yield step
        if skipped:
            yield Step("the rest", "skip", ", ".join(skipped))

    async def _try(self, name: str, attempt: Callable[[], Awaitable[str]]) -> Step:
        begun = self._clock()
        try:
            text = await attempt()
        except _FailedError as error:
            return Step(name, "FAIL", str(error), error.fix, self._clock() - begun)
        return Step(name, "ok", text, took=self._clock() - begun)

    def _first_hop(self) -> URL:
        proxy = self._settings.proxy_url
        return URL(proxy.reveal() if proxy else self._settings.aom_url)

    async def _address(self) -> str:
        hop = self._first_hop()
        try:
            answers = await asyncio.get_running_loop().getaddrinfo(hop.host, hop.port, type=socket.SOCK_STREAM)
        except OSError as error:
            what, _ = of_connection(error, f"{hop.host}:{hop.port}")
            fix = "correct endpoint, region or proxy_url, or the name server that this machine uses"
            raise _FailedError(what, fix) from None
        addresses = sorted({str(address[0]) for *_, address in answers})
        prefix = "the proxy " if self._settings.proxy_url else ""
        return f"{prefix}{hop.host} is {', '.join(addresses)}"

    async def _connection(self) -> str:
        hop = self._first_hop()
        file = self._settings.ca_file
        try:
            context = ssl.create_default_context(cafile=str(file) if file else None) if hop.scheme == "https" else None
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, writer = await asyncio.open_connection(hop.host, hop.port, ssl=context)
        except OSError as error:
            raise _FailedError(*of_connection(error, f"{hop.host}:{hop.port}", proxy="proxy_url")) from None
        secured = writer.get_extra_info("ssl_object")
        version = f"{secured.version()}, certificate trusted" if secured else "without TLS"
        writer.close()
        return f"{hop.host}:{hop.port} answers, {version}"

    async def _credentials(self) -> str:
        outcome = await self._client.authenticate()
        if outcome.reason == "unavailable":
            what, _, fix = outcome.detail.partition(". Fix: ")
            raise _FailedError(what, f"{fix.rstrip('.')}; the address is from iam_endpoint or region".lstrip("; "))
        self._check(outcome, "")
        expires_at = self._client.credentials.expires_at
        life = f", valid for {format_duration(expires_at - self._clock())}" if expires_at else ""
        return f"obtained by {self._settings.auth.method}{life}"

    def _event(self) -> Event:
        metadata = {
            "event_name": SOURCE,
            "event_severity": "Info",
            "event_type": "alarm",
            "resource_provider": "aom-bridge",
            "resource_type": "send-test",
            "resource_id": self._fingerprint,
            FINGERPRINT_KEY: self._fingerprint,
            SOURCE_KEY: SOURCE,
        }
        return Event(metadata, _ANNOTATIONS, _LIFE)

    async def _report(self) -> str:
        self._begun = now = self._clock()
        entry = event.report(self._event(), alarm_id=self._id, starts_at=now, now=now)
        outcome = await self._client.push([self._client.encode(entry)], "report", now + _DEADLINE)
        self._may_be_open = outcome.in_doubt
        self._check(outcome, "aom:alarm:put")
        return f"AOM accepted the alarm {SOURCE} ({outcome.status})"

    async def _list(self) -> str:
        lag = await self._until(bool)
        if lag is None:
            fix = "enterprise_project_id must be that of the alarms; a list that lags for longer needs a longer --wait"
            raise _FailedError(f"AOM's list did not show the alarm within {format_duration(self._wait)}", fix)
        has_our_id = any(alarm.id == self._id for alarm in self._alarms)
        if not has_our_id and self._settings.clear_by == "id":
            text = (
                f"shown after {format_duration(lag)}, but under an id that AOM made: clear_by: id clears nothing here"
            )
            raise _FailedError(text, "set clear_by: lookup")
        ids = "AOM keeps our ids (clear_by: id would work, too)" if has_our_id else "AOM makes its own ids"
        return f"shown after {format_duration(lag)}; {ids}"

    async def _clear(self) -> str:
        now = self._clock()
        ids = [alarm.id for alarm in self._alarms] or [self._id]
        entries = [
            event.clear(self._event(), aom_id=aom_id, starts_at=self._begun, ends_at=now, now=now) for aom_id in ids
        ]
        outcome = await self._client.push([*map(self._client.encode, entries)], "clear", now + _DEADLINE)
        self._check(outcome, "aom:alarm:put")
        if self._alarms:
            return "AOM accepted the clear"
        by_age = f"AOM clears the alarm by age in {format_duration(_LIFE)}"
        return f"AOM answered {outcome.status} to a clear by our own id; {by_age}"

    async def _cleared(self) -> str:
        lag = await self._until(lambda alarms: not alarms)
        if lag is None:
            fix = "look at the alarm in AOM's console; please open an issue with what the console shows"
            raise _FailedError(f"AOM still lists the alarm after {format_duration(self._wait)}", fix)
        return f"no longer listed after {format_duration(lag)}"

    async def _until(self, is_done: Callable[[list[ListedAlarm]], bool]) -> Millis | None:
        """Ask the list repeatedly until it satisfies the condition; return how long that took, None after `wait`."""
        begun = self._clock()
        while True:
            alarms = await self._listed("active_alert")
            if is_done(alarms):
                self._alarms = alarms or self._alarms
                return self._clock() - begun
            if self._clock() - begun >= self._wait:
                return None
            await asyncio.sleep(_POLL_SECONDS)

    async def _listed(self, kind: ListKind) -> list[ListedAlarm]:
        now = self._clock()
        query = Query(source=SOURCE, fingerprints=(self._fingerprint,), since=now - HOUR, until=now)
        listing = await self._client.find(query, now + _DEADLINE, kind)
        self._check(listing.outcome, "aom:alarm:list")
        return listing.alarms

    def _check(self, outcome: Outcome, action: str) -> None:
        if not outcome.accepted:
            failure = outcome_failure(outcome, action, self._settings.auth.hint)
            raise _FailedError(failure.what, failure.fix)
