"""Tries one target for real, step by step: can its address be found and reached, may we report, list and clear there?

In: a target's settings. Out: `Step`s, each as soon as it is known, with what to do where it failed. It reports one
alarm of severity Info under its own name and clears it again; where it cannot, AOM does so by age. It uses the bridge's
own client, and no ledger. The IAM actions: AOM API reference, "Alarm Actions".
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
from yarl import URL

from bridge import event
from bridge.aom import AomClient, ListedAlarm, ListKind, Outcome, Query, TargetSettings
from bridge.clock import HOUR, MINUTE, SECOND, Clock, Millis, format_duration
from bridge.errors import of_connection
from bridge.event import FINGERPRINT_KEY, SOURCE_KEY, Event

SOURCE = "aom-bridge-send-test"
_LIFE: Millis = 10 * MINUTE
_CONNECT_SECONDS = 10
_ATTEMPT: Millis = 10 * SECOND
_DEADLINE: Millis = MINUTE
_POLL_SECONDS = 0.5

_FIXES = {
    "forbidden": "give the user the IAM action {action} in this project, and in its enterprise project",
    "not_found": "project_id, or endpoint and region, name nothing that AOM knows; the project's id stands in the"
    " console under My Credentials",
    "rate_limited": "another program uses up the rate limit of this account; try again, and lower rate_limit",
    "timeout": "a firewall may swallow the answer; or a proxy is needed: proxy_url",
    "connection": "the connection broke; a firewall, or a proxy that is needed: proxy_url",
    "refused": "AOM refuses what every bridge sends: please open an issue with these words",
}


class Step(msgspec.Struct, frozen=True):
    """One thing that was tried.

    ``outcome``: ``ok``, ``FAIL``, or ``skip`` after an earlier failure; ``fix``: what to do about it.
    """

    name: str
    outcome: str
    text: str
    fix: str = ""
    took: Millis = 0


class _FailedError(Exception):
    """A step failed; its text says why."""

    def __init__(self, text: str, fix: str) -> None:
        super().__init__(text)
        self.fix = fix


class SendTest:
    """One try of one target.

    Args:
        name: the target's.
        settings: its settings.
        wait: for how long the list may lag.
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
        self._found: list[ListedAlarm] = []

    async def run(self) -> AsyncIterator[Step]:
        """Try everything; yields a step for each."""
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
            # Worth a try although an earlier step failed: AOM may hold the alarm, and is spared it.
            is_worth = (name == "clear" and failed == "list") or (name in ("list", "clear") and self._may_be_open)
            if failed and not is_worth:
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
            found = await asyncio.get_running_loop().getaddrinfo(hop.host, hop.port, type=socket.SOCK_STREAM)
        except OSError as error:
            what, _ = of_connection(error, f"{hop.host}:{hop.port}")
            fix = "correct endpoint, region or proxy_url, or the name server that this machine asks"
            raise _FailedError(what, fix) from None
        addresses = sorted({str(one[4][0]) for one in found})
        which = "the proxy " if self._settings.proxy_url else ""
        return f"{which}{hop.host} is {', '.join(addresses)}"

    async def _connection(self) -> str:
        hop = self._first_hop()
        file = self._settings.ca_file
        try:
            context = ssl.create_default_context(cafile=str(file) if file else None) if hop.scheme == "https" else None
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, writer = await asyncio.open_connection(hop.host, hop.port, ssl=context)
        except OSError as error:
            raise _FailedError(*of_connection(error, f"{hop.host}:{hop.port}")) from None
        secured = writer.get_extra_info("ssl_object")
        version = f"{secured.version()}, certificate trusted" if secured else "without TLS"
        writer.close()
        return f"{hop.host}:{hop.port} answers, {version}"

    async def _credentials(self) -> str:
        outcome = await self._client.authenticate()
        if outcome.reason == "unavailable":
            what, _, fix = outcome.detail.partition(". Fix: ")
            raise _FailedError(what, f"{fix.rstrip('.')}; iam_endpoint, or region, leads there".lstrip("; "))
        self._check(outcome, "")
        expires_at = self._client.credentials.expires_at
        life = f", for {format_duration(expires_at - self._clock())}" if expires_at else ""
        return f"there by {self._settings.auth.method}{life}"

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
        message = "aom-bridge send-test tries whether alarms arrive; it clears this one"
        return Event(metadata, {"message": message}, _LIFE)

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
        kept = any(one.id == self._id for one in self._found)
        if not kept and self._settings.clear_by == "id":
            text = f"shown after {format_duration(lag)}, but under an id of AOM's own: clear_by: id clears nothing here"
            raise _FailedError(text, "set clear_by: lookup")
        whose = "AOM keeps our ids (clear_by: id would work, too)" if kept else "AOM makes ids of its own"
        return f"shown after {format_duration(lag)}; {whose}"

    async def _clear(self) -> str:
        now = self._clock()
        ids = [one.id for one in self._found] or [self._id]
        entries = [event.clear(self._event(), aom_id=one, starts_at=self._begun, ends_at=now, now=now) for one in ids]
        outcome = await self._client.push([*map(self._client.encode, entries)], "clear", now + _DEADLINE)
        self._check(outcome, "aom:alarm:put")
        if self._found:
            return "AOM accepted the clear"
        return f"AOM answered {outcome.status} to a clear by our own id; by age it ends in {format_duration(_LIFE)}"

    async def _cleared(self) -> str:
        lag = await self._until(lambda found: not found)
        if lag is None:
            fix = "look at the alarm in AOM's console; please open an issue with what it shows"
            raise _FailedError(f"AOM still lists the alarm after {format_duration(self._wait)}", fix)
        return f"not listed any more after {format_duration(lag)}"

    async def _until(self, is_so: Callable[[list[ListedAlarm]], bool]) -> Millis | None:
        """Ask the list again and again until it is so; return how long that took, None if it never was."""
        begun = self._clock()
        while True:
            found = await self._listed("active_alert")
            if is_so(found):
                self._found = found or self._found
                return self._clock() - begun
            if self._clock() - begun >= self._wait:
                return None
            await asyncio.sleep(_POLL_SECONDS)

    async def _listed(self, kind: ListKind) -> list[ListedAlarm]:
        now = self._clock()
        query = Query(source=SOURCE, fingerprints=(self._fingerprint,), since=now - HOUR, until=now)
        listing = await self._client.find(query, now + _DEADLINE, kind)
        self._check(listing.outcome, "aom:alarm:list")
        return listing.found

    def _check(self, outcome: Outcome, action: str) -> None:
        if not outcome.accepted:
            fix = _FIXES.get(outcome.reason, "AOM or IAM is in trouble; try again later").format(action=action)
            if outcome.reason == "unauthorized":
                fix = self._settings.auth.hint
            what, _, own = outcome.detail.partition(". Fix: ")
            raise _FailedError(what, own.rstrip(".") or fix)
