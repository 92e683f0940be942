"""The errors that packages raise towards each other, and explanations of the system's errors.

Every message is written for the person who must act on it: what is wrong, where, and the fix. `of_file`,
`of_connection` and `of_listening` turn a Python exception about a file, a connection or TLS into a `Failure`: what
failed, and the fix; Python's own texts name its classes and error numbers, which do not show the cause. Sources:
errno(3), getaddrinfo(3), and OpenSSL's X509_V_ERR codes (x509_vfy.h).
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from typing import NamedTuple

_EXPIRED, _NOT_YET_VALID, _WRONG_NAME, _WRONG_ADDRESS = 10, 9, 62, 64
_NO_KNOWN_AUTHORITY = (2, 18, 19, 20, 21, 27)
_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG")
_FIREWALLS = "check firewalls and network policies"
_NO_ROUTE = ("has no way there", "check routes and firewalls")
_BROKEN = ("was broken off", _FIREWALLS)
_BY_NUMBER: dict[int | None, tuple[str, str]] = {
    errno.ECONNREFUSED: ("is refused", "correct host and port, or start what should listen there"),
    errno.ETIMEDOUT: ("got no answer in time", _FIREWALLS),
    **dict.fromkeys((errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN), _NO_ROUTE),
    **dict.fromkeys((errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED), _BROKEN),
}


class BridgeError(Exception):
    """Base of all errors that are meant to be shown as one sentence, without a traceback."""


class PayloadError(BridgeError):
    """A request body is not an Alertmanager v4 payload; the text says what and where."""


class LedgerUnavailableError(BridgeError):
    """The ledger cannot commit now; nothing of the request was kept, and sending it again may succeed."""


class LedgerFullError(LedgerUnavailableError):
    """The ledger holds ``store.max_open`` open alarms, and the notification would have added one."""


class LedgerStartError(BridgeError):
    """The ledger cannot be opened: wrong URL, foreign file, or a second process on the same file."""


class UnknownAlarmError(BridgeError):
    """The given id matches no alarm, or more than one; the text lists the matching ones."""


class CursorError(BridgeError):
    """The given place in a list of alarms is not one that the same search has returned."""


class Failure(NamedTuple):
    """What failed, and the fix; neither begins with a capital letter nor ends with a full stop."""

    what: str
    fix: str

    def __str__(self) -> str:
        """Return both as one text: ``WHAT. Fix: FIX.``."""
        return f"{self.what}. Fix: {self.fix}."


def of_file(error: Exception) -> Failure:
    """Explain why a file cannot be read or written; the caller adds the file's name."""
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOENT, errno.ENOTDIR):
        return Failure("it is not there", "create it, or correct the path; in a container, mount it")
    if number in (errno.EACCES, errno.EPERM):
        identity = f"user {os.geteuid()}, group {os.getegid()}"
        fix = "give that user access by chown or chmod, on its folders too; in Kubernetes by fsGroup or defaultMode"
        return Failure(f"the bridge ({identity}) has no permission for it", fix)
    if number == errno.EISDIR:
        return Failure("it is a folder", "name a file in it")
    if number == errno.EROFS:
        return Failure("it is on a file system that is mounted read-only", "mount a volume that may be written")
    if number in (errno.ENOSPC, errno.EDQUOT):
        return Failure("the disk is full", "free disk space, or use a larger volume")
    return Failure(_words(error), "check the path and its file system")


def of_connection(error: BaseException, address: str, *, proxy: str = "", is_plain: bool = False) -> Failure:
    """Explain why a connection to ``HOST:PORT`` failed or was interrupted.

    Args:
        error: what was raised.
        address: an empty one is unknown.
        proxy: the setting or variable that names a proxy for it; empty: there is none.
        is_plain: it was made without TLS, which the other side may require.
    """
    if isinstance(error, ssl.SSLError):
        return _of_tls(error, address, proxy)
    if isinstance(error, socket.gaierror):
        text = "correct the address, or the name server that this machine asks"
        return Failure(f"no name server knows the address of {address}", text)
    what, fix = _BY_NUMBER.get(_number(error), (f"failed: {_words(error)}", _FIREWALLS))
    if is_plain and what == _BROKEN[0]:
        fix = or_tls(fix)
    return Failure(f"the connection{f' to {address}' if address else ''} {what}", or_proxy(fix, proxy))


def without_stop(text: str) -> str:
    """Return a text without the full stop at its end, for a longer sentence; an ellipsis stays."""
    return text[:-1] if text.endswith(".") and not text.endswith("..") else text


def or_proxy(fix: str, proxy: str) -> str:
    """Return a fix that also names the setting or variable of a proxy, where there is one."""
    return f"{fix}; if a proxy is needed, set {proxy}" if proxy else fix


def or_tls(fix: str) -> str:
    """Return a fix for an address that begins with http:// where the other side hangs up, as a port with TLS does."""
    return f"if that port uses TLS, begin the address with https://; else {fix}"


def _number(error: BaseException) -> int | None:
    if isinstance(error, TimeoutError):
        return errno.ETIMEDOUT
    is_broken = isinstance(error, ConnectionResetError)  # of http.client it has no number
    return getattr(error, "errno", None) or (errno.ECONNRESET if is_broken else None)


def of_listening(error: OSError, port: int) -> Failure:
    """Explain why an address cannot be listened on; the caller appends its option to the fix."""
    if error.errno == errno.EADDRINUSE:
        return Failure("another process listens there already", "stop that one, or choose another port by")
    if error.errno == errno.EADDRNOTAVAIL:
        return Failure("this machine has no such address", "one of this machine's addresses, or none for all, by")
    if error.errno in (errno.EACCES, errno.EPERM):
        reason = "ports below 1024 are for root" if port < 1024 else "the system forbids it"
        return Failure(reason, "choose a port from 1024 on by")
    if isinstance(error, socket.gaierror):
        return Failure("no name server knows that name", "an IP address of this machine, or none for all, by")
    return Failure(_words(error), "choose another address by")


def _of_tls(error: ssl.SSLError, address: str, proxy: str) -> Failure:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _of_certificate(error, address)
    reason = error.reason or ""
    if reason in _NOT_TLS:
        return Failure(f"{address} does not use TLS", "correct the port, or begin the address with http://")
    if reason in ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_BAD_CERTIFICATE"):
        return Failure(f"{address} requires a client certificate", "use an address that does not require one")
    if isinstance(error, ssl.SSLEOFError):
        return Failure(f"{address} closed the connection during the TLS handshake", or_proxy(_FIREWALLS, proxy))
    words = reason.lower().replace("_", " ") or _words(error)
    return Failure(
        f"TLS with {address} failed: {words}", "correct the address; or check for a proxy that intercepts TLS"
    )


def _of_certificate(error: ssl.SSLCertVerificationError, address: str) -> Failure:
    code = error.verify_code
    if code in _NO_KNOWN_AUTHORITY:
        text = "put the certificate of the CA that signed it into ca_file, as PEM"
        return Failure(f"the certificate of {address} is not signed by a trusted CA", text)
    if code in (_WRONG_NAME, _WRONG_ADDRESS):
        text = "use a name that the certificate is valid for, or check which server answers there"
        return Failure(f"the certificate of {address} is for another name", text)
    if code == _EXPIRED:
        return Failure(f"the certificate of {address} has expired", "renew it there, or correct this machine's clock")
    if code == _NOT_YET_VALID:
        return Failure(f"the certificate of {address} is not valid yet", "correct this machine's clock (NTP)")
    text = "use a valid certificate, or put its CA into ca_file"
    return Failure(f"the certificate of {address} cannot be trusted: {error.verify_message}", text)


def _words(error: BaseException) -> str:
    words = getattr(error, "strerror", None) or str(error) or "unknown error"
    return " ".join(str(words).split())
