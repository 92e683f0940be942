"""The only client of AOM: pushes reports and clears, and looks alarms up in AOM's list.

In: entries as `bridge.event` builds them. Out: an `Outcome`, never an exception. Each attempt takes its share of the
target's rate limit, and none begins that could outlive the caller's deadline. The quick retries of one
request (connection errors, 502 and 504, unless AOM names a Retry-After) are aiohttp-retry's; everything longer is the
dispatcher's. Facts: AOM API reference, "Reporting Events and Alarms" and "Querying Events and Alarms".
"""

from __future__ import annotations

import io
import ssl
from collections.abc import Sequence
from typing import Any, Literal, cast

import aiohttp
import msgspec
from aiohttp_retry import ExponentialRetry, RetryClient
from aiolimiter import AsyncLimiter
from yarl import URL

from bridge.aom.alarm_list import ListedAlarm, Listing, ListKind, Query, read_page
from bridge.aom.answer import TooLongError, read_answer
from bridge.aom.auth import credentials
from bridge.aom.auth.grant import MAX_SKEW, Call, CredentialError, RequestAuth
from bridge.aom.auth.iam import MAX_TOKEN_BYTES
from bridge.aom.outcome import Outcome, read_http_date, read_outcome, words_of
from bridge.aom.settings import TargetSettings
from bridge.clock import MINUTE, Clock, Millis, format_duration
from bridge.errors import BridgeError, Failure, of_file
from bridge.event import AomEvent

MAX_BODY_BYTES = 12 * 1000 * 1000
"""The gateway refuses more than 12 MB; whether that means 10^6 or 2^20 is not said, so the smaller one."""

_ATTEMPTS = 3
MAX_PAGES = 100
_MAX_ERROR_BYTES = 1 << 16


_NEVER_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)
"""Errors of a connection that was never made: nothing of the request has left."""


class _TooLateError(Exception):
    """The deadline does not leave the time that an attempt may take."""


class _Doubt:
    """Whether AOM may have taken one of the attempts of a request that was answered otherwise, or not at all."""

    def __init__(self) -> None:
        self.is_left = False

    def note(self, error: Exception) -> None:
        """Note an attempt without a whole answer: AOM may have taken it, unless no connection was made."""
        self.is_left = self.is_left or not isinstance(error, _NEVER_SENT)


class _RateLimitedSession:
    """Sends each attempt of a request, the quick retries too, at its time within the rate limit.

    It notes the doubt that an attempt leaves, for the retries hand up the answer of the last one only.
    """

    def __init__(self, session: aiohttp.ClientSession, limiter: AsyncLimiter, clock: Clock, timeout: Millis) -> None:
        self._session = session
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
        **arguments: Any,  # noqa: ANN401 - aiohttp's own
    ) -> aiohttp.ClientResponse:
        await self._limiter.acquire()
        now = self._clock()
        if now + self._timeout > deadline:
            raise _TooLateError
        target = URL(url)
        headers = grant.headers(Call(method, target, headers, body), now)
        try:
            response = await self._session.request(method, target, data=io.BytesIO(body), headers=headers, **arguments)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            doubt.note(error)
            raise
        doubt.is_left = doubt.is_left or response.status in (502, 504)
        return response


class AomClient:
    """One target's client.

    Args:
        name: the target's.
        settings: the target.
        clock: the time.
        attempt_timeout: how long one attempt may take; with the quick retries `_ATTEMPTS` times as long.
    """

    def __init__(self, name: str, settings: TargetSettings, clock: Clock, attempt_timeout: Millis) -> None:
        self._name = name
        self._settings = settings
        self._clock = clock
        self._attempt_timeout = attempt_timeout
        self._encoder = msgspec.json.Encoder()

    async def start(self) -> None:
        """Open the HTTP session; connections are made when they are needed.

        Raises:
            BridgeError: the CA file cannot be used.
        """
        settings = self._settings
        context: ssl.SSLContext | bool = True
        if settings.ca_file:
            try:
                context = ssl.create_default_context(cafile=str(settings.ca_file))
            except OSError as error:  # what ssl itself raises is one, too
                no_certificate = Failure("it holds no certificate in PEM", "name a file that does")
                why = no_certificate if isinstance(error, ssl.SSLError) else of_file(error)
                raise BridgeError(f"target {self._name!r}: ca_file {settings.ca_file}: {why}") from None
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context),
            proxy=settings.proxy_url.reveal() if settings.proxy_url else None,
            timeout=aiohttp.ClientTimeout(total=self._attempt_timeout / 1000, sock_connect=5),
            max_field_size=MAX_TOKEN_BYTES,
            auto_decompress=True,
        )
        # aiohttp repeats a PUT by itself on a connection that broke, outside rate limit, deadline and doubt.
        self._session._retry_connection = False  # noqa: SLF001 - there is no public switch; a test notices if it goes
        # A bucket of one second's requests: what was not used may be caught up with, no more.
        limiter = AsyncLimiter(max(1.0, settings.rate_limit), max(1.0, 1 / settings.rate_limit))
        paced = _RateLimitedSession(self._session, limiter, self._clock, self._attempt_timeout)
        self._retrying = RetryClient(cast("aiohttp.ClientSession", paced), retry_options=_quick_retries())
        self.credentials = credentials(self._name, settings, settings.auth, self._session, self._clock)

    async def stop(self) -> None:
        """Close the session."""
        await self.credentials.close()
        await self._session.close()

    async def authenticate(self) -> Outcome:
        """Get the credentials without using them."""
        try:
            await self.credentials.get()
        except CredentialError as error:
            return error.outcome
        return Outcome("accepted")

    def encode(self, event: AomEvent) -> bytes:
        """Return the entry as it stands in a push's body; its length counts against `MAX_BODY_BYTES`."""
        return self._encoder.encode(event)

    async def push(self, entries: Sequence[bytes], action: Literal["report", "clear"], deadline: Millis) -> Outcome:
        """Report or clear these encoded entries in one request.

        Args:
            entries: what `encode` gave.
            action: what to do.
            deadline: when no attempt may be under way any more.
        """
        query = "?action=clear" if action == "clear" else ""
        body = b'{"events":[' + b",".join(entries) + b"]}"
        outcome, _ = await self._send("PUT", f"/push/events{query}", body, deadline)
        return outcome

    async def find(self, query: Query, deadline: Millis, kind: ListKind = "active_alert") -> Listing:
        """Look alarms up in one of AOM's lists, through all pages; every hit is checked against our own metadata."""
        found: list[ListedAlarm] = []
        marker = "0"
        body = self._encoder.encode(query.body())
        for _ in range(MAX_PAGES):
            outcome, answer = await self._send("POST", query.path(marker, kind), body, deadline)
            if not outcome.accepted:
                return Listing(outcome, found)
            try:
                page = read_page(answer)
            except ValueError as error:
                return Listing(Outcome("unavailable", status=outcome.status, message=str(error)[:500]), found)
            found += [hit for hit in page.found if query.wants(hit)]
            if not page.following:
                return Listing(outcome, found, is_whole=True)
            if page.is_empty or page.following == marker:
                break
            marker = page.following
        return Listing(outcome, found)

    async def _send(self, method: str, path: str, body: bytes, deadline: Millis) -> tuple[Outcome, bytes]:
        """Send with credentials; those that AOM refuses are renewed once. The doubt of each attempt is in the outcome.

        A list can be asked again as often as one likes: of it nothing is in doubt.
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
            async with self._retrying.request(
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
                return self._outcome(response, answer, grant, now), answer
        except _TooLateError:
            return Outcome("not_sent", message="no time was left within the lease"), b""
        except TooLongError as error:
            doubt.note(error)
            return Outcome("foreign", message=str(error)), b""
        except TimeoutError as error:
            doubt.note(error)
            return Outcome("timeout", message="no answer in time"), b""
        except (aiohttp.ClientError, OSError, ValueError) as error:
            doubt.note(error)
            return Outcome("connection", message=words_of(error, grant.mask)), b""

    def _outcome(self, response: aiohttp.ClientResponse, answer: bytes, grant: RequestAuth, now: Millis) -> Outcome:
        judged = answer if response.status == 200 else answer[:_MAX_ERROR_BYTES]
        outcome = read_outcome(response.status, judged, response.headers.get("Retry-After"), now)
        if outcome.reason == "unauthorized" and grant.is_signed:
            outcome = _with_skew(outcome, response.headers.get("Date"), now)
        return outcome


def _with_skew(outcome: Outcome, date: str | None, now: Millis) -> Outcome:
    """Add to a refused signature that its date may be the reason: the gateway's own words seldom say so."""
    at = read_http_date(date)
    if at is None or abs(now - at) < MAX_SKEW:
        return outcome
    which = "ahead of" if now > at else "behind"
    minutes = abs(now - at) // MINUTE * MINUTE  # a header's date is whole seconds, and the answer took some
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
    """Say whether an answer stands; one that is tried again gives its connection back first."""
    if response.status not in (502, 504) or "Retry-After" in response.headers:
        return True
    response.release()
    return False
