"""Credentials for AOM: the registry of methods, and the credentials of one target.

In: the section `auth` of a target. Out: `Credentials`, which authorize each request. A new method is a module with its
settings, its source and its hint, and one field of `AuthSettings`; no other place lists the methods. That module is
imported when credentials are needed: settings are read without IAM's client.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field, fields
from functools import cache
from typing import TYPE_CHECKING, Any

from bridge.aom.auth.settings import AkskSettings, PasswordSettings, SdkSettings, TokenSettings
from bridge.typed_yaml.section import Problems

if TYPE_CHECKING:
    import aiohttp

    from bridge.aom.auth.kind import Credentials, Kind, Target
    from bridge.clock import Clock

__all__ = ["METHODS", "AuthSettings", "credentials", "kind_of"]


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

    token: TokenSettings | None = field(default=None, metadata={"kind": "fixed.TOKEN"})
    password: PasswordSettings | None = field(default=None, metadata={"kind": "iam.PASSWORD"})
    aksk: AkskSettings | None = field(default=None, metadata={"kind": "fixed.AKSK"})
    sdk: SdkSettings | None = field(default=None, metadata={"kind": "sdk_chain.SDK"})

    def problems(self) -> Problems:
        """Return what is wrong with the section: pairs of the key and the sentence."""
        if len(self._chosen()) == 1:
            return []
        *others, last = METHODS
        return [("", f"exactly one of {', '.join(others)} and {last} is needed. Fix: keep the one that you use.")]

    @property
    def method(self) -> str:
        """The name of the method."""
        (name,) = self._chosen()
        return name

    @property
    def hint(self) -> str:
        """What to check when AOM or IAM refuses these credentials."""
        return kind_of(self.method).hint

    def _chosen(self) -> list[str]:
        return [name for name in METHODS if getattr(self, name) is not None]


METHODS: dict[str, str] = {method.name: method.metadata["kind"] for method in fields(AuthSettings)}
"""The methods by their names in the configuration: the module and the name of each `Kind`."""


@cache
def kind_of(method: str) -> Kind[Any]:
    """Return what a method consists of."""
    module, _, name = METHODS[method].partition(".")
    kind: Kind[Any] = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    return kind


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
    from bridge.aom.auth.kind import CredentialContext  # noqa: PLC0415 - settings are read without it

    context = CredentialContext(name, target, session, clock)
    return kind_of(auth.method).source(getattr(auth, auth.method), context)
