"""Tokens from IAM by user name and password.

In: `auth.password` of a target. Out: a token with its expiry, or a `CredentialError`. When to ask is decided by
`RenewingCredentials`. Facts: IAM's "Obtaining a User Token Through Password Authentication" (201, the token
in the response header X-Subject-Token, valid 24 h; it can have 40,960 characters; the scope is a project by id or by
name).
"""

from __future__ import annotations

import aiohttp
import msgspec

from bridge.aom.answer import read_answer
from bridge.aom.auth.grant import CredentialError, TokenAuth
from bridge.aom.auth.kind import CredentialContext, Kind, Target
from bridge.aom.auth.renewing import Obtained, RenewingCredentials, renew_at
from bridge.aom.auth.settings import PasswordSettings
from bridge.aom.outcome import Outcome, Reason, failure_text, read_outcome
from bridge.clock import HOUR, Millis, parse_rfc3339
from bridge.typed_yaml.secret import Secret

MAX_TOKEN_BYTES = 64 * 1024
"""Maximum size of a header with a token; aiohttp's own limit is 8,190."""

_TIMEOUT = aiohttp.ClientTimeout(total=10, sock_connect=5)
_DEFAULT_LIFE: Millis = 24 * HOUR
_MAX_WORDS = 160
_WHO = "correct the one that is wrong: domain is the account's name, user an IAM user's (no HUAWEI ID, no mail address)"


class _IamToken(msgspec.Struct):
    expires_at: str = ""


class _IamAnswer(msgspec.Struct):
    token: _IamToken = msgspec.field(default_factory=_IamToken)


class Password:
    """An IAM user.

    Args:
        target: the target whose project the token is for.
        settings: its `auth.password`.
        session: the HTTP session to use.
    """

    name = "IAM"

    def __init__(self, target: Target, settings: PasswordSettings, session: aiohttp.ClientSession) -> None:
        self._target = target
        self._settings = settings
        self._session = session

    def revision(self) -> Secret:
        """Return the password; raises `CredentialError` when its file cannot be read."""
        try:
            return self._settings.secret()
        except ValueError as error:
            raise CredentialError(Outcome("unauthorized", message=str(error)[:500])) from None

    async def obtain(self, now: Millis) -> Obtained:
        """Ask IAM for a token; raises `CredentialError`."""
        password = self.revision()
        try:
            async with self._session.post(
                f"{self._target.iam_url}/v3/auth/tokens?nocatalog=true",
                json=self._body(password),
                timeout=_TIMEOUT,
                allow_redirects=False,
            ) as response:
                body = await read_answer(response)
                token = response.headers.get("X-Subject-Token", "")
                if response.status < 300 and token:
                    expires_at = _expiry(body, now)
                    return Obtained(TokenAuth(Secret(token)), expires_at, renew_at(now, expires_at))
                answer = read_outcome(response.status, body, response.headers.get("Retry-After"), now)
                raise CredentialError(self._refused(response.status, answer))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            message = f"IAM at {self._target.iam_url}: {failure_text(error)}"
            # Not "connection": without a token nothing was sent to AOM, so nothing is in doubt.
            raise CredentialError(Outcome("unavailable", message=message)) from None

    def _body(self, password: Secret) -> dict[str, object]:
        settings = self._settings
        user = {"name": settings.user, "password": password.reveal(), "domain": {"name": settings.domain}}
        identity = {"methods": ["password"], "password": {"user": user}}
        project = {"name": settings.project_name} if settings.project_name else {"id": self._target.project_id}
        return {"auth": {"identity": identity, "scope": {"project": project}}}

    def _refused(self, status: int, answer: Outcome) -> Outcome:
        """Return the outcome of a request to which IAM gave no token, with the fix for the reason that IAM names."""
        reason: Reason = "unauthorized" if status in (400, 401, 403, 404, 405) else "unavailable"
        words = f" ({answer.message[:_MAX_WORDS]})" if answer.message else ""
        what, fix = self._why(status, answer.message.lower())
        message = f"IAM gave no token, {status}{words}: {what}. Fix: {fix}."
        # Without the status: it is IAM's, and a 502 of AOM means that AOM may have accepted the push.
        return Outcome(reason, message=message[:500], retry_after=answer.retry_after)

    def _why(self, status: int, words: str) -> tuple[str, str]:
        settings, url = self._settings, self._target.iam_url
        project = f"project_name {settings.project_name!r}" if settings.project_name else None
        project = project or f"project_id {self._target.project_id!r}"
        who = f"user {settings.user!r} of the account {settings.domain!r}"
        no_project = f"{project} is no project of {who} at {url}"
        cases = (
            (
                "project" in words,
                no_project,
                "take its id from the console's My Credentials page, and its region's IAM",
            ),
            ("lock" in words, f"{who} is locked", "correct the password, and wait for 15 minutes, IAM's default"),
            (status == 401, f"{who} has another password, or is not there", _WHO),
            (status == 403, f"{who} may not use {project}", "let its groups use that project, by programmatic access"),
            (status in (404, 405), f"{url}/v3/auth/tokens is no address of IAM's", "correct iam_endpoint, or region"),
            (status < 400, f"what answers at {url} is not IAM", "correct iam_endpoint, or region"),
            (status == 400, f"IAM cannot read domain, user, password or {project}", "correct the wrong one of them"),
            (True, f"IAM at {url} has a fault", "wait; the bridge tries again"),
        )
        return next((what, fix) for holds, what, fix in cases if holds)


def _expiry(body: bytes, now: Millis) -> Millis:
    try:
        return parse_rfc3339(msgspec.json.decode(body, type=_IamAnswer).token.expires_at)
    except (msgspec.DecodeError, ValueError):
        return now + _DEFAULT_LIFE


def _of_password(settings: PasswordSettings, context: CredentialContext) -> RenewingCredentials:
    source = Password(context.target, settings, context.session)
    return RenewingCredentials(source, context.name, context.clock)


PASSWORD = Kind(
    settings=PasswordSettings,
    source=_of_password,
    hint="domain is the account's name and user an IAM user of it; an account may be locked for some minutes",
)
