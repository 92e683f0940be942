"""The only client of AOM: pushes reports and clears, and looks up alarms in AOM's list.

In: entries as `bridge.event` builds them. Out: an `Outcome`, never an exception. Each attempt counts against the
target's rate limit, and no attempt starts that could last longer than the caller's deadline. aiohttp-retry does the
quick retries of one request (connection errors, 502 and 504, unless AOM sends Retry-After); the dispatcher does the
later ones. Facts: AOM API reference, "Reporting Events and Alarms" and "Querying Events and Alarms".
"""

from __future__ import annotations

import io
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import aiohttp
import msgspec
from aiohttp_retry import ExponentialRetry, RetryClient
from aiolimiter import AsyncLimiter
from yarl import URL

from bridge.aom.alarm_list import ListedAlarm, Listing, ListKind, Query, read_count, read_page
from bridge.aom.answer import TooLongError, read_answer
from bridge.aom.auth import credentials
from bridge.aom.auth.grant import MAX_SKEW, Call, CredentialError, RequestAuth
from bridge.aom.auth.iam import MAX_TOKEN_BYTES
from bridge.aom.auth.kind import Credentials
from bridge.aom.outcome import Outcome, failure_text, read_outcome
from bridge.aom.settings import TargetSettings
from bridge.clock import MINUTE, Clock, Millis, format_duration, parse_http_date
from bridge.errors import BridgeError, Failure, of_file
from bridge.event import AomEvent

MAX_BODY_BYTES = 12 * 1000 * 1000
"""AOM's gateway refuses more than 12 MB; its documentation does not say which MB, so this is the smaller one."""

_ATTEMPTS = 3
MAX_PAGES = 100
_MAX_ERROR_BYTES = 1 << 16


_NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)
"""Errors of a connection that was never established: nothing of the request was sent."""


class _TooLateError(Exception):
    """The time until the deadline is shorter than an attempt may take."""


class _Doubt:
    """Whether AOM may have accepted an attempt of a request, although the request failed."""

    def __init__(self) -> None:
        self.is_left = False

    def note(self, error: Exception) -> None:
        """Record a failed attempt: AOM may have accepted it, unless no connection was established."""
        self.is_left = self.is_left or not isinstance(error, _NEVER_SENT)


@dataclass(slots=True)
class Sight:
    """What a client's requests have shown of its target.

    Attributes:
        listed_at: when AOM answered a look-up or a count last.
        skew: how far our clock is ahead of AOM's or its gateway's, by the last answer that tells.
        requested_at: when the requests of the last minute were sent.
    """

    listed_at: Millis | None = None
    skew: Millis | None = None
    requested_at: deque[Millis] = field(default_factory=deque)

    def note_request(self, now: Millis) -> None:
        """Note that a request is sent."""
        self.requested_at.append(now)
        self.requests(now)

    def requests(self, now: Millis) -> int:
        """Return the number of requests within the last minute."""
        while self.requested_at and not 0 <= now - self.requested_at[0] < MINUTE:
            self.requested_at.popleft()
        return len(self.requested_at)


class _RateLimitedSession:
    """Applies the rate limit to each attempt of a request, quick retries included.

    It also records the doubt of each attempt, since aiohttp-retry returns only the answer of the last one.
    """

    def __init__(
        self, session: aiohttp.ClientSession, limiter: AsyncLimiter, sight: Sight, clock: Clock, timeout: Millis
    ) -> None:
        self._session = session
        self._sight = sight
        self._limiter = limiter
        self._clock = clock
        self._timeout = timeout

    async def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes,
        headers: dict[str, str],
        grant: RequestAuth,
        deadline: Millis,
        doubt: _Doubt,
        **arguments: Any,  # noqa: ANN401 - passed on to aiohttp, whose arguments have many types
    ) -> aiohttp.ClientResponse:
        await self._limiter.acquire()
        now = self._clock()
        if now + self._timeout > deadline:
            raise _TooLateError
        self._sight.note_request(now)
        target = URL(url)
        headers = grant.headers(Call(method, target, headers, body), now)
        try:
            response = await self._session.request(method, target, data=io.BytesIO(body), headers=headers, **arguments)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            doubt.note(error)
            raise
        doubt.is_left = doubt.is_left or response.status in (502, 504)
        return response


@dataclass(frozen=True, slots=True)
class _Connection:
    """What a client has once it is started.

    Attributes:
        session: the HTTP session, for IAM too.
        retrying: the same session, with the rate limit and the quick retries.
        credentials: the target's credentials.
    """

    session: aiohttp.ClientSession
    retrying: RetryClient
    credentials: Credentials


class AomClient:
    """One target's client.

    Args:
        name: the target's name.
        settings: the target's settings.
        clock: returns the time.
        attempt_timeout: milliseconds that one attempt may take; with the quick retries up to `_ATTEMPTS` times this.

    Attributes:
        sight: what its requests have shown.
    """

    def __init__(self, name: str, settings: TargetSettings, clock: Clock, attempt_timeout: Millis) -> None:
        self._name = name
        self._settings = settings
        self._clock = clock
        self._attempt_timeout = attempt_timeout
        self._encoder = msgspec.json.Encoder()
        self._started: _Connection | None = None
        self.sight = Sight()

    @property
    def credentials(self) -> Credentials:
        """The credentials of the target.

        Raises:
            RuntimeError: the client is not started.
        """
        return self._connection.credentials

    @property
    def _connection(self) -> _Connection:
        if self._started is None:
            raise RuntimeError("not started")
        return self._started

    async def start(self) -> None:
        """Open the HTTP session; connections are established when they are needed.

        Raises:
            BridgeError: the CA file cannot be used.
        """
        settings = self._settings
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._trusted()),
            proxy=settings.proxy_url.reveal() if settings.proxy_url else None,
            timeout=aiohttp.ClientTimeout(total=self._attempt_timeout / 1000, sock_connect=5),
            max_field_size=MAX_TOKEN_BYTES,
            auto_decompress=True,
        )
        # aiohttp repeats a PUT on a broken connection by itself, without our rate limit, deadline and doubt.
        session._retry_connection = False  # noqa: SLF001 - aiohttp has no public switch for it; a test fails if this one disappears
        # The bucket holds one second's requests, so unused capacity is kept for one second only.
        limiter = AsyncLimiter(max(1.0, settings.rate_limit), max(1.0, 1 / settings.rate_limit))
        rate_limited = _RateLimitedSession(session, limiter, self.sight, self._clock, self._attempt_timeout)
        self._started = _Connection(
            session,
            RetryClient(cast("aiohttp.ClientSession", rate_limited), retry_options=_quick_retries()),
            credentials(self._name, settings, settings.auth, session, self._clock),
        )

    async def stop(self) -> None:
        """Close the session, if the client was started."""
        if self._started is not None:
            await self._started.credentials.close()
            await self._started.session.close()

    def _trusted(self) -> ssl.SSLContext | bool:
        """Return the context with the CAs that AOM's certificate is checked against; True: the system's."""
        file = self._settings.ca_file
        if not file:
            return True
        try:
            return ssl.create_default_context(cafile=str(file))
        except OSError as error:  # ssl.SSLError is an OSError
            no_certificate = Failure("it holds no certificate in PEM", "name a file that does")
            why = no_certificate if isinstance(error, ssl.SSLError) else of_file(error)
            raise BridgeError(f"target {self._name!r}: ca_file {file}: {why}") from None

    async def authenticate(self) -> Outcome:
        """Get the credentials without using them."""
        try:
            await self.credentials.get()
        except CredentialError as error:
            return error.outcome
        return Outcome("accepted")

    def encode(self, event: AomEvent) -> bytes:
        """Return the entry as JSON for a push's body; its length counts against `MAX_BODY_BYTES`."""
        return self._encoder.encode(event)

    async def push(self, entries: Sequence[bytes], action: Literal["report", "clear"], deadline: Millis) -> Outcome:
        """Report or clear these encoded entries in one request.

        Args:
            entries: the events, as `encode` returned them.
            action: whether to report or to clear them.
            deadline: the time at which every attempt must have ended.
        """
        query = "?action=clear" if action == "clear" else ""
        body = b'{"events":[' + b",".join(entries) + b"]}"
        outcome, _ = await self._send("PUT", f"/push/events{query}", body, deadline)
        return outcome

    async def count(self, query: Query, deadline: Millis, kind: ListKind = "active_alert") -> tuple[Outcome, int]:
        """Return how many alarms one of AOM's lists has for a query; where the outcome is no acceptance, 0."""
        outcome, answer = await self._send("POST", query.count_path(kind), self._encoder.encode(query.body()), deadline)
        if not outcome.accepted:
            return outcome, 0
        try:
            return outcome, read_count(answer)
        except ValueError as error:
            return Outcome("unavailable", status=outcome.status, message=str(error)[:500]), 0

    async def find(
        self, query: Query, deadline: Millis, kind: ListKind = "active_alert", max_pages: int = MAX_PAGES
    ) -> Listing:
        """Look up alarms on all pages of one of AOM's lists; only hits with the metadata of the query are returned."""
        alarms: list[ListedAlarm] = []
        marker = "0"
        body = self._encoder.encode(query.body())
        for _ in range(max_pages):
            outcome, answer = await self._send("POST", query.path(marker, kind), body, deadline)
            if not outcome.accepted:
                return Listing(outcome, alarms)
            try:
                page = read_page(answer, with_metadata=query.with_metadata)
            except ValueError as error:
                return Listing(Outcome("unavailable", status=outcome.status, message=str(error)[:500]), alarms)
            alarms += [hit for hit in page.alarms if query.wants(hit)]
            if not page.next_marker:
                return Listing(outcome, alarms, is_complete=True)
            if page.is_empty or page.next_marker == marker:
                break
            marker = page.next_marker
        return Listing(outcome, alarms)

    async def _send(self, method: str, path: str, body: bytes, deadline: Millis) -> tuple[Outcome, bytes]:
        """Send one request with credentials; if AOM refuses them, renew them and send once more.

        The outcome of a PUT is in doubt if AOM may have accepted any attempt. A look-up never is.
        """
        doubt = _Doubt()
        try:
            grant = await self.credentials.get()
            outcome, answer = await self._request(method, path, body, grant, deadline, doubt)
            if outcome.reason == "unauthorized" and await self.credentials.renew(grant):
                grant = await self.credentials.get()
                outcome, answer = await self._request(method, path, body, grant, deadline, doubt)
        except CredentialError as error:
            outcome, answer = error.outcome, b""
        if method == "POST" and outcome.accepted:
            self.sight.listed_at = self._clock()
        in_doubt = method == "PUT" and (outcome.in_doubt or doubt.is_left)
        return msgspec.structs.replace(outcome, in_doubt=in_doubt), answer

    async def _request(
        self, method: str, path: str, body: bytes, grant: RequestAuth, deadline: Millis, doubt: _Doubt
    ) -> tuple[Outcome, bytes]:
        headers = {
            "Content-Type": "application/json",
            self._settings.enterprise_project_header: self._settings.enterprise_project_id,
        }
        url = f"{self._settings.aom_url}/v2/{self._settings.project_id}{path}"
        try:
            async with self._connection.retrying.request(
                method,
                url,
                body=body,
                headers=headers,
                grant=grant,
                allow_redirects=False,
                deadline=deadline,
                doubt=doubt,
            ) as response:
                answer = await read_answer(response)
                now = self._clock()
                date = parse_http_date(response.headers.get("Date"))
                self.sight.skew = self.sight.skew if date is None else now - date
                return self._outcome(response, answer, grant, now), answer
        except _TooLateError:
            return Outcome("not_sent", message="the lease leaves no time for an attempt"), b""
        except TooLongError as error:
            doubt.note(error)
            return Outcome("foreign", message=str(error)), b""
        except TimeoutError as error:
            doubt.note(error)
            return Outcome("timeout", message="no answer in time"), b""
        except (aiohttp.ClientError, OSError, ValueError) as error:
            doubt.note(error)
            return Outcome("connection", message=failure_text(error, grant.mask)), b""

    def _outcome(self, response: aiohttp.ClientResponse, answer: bytes, grant: RequestAuth, now: Millis) -> Outcome:
        body = answer if response.status == 200 else answer[:_MAX_ERROR_BYTES]
        outcome = read_outcome(response.status, body, response.headers.get("Retry-After"), now)
        if outcome.reason == "unauthorized" and grant.is_signed:
            outcome = _with_skew(outcome, response.headers.get("Date"), now)
        return outcome


def _with_skew(outcome: Outcome, date: str | None, now: Millis) -> Outcome:
    """Add to a refused signature that our clock may be wrong: the gateway's message seldom says so."""
    server_time = parse_http_date(date)
    if server_time is None or abs(now - server_time) < MAX_SKEW:
        return outcome
    which = "ahead of" if now > server_time else "behind"
    minutes = abs(now - server_time) // MINUTE * MINUTE  # the header counts whole seconds, and the answer took time
    text = f"our clock is {format_duration(minutes)} {which} AOM's, and a signature may be 15m off at most"
    return msgspec.structs.replace(
        outcome, message=f"{text}. Fix: synchronize the clock (NTP). {outcome.message}"[:500]
    )


def _quick_retries() -> ExponentialRetry:
    return ExponentialRetry(
        attempts=_ATTEMPTS,
        start_timeout=0.2,
        max_timeout=1.0,
        retry_all_server_errors=False,
        exceptions={aiohttp.ClientOSError, aiohttp.ServerDisconnectedError},
        evaluate_response_callback=_is_final,
    )


async def _is_final(response: aiohttp.ClientResponse) -> bool:
    """Return whether an answer is final; before a retry the connection of the answer is released."""
    if response.status not in (502, 504) or "Retry-After" in response.headers:
        return True
    response.release()
    return False
