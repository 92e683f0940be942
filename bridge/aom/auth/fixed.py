"""Credentials by value or from files: a token, or access keys, which another program renews.

In: settings. Out: a `RequestAuth` for each request, or a `CredentialError` with the outcome to report. Files are read
again for each request, since Kubernetes and others rotate them. Secrets go on the wire and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable

from bridge.aom.auth.grant import CredentialError, KeyAuth, RequestAuth, TokenAuth
from bridge.aom.auth.kind import CredentialContext, Kind
from bridge.aom.auth.settings import AkskSettings, TokenSettings
from bridge.aom.outcome import Outcome
from bridge.clock import Millis


class StaticCredentials:
    """A token or access keys that the bridge does not renew itself.

    Args:
        read: returns the grant; raises ValueError with the fix when a file cannot be used.
    """

    expires_at: Millis | None = None

    def __init__(self, read: Callable[[], RequestAuth]) -> None:
        self._read = read

    async def get(self) -> RequestAuth:
        """Return the grant; files are read again each time."""
        try:
            return self._read()
        except ValueError as error:
            raise CredentialError(Outcome("unauthorized", message=str(error)[:500])) from None

    async def renew(self, refused: RequestAuth) -> bool:
        """Return whether the files contain something else by now."""
        return await self.get() != refused

    async def close(self) -> None:
        """Do nothing."""


def _of_token(settings: TokenSettings, _context: CredentialContext) -> StaticCredentials:
    return StaticCredentials(lambda: TokenAuth(settings.secret()))


def _of_keys(settings: AkskSettings, _context: CredentialContext) -> StaticCredentials:
    def read() -> RequestAuth:
        keys = settings.secrets()
        return KeyAuth(keys.access_key, keys.secret_key, keys.security_token)

    return StaticCredentials(read)


TOKEN = Kind(
    settings=TokenSettings,
    source=_of_token,
    hint="the token is wrong, has expired, or is for another project; the program that renews it must write a new one",
)
AKSK = Kind(
    settings=AkskSettings,
    source=_of_keys,
    hint="access_key and secret_key must belong together; temporary ones have a security_token; and the clock must be"
    " right to 15 minutes",
)
