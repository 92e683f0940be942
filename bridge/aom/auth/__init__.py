"""Credentials for AOM: the registry of methods, and the credentials of one target.

In: the section `auth` of a target. Out: `Credentials`, which authorize each request. A new method is a module with its
settings, its source and its hint, and one field of `AuthSettings`; no other place lists the methods.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import aiohttp

from bridge.aom.auth import fixed, iam, sdk_chain
from bridge.aom.auth.kind import CredentialContext, Credentials, Kind, Target
from bridge.aom.auth.settings import AkskSettings, PasswordSettings, SdkSettings, TokenSettings
from bridge.clock import Clock
from bridge.typed_yaml.section import Problems

__all__ = ["KINDS", "AuthSettings", "Credentials", "Kind", "credentials"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings:
    """The credentials of one target: exactly one kind.

    Attributes:
        token: a token that another program renews.
        password: an IAM user, for whom the bridge fetches and renews tokens: the usual choice outside of Huawei Cloud.
        aksk: access keys (AK/SK), with which each request is signed; Huawei Cloud recommends them over tokens.
        sdk: the official SDK's own chain, for a bridge that runs in Huawei Cloud and needs no secret of its own: `sdk:
            {}`.
    """

    token: TokenSettings | None = field(default=None, metadata={"kind": fixed.TOKEN})
    password: PasswordSettings | None = field(default=None, metadata={"kind": iam.PASSWORD})
    aksk: AkskSettings | None = field(default=None, metadata={"kind": fixed.AKSK})
    sdk: SdkSettings | None = field(default=None, metadata={"kind": sdk_chain.SDK})

    def problems(self) -> Problems:
        """Return what is wrong with the section: pairs of the key and the sentence."""
        if len(self._chosen()) == 1:
            return []
        *others, last = KINDS
        return [("", f"exactly one of {', '.join(others)} and {last} is needed. Fix: keep the one that you use.")]

    @property
    def method(self) -> str:
        """The name of the method."""
        (name,) = self._chosen()
        return name

    @property
    def hint(self) -> str:
        """What to check when AOM or IAM refuses these credentials."""
        return KINDS[self.method].hint

    def _chosen(self) -> list[str]:
        return [name for name in KINDS if getattr(self, name) is not None]


KINDS: dict[str, Kind[Any]] = {method.name: method.metadata["kind"] for method in fields(AuthSettings)}
"""The methods by their names in the configuration."""


def credentials(
    name: str, target: Target, auth: AuthSettings, session: aiohttp.ClientSession, clock: Clock
) -> Credentials:
    """Return the credentials of a target.

    Args:
        name: the target's name, for the log.
        target: its settings.
        auth: its section `auth`.
        session: the HTTP session for IAM.
        clock: the time.
    """
    context = CredentialContext(name, target, session, clock)
    return KINDS[auth.method].source(getattr(auth, auth.method), context)
