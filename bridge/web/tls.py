"""TLS of our listeners: settings and PEM to a context of Python's ssl; no file is read here.

In: certificates and keys as bytes. Out: a context, or a `TlsError` that names the setting and the fix.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass

from bridge.errors import BridgeError
from bridge.web.settings import CURVES, TlsSettings

_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}


class TlsError(BridgeError):
    """A certificate, key or CA that cannot be used.

    Attributes:
        key: the setting, without ``_file``.
    """

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key


@dataclass(frozen=True, slots=True)
class Pem:
    """What the settings name, read."""

    cert: bytes
    key: bytes
    client_ca: bytes


def server_context(settings: TlsSettings, pem: Pem) -> ssl.SSLContext:
    """Return a context for a listener.

    Raises:
        TlsError: with the setting that is to blame.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[settings.min_version]
    context.maximum_version = _VERSIONS[settings.max_version]
    context.set_alpn_protocols(["http/1.1"])
    if settings.openssl_ciphers:
        context.set_ciphers(":".join(settings.openssl_ciphers))
    if not settings.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    for curve in settings.curve_preferences:
        context.set_ecdh_curve(CURVES[curve])
    _load_chain(context, pem)
    if settings.asks_clients:
        _ask_clients(context, settings, pem)
    return context


def _load_chain(context: ssl.SSLContext, pem: Pem) -> None:
    # Python reads chains from files only, and a file in memory cannot change between the check and the use.
    memory = os.memfd_create("aom-bridge-tls")
    try:
        os.write(memory, pem.key + b"\n" + pem.cert)
        context.load_cert_chain(f"/proc/self/fd/{memory}", password=_refuse)
    except _EncryptedError:
        raise TlsError("key", "the key has a password. Fix: openssl pkey -in KEY -out PLAIN_KEY.") from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError("key", "it is not the key of this certificate. Fix: the key that it was made for.") from None
        key = "cert" if b"PRIVATE KEY-----" in pem.key else "key"
        reason = _REASONS.get(error.reason or "") or str(error.reason).lower().replace("_", " ")
        raise TlsError(key, f"it cannot be used ({reason}). Fix: a {_CALLED[key]} in PEM form.") from None
    finally:
        os.close(memory)


_CALLED = {"cert": "certificate", "key": "key"}
_REASONS = {
    "": "it is no PEM",
    "NO_START_LINE": "it is no PEM",
    "PEM_LIB": "its PEM is not whole",
    "EE_KEY_TOO_SMALL": "its key is too short",
    "CA_MD_TOO_WEAK": "it is signed with a hash that is too weak",
}
"""What OpenSSL's reasons mean for the file."""


class _EncryptedError(Exception):
    """The key asks for a password; there is no terminal to ask on."""


def _refuse() -> str:
    raise _EncryptedError


def _ask_clients(context: ssl.SSLContext, settings: TlsSettings, pem: Pem) -> None:
    try:
        context.load_verify_locations(cadata=pem.client_ca.decode("ascii", errors="ignore"))
    except (ssl.SSLError, ValueError):
        raise TlsError("client_ca", "it holds no certificate. Fix: the CA's certificate in PEM form.") from None
    # As Go does: whatever stands in the file is trusted, an intermediate CA too.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    must = settings.client_auth_type == "RequireAndVerifyClientCert"
    context.verify_mode = ssl.CERT_REQUIRED if must else ssl.CERT_OPTIONAL
