"""Credentials of one target: a fixed token, or a password with which tokens are fetched and renewed.

In: settings. Out: the headers of a request, or a `CredentialError` with the outcome to report. One renewal runs
at a time: however many requests find a token dead, it is fetched once. Secrets go on the wire and nowhere else.
Facts: IAM's "Obtaining a User Token" (201, the token in the response header X-Subject-Token, valid 24 h; it can
die earlier; it can have 40,960 characters).
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import aiohttp
import msgspec

from bridge.aom.outcome import Outcome, Reason, read_outcome
from bridge.aom.settings import PasswordSettings, TargetSettings, TokenSettings
from bridge.clock import HOUR, Clock, Millis, parse_rfc3339

LONGEST_TOKEN = 64 * 1024
"""Room for a header with a token; aiohttp's own limit is 8,190."""

_RENEW_AT = 0.8
_TIMEOUT = aiohttp.ClientTimeout(total=10, sock_connect=5)
_DEFAULT_LIFE: Millis = 24 * HOUR


class CredentialError(Exception):
    """No credentials could be had; ``outcome`` says why, as if AOM had answered so."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.detail)
        self.outcome = outcome


class Credentials(Protocol):
    """What a client of AOM asks for each request."""

    async def token(self) -> str:
        """Return a token; raises `CredentialError` when there is none."""

    async def renew(self, refused: str) -> bool:
        """Take note that AOM refused this token; return whether there is another one now."""

    @property
    def expires_at(self) -> Millis | None:
        """When the present token ends; None where that is not known."""


class FixedToken:
    """A token by value or from a file, which somebody else renews."""

    expires_at: Millis | None = None

    def __init__(self, settings: TokenSettings) -> None:
        self._settings = settings

    async def token(self) -> str:
        """Return the token; a file is read anew each time."""
        if self._settings.value is not None:
            return self._settings.value.reveal()
        path = self._settings.file
        try:
            return path.read_text(encoding="utf-8").strip() if path else ""
        except (OSError, UnicodeDecodeError) as error:
            raise CredentialError(Outcome("unauthorized", message=f"token file {path}: {error}")) from None

    async def renew(self, refused: str) -> bool:
        """Return whether the file holds another token by now."""
        return await self.token() != refused


class _IamToken(msgspec.Struct):
    expires_at: str = ""


class _IamAnswer(msgspec.Struct):
    token: _IamToken = msgspec.field(default_factory=_IamToken)


class PasswordToken:
    """Tokens from IAM by user name and password: cached, renewed at 80 % of their life and when refused.

    Args:
        target: the target whose project the token is for.
        settings: its `auth.password`.
        session: the HTTP session to use.
        clock: the time.
    """

    def __init__(
        self, target: TargetSettings, settings: PasswordSettings, session: aiohttp.ClientSession, clock: Clock
    ) -> None:
        self._target = target
        self._settings = settings
        self._session = session
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token = ""
        self._renew_at: Millis = 0
        self.expires_at: Millis | None = None

    async def token(self) -> str:
        """Return the cached token, or a new one when it is old; an old one serves while IAM is down."""
        if self._clock() < self._renew_at:
            return self._token
        async with self._lock:
            if self._clock() >= self._renew_at:
                await self._renew_early()
            return self._token

    async def renew(self, refused: str) -> bool:
        """Fetch a new token, unless another request has done so already."""
        async with self._lock:
            if self._token == refused:
                self._renew_at = 0
                self.expires_at = None
                await self._fetch()
            return True

    async def _renew_early(self) -> None:
        try:
            await self._fetch()
        except CredentialError:
            if self.expires_at is None or self._clock() >= self.expires_at:
                raise

    async def _fetch(self) -> None:
        try:
            body_sent = self._body()
        except (OSError, UnicodeDecodeError) as error:
            message = f"password file {self._settings.password_file}: {error}"
            raise CredentialError(Outcome("unauthorized", message=message[:500])) from None
        try:
            async with self._session.post(
                f"{self._target.iam_url}/v3/auth/tokens?nocatalog=true",
                json=body_sent,
                timeout=_TIMEOUT,
                allow_redirects=False,
            ) as response:
                body = await response.read()
                self._keep(response.status, response.headers.get("X-Subject-Token", ""), body)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            message = f"IAM cannot be asked for a token: {type(error).__name__}: {error}"
            raise CredentialError(Outcome("connection", message=message)) from None

    def _keep(self, status: int, token: str, body: bytes) -> None:
        now = self._clock()
        if status >= 300 or not token:
            answer = read_outcome(status if status >= 300 else 502, body, None, now)
            reason: Reason = "unauthorized" if status in (400, 401, 403, 404) else "unavailable"
            message = f"IAM gave no token: {answer.detail}"
            raise CredentialError(Outcome(reason, status=status, message=message[:500]))
        self._token = token
        self.expires_at = _expiry(body, now)
        self._renew_at = now + int((self.expires_at - now) * _RENEW_AT)

    def _body(self) -> dict[str, object]:
        settings = self._settings
        user = {"name": settings.user, "password": settings.reveal(), "domain": {"name": settings.domain}}
        identity = {"methods": ["password"], "password": {"user": user}}
        return {"auth": {"identity": identity, "scope": {"project": {"id": self._target.project_id}}}}


def _expiry(body: bytes, now: Millis) -> Millis:
    try:
        return parse_rfc3339(msgspec.json.decode(body, type=_IamAnswer).token.expires_at)
    except (msgspec.DecodeError, ValueError):
        return now + _DEFAULT_LIFE
