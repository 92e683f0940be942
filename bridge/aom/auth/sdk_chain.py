"""Access keys from the official SDK's own provider chain: environment, profile file, agency of the host, pod identity.

In: what the SDK's providers find around the process. Out: access keys with their expiry, or a `CredentialError` that
says what each provider lacked. The SDK blocks, so it runs on a daemon thread, for which a stopping process does not
wait. Facts:
`huaweicloudsdkcore.auth.provider`; its variables are described in the SDK's README.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from bridge.aom.auth.grant import CredentialError, KeyAuth
from bridge.aom.auth.kind import CredentialContext, Kind
from bridge.aom.auth.renewing import Obtained, RenewingCredentials, renew_at
from bridge.aom.auth.settings import SdkSettings
from bridge.aom.outcome import Outcome
from bridge.aom.regions import address
from bridge.clock import MINUTE, SECOND, Millis
from bridge.errors import of_connection
from bridge.typed_yaml.secret import Secret

_LOOK_AGAIN: Millis = 5 * MINUTE
"""When keys without an expiry are read again: a profile file may have been changed."""

_TIMEOUT_SECONDS = (3, 5)
_MAX_WORD_CHARACTERS = 160
_PLACE = re.compile(r"host='(?P<host>[^']+)', port=(?P<port>\d+)")
_CLASS = re.compile(r"^\w+Exception - ")


class SdkChain:
    """The SDK's providers, asked one after the other.

    Args:
        region: the target's; empty where it is not known, and the SDK uses its own default.
    """

    name = "the SDK's provider chain"

    def __init__(self, region: str) -> None:
        self._region = region

    def revision(self) -> object:
        """Return a constant: what the providers read is not known here."""
        return True

    async def obtain(self, now: Millis) -> Obtained:
        """Ask the providers for access keys; raises `CredentialError`."""
        keys, expires_at = await _on_a_thread(partial(_first_that_has_keys, self._region))
        if expires_at is None:
            return Obtained(keys, None, now + _LOOK_AGAIN)
        return Obtained(keys, expires_at, renew_at(now, expires_at))


def _first_that_has_keys(region: str) -> tuple[KeyAuth, Millis | None]:
    """Ask each provider; unlike in the SDK's own chain, the next one is asked when one raises an error."""
    from huaweicloudsdkcore.auth import provider  # noqa: PLC0415 - a third of a second and 22 MB that few users need

    lacking = []
    for kind in (
        provider.OidcStsCredentialProvider,
        provider.EnvCredentialProvider,
        provider.ProfileCredentialProvider,
        provider.PodIdentityCredentialProvider,
        provider.MetadataCredentialProvider,
    ):
        try:
            return _keys_of(kind.get_basic().get_credentials(), region)
        except Exception as error:  # noqa: BLE001 - the SDK raises its own, requests' and Python's
            lacking.append(
                f"{kind.__name__.removesuffix('CredentialProvider')}: {_words_of(error)[:_MAX_WORD_CHARACTERS]}"
            )
    raise CredentialError(Outcome("unauthorized", message="no provider has keys: " + "; ".join(lacking)))


def _words_of(error: BaseException) -> str:
    """Return why a provider has no keys: the cause below the errors of the SDK and of urllib3, if there is one."""
    place, chain = _PLACE.search(str(error)), [error]
    while below := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(below)
    if place and isinstance(chain[-1], OSError):
        return of_connection(chain[-1], f"{place['host']}:{place['port']}").what
    answers = [(getattr(error, "status_code", None), getattr(error, "error_msg", "")) for error in chain]
    words = next((f"{status} {text}" for status, text in answers if status), _CLASS.sub("", str(error)))
    return " ".join(words.split()) or "it failed without a word"


def _keys_of(credentials: Any, region: str) -> tuple[KeyAuth, Millis | None]:  # noqa: ANN401 - the SDK has no types
    _lead_to(credentials, region)
    credentials.process_sts(_http_client())
    if not credentials.ak or not credentials.sk:
        raise ValueError("it gave no keys")
    token = credentials.security_token
    keys = KeyAuth(credentials.ak, Secret(credentials.sk), Secret(token) if token else None)
    expires_at = credentials._expired_at  # noqa: SLF001 - the SDK has no public attribute for it
    return keys, int(expires_at * SECOND) if expires_at else None


def _lead_to(credentials: Any, region: str) -> None:  # noqa: ANN401 - the SDK has no types
    """Let STS and IAM be asked in the target's region; the SDK's providers do not know it."""
    from huaweicloudsdkcore.auth.internal import IamHelper, StsHelper  # noqa: PLC0415 - slow to import

    if region:
        credentials.sts_endpoint = credentials.sts_endpoint or _endpoint("sts", region, StsHelper.get_sts_endpoint)
        credentials.iam_endpoint = credentials.iam_endpoint or _endpoint("iam", region, IamHelper.get_iam_endpoint)


def _endpoint(service: str, region: str, of_sdk: Callable[[str], str]) -> str:
    """Return the SDK's address, which may be in another region, except where another site has its own addresses."""
    own, variable = address(service, region), f"HUAWEICLOUD_SDK_{service.upper()}_ENDPOINT"
    is_known_to_sdk = own.endswith(".myhuaweicloud.com") or variable in os.environ
    return of_sdk(region) if is_known_to_sdk else own


def _http_client() -> Any:  # noqa: ANN401 - the SDK has no types
    from huaweicloudsdkcore.exceptions.exception_handler import DefaultExceptionHandler  # noqa: PLC0415 - slow to import
    from huaweicloudsdkcore.http.http_client import HttpClient  # noqa: PLC0415 - slow to import
    from huaweicloudsdkcore.http.http_config import HttpConfig  # noqa: PLC0415 - slow to import
    from huaweicloudsdkcore.http.http_handler import HttpHandler  # noqa: PLC0415 - slow to import

    config = HttpConfig(timeout=_TIMEOUT_SECONDS)
    quiet = logging.Logger("sdk", logging.CRITICAL + 1)  # noqa: LOG001 - a logger of its own, silent: our errors say what it would print
    return HttpClient(config, HttpHandler(), DefaultExceptionHandler(), quiet)


async def _on_a_thread(call: Callable[[], tuple[KeyAuth, Millis | None]]) -> tuple[KeyAuth, Millis | None]:
    """Run a call on a daemon thread: the interpreter waits for those of its own pools when it ends."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[tuple[KeyAuth, Millis | None]] = loop.create_future()

    def deliver(result: tuple[KeyAuth, Millis | None] | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        elif result is not None:
            done.set_result(result)

    def run() -> None:
        result, error = None, None
        try:
            result = call()
        except BaseException as raised:  # noqa: BLE001 - handed over to the task that awaits the call
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(deliver, result, error)

    threading.Thread(target=run, name="credentials-sdk", daemon=True).start()
    return await done


def _of_sdk(_settings: SdkSettings, context: CredentialContext) -> RenewingCredentials:
    return RenewingCredentials(SdkChain(context.target.sdk_region), context.name, context.clock)


SDK = Kind(
    settings=SdkSettings,
    source=_of_sdk,
    hint="give the process one of the sources above; the clock must be right to 15 minutes",
)
