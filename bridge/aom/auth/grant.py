"""Grants: what one request to AOM is authorized with, a token or a signature by access keys; pure.

In: a `Call`, just before it is sent. Out: its headers, credentials included. Each attempt of a request is authorized
again, so that a signature is never older than its attempt. Facts: IAM's "Token Authentication" (X-Auth-Token) and
"AK/SK Authentication" (SDK-HMAC-SHA256, X-Sdk-Date; a date that is more than 15 minutes off is refused); the signature
itself is the official SDK's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from yarl import URL

from bridge.aom.outcome import Outcome
from bridge.clock import MINUTE, SECOND, Millis
from bridge.typed_yaml.secret import Secret

MAX_SKEW: Millis = 15 * MINUTE
"""The gateway refuses a signature whose date is further off."""


class CredentialError(Exception):
    """There are no credentials; ``outcome`` says why, in the shape of an AOM outcome."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.detail)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Call:
    """A request that is about to be sent."""

    method: str
    """The HTTP method."""

    url: URL
    """The whole address."""

    headers: Mapping[str, str]
    """Its headers, without credentials."""

    body: bytes
    """Its body, which a signature covers."""


class RequestAuth(Protocol):
    """What a request is authorized with. Equal grants are the same credentials."""

    @property
    def is_signed(self) -> bool:
        """Whether requests carry a signature, and with it a date."""

    def headers(self, call: Call, now: Millis) -> dict[str, str]:
        """Return the call's headers with the credentials among them; ``now`` dates a signature."""

    def mask(self, text: str) -> str:
        """Return the text without the secrets of this grant."""


@dataclass(frozen=True, slots=True)
class TokenAuth:
    """A token from IAM."""

    token: Secret

    @property
    def is_signed(self) -> bool:
        """Whether requests carry a signature, and with it a date."""
        return False

    def headers(self, call: Call, _now: Millis) -> dict[str, str]:
        """Return the call's headers with the token."""
        return {**call.headers, "X-Auth-Token": self.token.reveal()}

    def mask(self, text: str) -> str:
        """Return the text without the token."""
        return _masked(text, self.token)


@dataclass(frozen=True, slots=True)
class KeyAuth:
    """Access keys: permanent ones, or temporary ones with their security token."""

    access_key: str
    secret_key: Secret
    security_token: Secret | None = None

    @property
    def is_signed(self) -> bool:
        """Whether requests carry a signature, and with it a date."""
        return True

    def headers(self, call: Call, now: Millis) -> dict[str, str]:
        """Return the call's headers, signed; `Host` is among them, since the signature covers it."""
        from huaweicloudsdkcore.sdk_request import SdkRequest  # noqa: PLC0415 - slow to import, and few users sign
        from huaweicloudsdkcore.signer.signer import Signer  # noqa: PLC0415 - slow to import, and few users sign

        dated = {
            **call.headers,
            "Host": call.url.host_port_subcomponent or "",
            "X-Sdk-Date": datetime.fromtimestamp(now / SECOND, UTC).strftime("%Y%m%dT%H%M%SZ"),
        }
        if self.security_token is not None:
            dated["X-Security-Token"] = self.security_token.reveal()
        request = SdkRequest(
            method=call.method,
            resource_path=call.url.path,
            query_params=list(call.url.query.items()),
            header_params=dated,
            body=call.body,
        )
        signed = Signer(_SdkKeys(self.access_key, self.secret_key.reveal())).sign(request)
        return {str(name): str(value) for name, value in signed.header_params.items()}

    def mask(self, text: str) -> str:
        """Return the text without the keys."""
        return _masked(text, self.secret_key, self.security_token)


class _SdkKeys:
    """The two attributes that the SDK's signer reads; no `repr` of its fields."""

    def __init__(self, access_key: str, secret_key: str) -> None:
        self.ak = access_key
        self.sk = secret_key


def _masked(text: str, *secrets: Secret | None) -> str:
    for secret in secrets:
        if secret is not None and secret.reveal():
            text = text.replace(secret.reveal(), "<secret>")
    return text
