"""Says why a request got no answer, in terms that an operator can act on.

In: an exception of aiohttp's or of the system's. Out: a sentence with its fix; it names host and port where they
are known, and no Python class. Facts: aiohttp's client exceptions.
"""

from __future__ import annotations

import re
import ssl

import aiohttp

from bridge.errors import Failure, of_connection

_PROXY = "a firewall or network policy blocks it, or a proxy is needed: proxy_url"
_BROKEN = {
    aiohttp.ServerDisconnectedError: Failure("the connection was closed before the answer", _PROXY),
    aiohttp.ClientPayloadError: Failure("the connection was closed within the answer", _PROXY),
}
_TLS_REASON = re.compile(r"\[SSL: (?P<reason>\w+)\]")


def request_failure(error: Exception) -> str:
    """Return why a request failed, and the fix."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return str(_of_connector(error))
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return str(_of_proxy(error))
    tls = _TLS_REASON.search(str(error))
    if tls:
        return str(Failure(f"TLS failed: {tls['reason'].lower().replace('_', ' ')}", _PROXY))
    if isinstance(error, (TimeoutError, aiohttp.ClientOSError)):
        return str(of_connection(error, ""))
    return str(next((failure for kind, failure in _BROKEN.items() if isinstance(error, kind)), None) or _other(error))


def _of_connector(error: aiohttp.ClientConnectorError) -> Failure:
    location = f"{error.host}:{error.port}"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        location = f"the proxy {location}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return of_connection(error.certificate_error, location)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        fix = "correct the address, or the name server of this machine"
        return Failure(f"no name server knows the address of {location}", fix)
    cause = error.__cause__ if isinstance(error.__cause__, ssl.SSLError) else error.os_error
    return of_connection(cause, location)


def _of_proxy(error: aiohttp.ClientHttpProxyError) -> Failure:
    if error.status == 407:
        fix = "write them into proxy_url: http://USER:PASSWORD@HOST:PORT"
        return Failure("the proxy asks for another user and password (407)", fix)
    return Failure(f"the proxy refused to connect ({error.status} {error.message})", "allow this address in the proxy")


def _other(error: Exception) -> Failure | str:
    if isinstance(error, aiohttp.ClientResponseError):
        return Failure(f"the answer is not valid HTTP: {error.message}", "correct the address")
    return str(error) or f"{type(error).__name__} without a message"
