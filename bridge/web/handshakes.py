"""TLS handshakes that fail leave a log line: the client sees a broken connection, and nothing else would tell why.

In: a TLS context of a listener. Out: the same context, whose failed handshakes are logged, at most once a second. The
address of the client is not known here. A handshake that is only abandoned is not logged: scanners and probes do that.
"""

from __future__ import annotations

import ssl
from functools import partial

from bridge.log import ThrottledLine, logger

_log = logger("web")

_CA = "the client does not trust the bridge's certificate. Fix: ca_file in its tls_config, or another certificate"
_REASONS = {
    "HTTP_REQUEST": "the client speaks plain HTTP on the port of TLS. Fix: https:// in its URL",
    "HTTPS_PROXY_REQUEST": "the client takes the bridge for a proxy. Fix: its URL, or its proxy settings",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the client has no certificate. Fix: cert_file and key_file in its tls_config",
    "CERTIFICATE_VERIFY_FAILED": "the client's certificate is not trusted. Fix: a valid one of a CA in client_ca_file",
    "UNSUPPORTED_PROTOCOL": "the client speaks an old version of TLS only. Fix: a newer client, or min_version",
    "NO_SHARED_CIPHER": "the client knows none of the bridge's ciphers. Fix: a newer client, or cipher_suites",
    "TLSV1_ALERT_UNKNOWN_CA": _CA,
    "SSLV3_ALERT_BAD_CERTIFICATE": _CA,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": _CA,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "the bridge's certificate has expired. Fix: a new one in cert_file",
}
"""By OpenSSL's names (sslerr.h), which Python gives as ``reason``."""


def logging_failures(context: ssl.SSLContext) -> ssl.SSLContext:
    """Make a server's context log the handshakes that fail."""
    line = ThrottledLine(partial(_log.warning, "TLS handshake failed"))

    class LoggingObject(ssl.SSLObject):
        """The server's side of one connection."""

        def do_handshake(self) -> None:
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
                raise
            except ssl.SSLError as error:
                line.add(problem=_REASONS.get(error.reason or "", error.reason))
                raise

    context.sslobject_class = LoggingObject
    return context
