"""Authentication of the emulated API: IAM's tokens, fixed tokens, signatures made with an access key.

In: a token request's JSON, or a request's credentials, and the time. Out: a token, or a refusal. It keeps
the tokens it issued and nothing else; it does no I/O. Rules:

- the token request's form, 201, `X-Subject-Token`, `token.expires_at`, 24 hours [iam];
- a wrong user, password or domain is 401 in one and the same sentence, since IAM does not say which [iam]; for a
  project that is not there, the words of IAM's error table (IAM.0004) with 400: the page names no status for it [iam];
- a token may be very long [cn];
- without credentials the gateway answers `APIGW.0301` [gw], with a wrong token AOM answers `AOM.0401` [seed];
- the signature is what the official SDK's own signer makes of the same request [sdk]; a date more than 15
  minutes off is refused [gw]; temporary keys go with their `X-Security-Token` [sdk].
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

from bridge.emulator.answers import RefusedError
from bridge.emulator.options import Options

MAX_SKEW_MS: Final = 15 * 60_000

_ALGORITHM: Final = "SDK-HMAC-SHA256"
_AUTHORIZATION: Final = re.compile(_ALGORITHM + r" Access=([^,]*), ?SignedHeaders=([^,]*), ?Signature=([^,]*)")
_DATE_FORMAT: Final = "%Y%m%dT%H%M%SZ"


class _Keys(NamedTuple):
    ak: str
    sk: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """A request as it came in: `path` still encoded, `query` and `headers` decoded."""

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Issued:
    """A new token, and the body of the answer that hands it out."""

    token: str
    body: dict[str, object]


class Access:
    """The tokens that are valid, and the checks of every kind of credentials; times in epoch milliseconds."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._issued: dict[str, int] = {}
        self.use_keys(options.access_key, options.secret_key, options.security_token)

    def use_keys(self, access_key: str, secret_key: str, security_token: str = "") -> None:
        """Accept signatures of this access key only; of a temporary one only with its security token."""
        self._keys = _Keys(access_key, secret_key)
        self._security_token = security_token

    def issue(self, body: object, now: int) -> Issued:
        """Issue a token for user, password and domain.

        Raises:
            RefusedError: 400 for a malformed request and a project that is not there, 401 for wrong credentials.
        """
        self._check_login(body)
        expires_at = now + self._options.token_ttl_s * 1_000
        self._issued = {token: until for token, until in self._issued.items() if until > now}
        token = secrets.token_urlsafe(self._options.token_length)[: self._options.token_length]
        self._issued[token] = expires_at
        return Issued(token=token, body={"token": self._about(body, now, expires_at)})

    def expire_all(self) -> None:
        """Make every issued token invalid; the fixed ones stay."""
        self._issued.clear()

    def check(self, received: Received, now: int) -> None:
        """Check the credentials of a request.

        Raises:
            RefusedError: 401, with the gateway's code or AOM's.
        """
        authorization = received.headers.get("Authorization", "")
        token = received.headers.get("X-Auth-Token", "")
        if authorization.startswith(_ALGORITHM):
            self._check_signature(received, authorization, now)
        elif not token:
            raise _unauthenticated("x-auth-token not found")
        elif token not in self._options.tokens and self._issued.get(token, 0) <= now:
            raise RefusedError(401, "AOM.0401", "auth failed: The token must be updated")

    def _check_login(self, body: object) -> None:
        user = _member(body, "auth", "identity", "password", "user")
        domain = _text_member(user, "domain", "name")
        given = (_text_member(user, "name"), _text_member(user, "password"), domain)
        scope = _member(body, "auth", "scope", "project")
        if _member(body, "auth", "identity", "methods") != ["password"] or not isinstance(scope, dict):
            raise _malformed("auth.identity.methods and auth.scope.project are needed")
        project = _text_member(scope, "id" if "id" in scope else "name")
        right = (self._options.user, self._options.password, self._options.domain)
        if given != right:
            raise RefusedError(401, "IAM.0101", "The username or password is wrong.")
        if "id" in scope and self._options.project_id not in (None, project):
            raise RefusedError(400, "IAM.0004", f"Could not find project: {project}.")

    def _about(self, body: object, now: int, expires_at: int) -> dict[str, object]:
        project = _member(body, "auth", "scope", "project")
        domain = {"id": _known_id(self._options.domain), "name": self._options.domain}
        user = {"id": _known_id(self._options.user), "name": self._options.user, "domain": domain}
        return {
            "expires_at": _iso(expires_at),
            "issued_at": _iso(now),
            "methods": ["password"],
            "project": {**(project if isinstance(project, dict) else {}), "domain": domain},
            "user": user,
        }

    def _check_signature(self, received: Received, authorization: str, now: int) -> None:
        matched = _AUTHORIZATION.fullmatch(authorization)
        if matched is None:
            raise _unauthenticated("Authorization format is incorrect")
        access_key, signed_headers, _ = matched.groups()
        if access_key != self._keys.ak:
            raise _unauthenticated("verify ak sk failed, the access key does not exist")
        _check_date(received.headers.get("X-Sdk-Date", ""), now)
        names = signed_headers.split(";")
        if received.headers.get("X-Security-Token", "") != self._security_token:
            raise _unauthenticated("the security token is missing, invalid or expired")
        expected = _sign_again(received, names, self._keys)
        if not hmac.compare_digest(expected.encode(), _plain(authorization).encode(errors="replace")):
            raise _unauthenticated("verify aksk signature fail")


def _check_date(text: str, now: int) -> None:
    try:
        signed_at = datetime.strptime(text, _DATE_FORMAT).replace(tzinfo=UTC)
    except ValueError as error:
        raise _unauthenticated("X-Sdk-Date format is incorrect") from error
    if abs(signed_at.timestamp() * 1_000 - now) > MAX_SKEW_MS:
        raise _unauthenticated("request date is expired")


def _sign_again(received: Received, names: Sequence[str], keys: _Keys) -> str:
    from huaweicloudsdkcore.sdk_request import SdkRequest  # noqa: PLC0415 - a slow import that few users need
    from huaweicloudsdkcore.signer.signer import Signer  # noqa: PLC0415 - a slow import that few users need

    if "x-sdk-date" not in names or not all(name in received.headers for name in names):
        raise _unauthenticated("a signed header is missing")
    request = SdkRequest(
        method=received.method,
        resource_path=received.path,
        query_params=list(received.query),
        header_params={name: received.headers[name] for name in names},
        body=received.body,
    )
    return str(Signer(keys).sign(request).header_params["Authorization"])


def _plain(authorization: str) -> str:
    return authorization.replace(",SignedHeaders", ", SignedHeaders").replace(",Signature", ", Signature")


def _member(value: object, *path: str) -> object:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _text_member(value: object, *path: str) -> str:
    text = _member(value, *path)
    if not isinstance(text, str) or not text:
        raise _malformed(f"{'.'.join(path)} is missing or no string")
    return text


def _malformed(detail: str) -> RefusedError:
    return RefusedError(400, "IAM.0011", f"Request body is invalid: {detail}.")


def _unauthenticated(detail: str) -> RefusedError:
    return RefusedError(401, "APIGW.0301", f"Incorrect IAM authentication information: {detail}")


def _known_id(name: str) -> str:
    return name.encode().hex()[:32].ljust(32, "0")


def _iso(at_ms: int) -> str:
    seconds, milliseconds = divmod(at_ms, 1_000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=milliseconds * 1_000)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
