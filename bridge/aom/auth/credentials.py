"""Credentials of one target: which of the four kinds it has, and the two kinds that stand in files.

In: settings. Out: a `RequestAuth` for each request, or a `CredentialError` with the outcome to report. Files are read
anew for each request, since Kubernetes and others rotate them. Secrets go on the wire and nowhere else.
"""

from __future__ import annotations

from typing import Protocol

import aiohttp

from bridge.aom.auth.grant import CredentialError, KeyAuth, RequestAuth, TokenAuth
from bridge.aom.auth.iam import Password
from bridge.aom.auth.renewing import RenewingCredentials
from bridge.aom.auth.sdk_chain import SdkChain
from bridge.aom.outcome import Outcome
from bridge.aom.settings import AkskSettings, TargetSettings, TokenSettings
from bridge.clock import Clock, Millis


class Credentials(Protocol):
    """What a client of AOM asks for each request."""

    async def get(self) -> RequestAuth:
        """Return what a request is authorized with; raises `CredentialError` when there is nothing."""

    async def renew(self, refused: RequestAuth) -> bool:
        """Take note that AOM refused this grant; return whether there is another one now."""

    async def close(self) -> None:
        """End what runs beside the requests."""

    @property
    def expires_at(self) -> Millis | None:
        """When the present grant ends; None where that is not known."""


class StaticCredentials:
    """A token or access keys by value or from files, which somebody else renews.

    Args:
        settings: `auth.token` or `auth.aksk`.
    """

    expires_at: Millis | None = None

    def __init__(self, settings: TokenSettings | AkskSettings) -> None:
        self._settings = settings

    async def get(self) -> RequestAuth:
        """Return the grant; files are read anew each time."""
        try:
            return _grant(self._settings)
        except ValueError as error:
            raise CredentialError(Outcome("unauthorized", message=str(error)[:500])) from None

    async def renew(self, refused: RequestAuth) -> bool:
        """Return whether the files hold something else by now."""
        return await self.get() != refused

    async def close(self) -> None:
        """Do nothing."""


def _grant(settings: TokenSettings | AkskSettings) -> RequestAuth:
    if isinstance(settings, TokenSettings):
        return TokenAuth(settings.secret())
    keys = settings.secrets()
    return KeyAuth(keys.access_key, keys.secret_key, keys.security_token)


def credentials(name: str, target: TargetSettings, session: aiohttp.ClientSession, clock: Clock) -> Credentials:
    """Return the credentials of a target.

    Args:
        name: the target's name, for the log.
        target: its settings.
        session: the HTTP session for IAM.
        clock: the time.
    """
    auth = target.auth
    if auth.password is not None:
        return RenewingCredentials(Password(target, auth.password, session), name, clock)
    if auth.sdk is not None:
        return RenewingCredentials(SdkChain(target.sdk_region), name, clock)
    fixed = auth.token or auth.aksk
    if fixed is None:
        raise ValueError("a target without credentials passed the configuration")
    return StaticCredentials(fixed)
