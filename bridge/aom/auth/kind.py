"""What each credential method consists of: settings, a source of credentials that is made from them, and a hint.

In: nothing. Out: the types that a module with a method fills in, and that `bridge.aom.auth` registers. It knows no
method by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import aiohttp

from bridge.aom.auth.grant import RequestAuth
from bridge.clock import Clock, Millis

_Settings = TypeVar("_Settings")


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
        """When the present grant expires; None where that is not known."""


class Target(Protocol):
    """What a method may need of its target's settings."""

    @property
    def project_id(self) -> str:
        """The id of the project."""

    @property
    def iam_url(self) -> str:
        """The base address of IAM, without a slash at the end."""

    @property
    def sdk_region(self) -> str:
        """The region; empty where it is not known."""


@dataclass(frozen=True, slots=True)
class CredentialContext:
    """What credentials may use besides their own settings."""

    name: str
    """The target's name, for the log."""

    target: Target
    """Its settings."""

    session: aiohttp.ClientSession
    """The HTTP session for IAM."""

    clock: Clock
    """The time."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[_Settings]):
    """One credential method."""

    settings: type[_Settings]
    """The section of its settings."""

    source: Callable[[_Settings, CredentialContext], Credentials]
    """Makes the credentials from the settings."""

    hint: str
    """What to check when these credentials are refused; neither begins with a capital nor ends with a stop."""
