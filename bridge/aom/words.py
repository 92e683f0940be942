"""Says why a request got no answer, in terms that an operator can act on.

In: an exception of aiohttp's or of the system's. Out: a sentence with its fix; it names host and port where they
are known, and no Python class. Facts: aiohttp's client exceptions.
"""

from __future__ import annotations

import re
import ssl

import aiohttp

from bridge.errors import Failure, of_connection, or_proxy, or_tls

_BLOCKED = "check firewalls and network policies"
_BROKEN = {
    aiohttp.ServerDisconnectedError: "the connection was closed before the answer",
    aiohttp.ClientPayloadError: "the connection was closed within the answer",
}
_TLS_REASON = re.compile(r"\[SSL: (?P<reason>\w+)\]")


def request_failure(error: Exception, *, proxy: str = "", is_plain: bool = False) -> str:
    """Return why a request failed, and the fix.

    Args:
        error: what was raised.
        proxy: the setting that names a proxy for it; empty: there is none.
        is_plain: it was sent without TLS.
    """
    if isinstance(error, aiohttp.ClientConnectorError):
        return str(_of_connector(error, proxy))
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return str(_of_proxy(error))
    tls = _TLS_REASON.search(str(error))
    if tls:
        return str(Failure(f"TLS failed: {tls['reason'].lower().replace('_', ' ')}", or_proxy(_BLOCKED, proxy)))
    if isinstance(error, (TimeoutError, aiohttp.ClientOSError)):
        return str(of_connection(error, "", proxy=proxy, is_plain=is_plain))
    return str(_of_broken(error, proxy, is_plain=is_plain) or _other(error))


def _of_broken(error: Exception, proxy: str, *, is_plain: bool) -> Failure | None:
    what = next((what for kind, what in _BROKEN.items() if isinstance(error, kind)), None)
    is_unanswered = is_plain and isinstance(error, aiohttp.ServerDisconnectedError)
    fix = or_tls(_BLOCKED) if is_unanswered else _BLOCKED
    return None if what is None else Failure(what, or_proxy(fix, proxy))


def _of_connector(error: aiohttp.ClientConnectorError, proxy: str) -> Failure:
    location = f"{error.host}:{error.port}"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        location = f"the proxy {location}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return of_connection(error.certificate_error, location, proxy=proxy)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        fix = "correct the address, or the name server of this machine"
        return Failure(f"no name server knows the address of {location}", fix)
    cause = error.__cause__ if isinstance(error.__cause__, ssl.SSLError) else error.os_error
    return of_connection(cause, location, proxy=proxy)


def _of_proxy(error: aiohttp.ClientHttpProxyError) -> Failure:
    if error.status == 407:
        fix = "write them into proxy_url: http://USER:PASSWORD@HOST:PORT"
        return Failure("the proxy asks for another user and password (407)", fix)
    return Failure(f"the proxy refused to connect ({error.status} {error.message})", "allow this address in the proxy")


def _other(error: Exception) -> Failure | str:
    if isinstance(error, aiohttp.ClientResponseError):
        return Failure(f"the answer is not valid HTTP: {error.message}", "correct the address")
    return str(error) or f"{type(error).__name__} without a message"
