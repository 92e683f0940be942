"""Makes the TLS context of the listeners from settings and PEM; no file is read here.

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
    """The contents of the files that the settings refer to."""

    cert: bytes
    key: bytes
    client_ca: bytes


def server_context(settings: TlsSettings, pem: Pem) -> ssl.SSLContext:
    """Return a context for a listener.

    Raises:
        TlsError: a certificate, key or CA cannot be used; it names the setting.
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
            raise TlsError(
                "key", "it does not belong to the certificate. Fix: use the key that the certificate was made for."
            ) from None
        key = "cert" if b"PRIVATE KEY-----" in pem.key else "key"
        reason = _REASONS.get(error.reason or "") or str(error.reason).lower().replace("_", " ")
        raise TlsError(key, f"it cannot be used ({reason}). Fix: a {_NAMES[key]} in PEM form.") from None
    finally:
        os.close(memory)


_NAMES = {"cert": "certificate", "key": "key"}
_REASONS = {
    "": "it is not PEM",
    "NO_START_LINE": "it is not PEM",
    "PEM_LIB": "its PEM is incomplete",
    "EE_KEY_TOO_SMALL": "its key is too short",
    "CA_MD_TOO_WEAK": "it is signed with a hash that is too weak",
}
"""OpenSSL's reasons in words about the file."""


class _EncryptedError(Exception):
    """The key is encrypted; the bridge cannot ask for its password."""


def _refuse() -> str:
    raise _EncryptedError


def _ask_clients(context: ssl.SSLContext, settings: TlsSettings, pem: Pem) -> None:
    try:
        context.load_verify_locations(cadata=pem.client_ca.decode("ascii", errors="ignore"))
    except (ssl.SSLError, ValueError):
        raise TlsError("client_ca", "it holds no certificate. Fix: the CA's certificate in PEM form.") from None
    # As in Go: every certificate of the file is trusted, an intermediate CA too.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    is_required = settings.client_auth_type == "RequireAndVerifyClientCert"
    context.verify_mode = ssl.CERT_REQUIRED if is_required else ssl.CERT_OPTIONAL
