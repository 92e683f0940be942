"""The settings of `--web.config.file`: exporter-toolkit's format, extended by bearer tokens and rights; pure.

The format: github.com/prometheus/exporter-toolkit, docs/web-configuration.md. Options of it that give no security, or
that Python's TLS does not have, are refused with a fix and never ignored silently.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Annotated, Literal

from bridge.typed_yaml.scalars import Scalar, SecretField
from bridge.typed_yaml.secret import Secret
from bridge.typed_yaml.section import Problems

Right = Literal["webhook", "status", "admin"]
"""What a user or token may do: post alerts, read the bridge's status, change alarms and configuration."""

RIGHTS: tuple[Right, ...] = ("webhook", "status", "admin")
DEFAULT_RIGHTS: frozenset[Right] = frozenset({"webhook", "status"})
"""The rights of a known user or token that is not listed under `rights`; `admin` must be granted."""

_BCRYPT = re.compile(r"\$2[aby]\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_MIN_COST, _MAX_COST = 4, 16
_SLOW_COST = 13
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,4096}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_FIELD_VALUE = re.compile(r"[\t -~]*")

_CLIENT_AUTH_TYPES = ("NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert")
_UNVERIFIED = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")

CIPHER_SUITES = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_AES_128_GCM_SHA256": "",
    "TLS_AES_256_GCM_SHA384": "",
    "TLS_CHACHA20_POLY1305_SHA256": "",
}
"""Go's names of its secure cipher suites, with OpenSSL's names; those of TLS 1.3 are always on, as in Go."""

CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}


def _client_auth_type(text: str) -> str:
    if text in _CLIENT_AUTH_TYPES:
        return text
    if text in _UNVERIFIED:
        raise ValueError(f"{text} asks for a certificate and does not verify it. Fix: RequireAndVerifyClientCert.")
    raise ValueError(f"{text!r} is not known here. Fix: use one of {', '.join(_CLIENT_AUTH_TYPES)}.")


def _version(text: str) -> str:
    if text in ("TLS12", "TLS13"):
        return text
    if text in ("TLS10", "TLS11"):
        raise ValueError(f"{text} has known weaknesses (RFC 8996) and is not supported. Fix: use TLS12 or TLS13.")
    raise ValueError(f"{text!r} is not a version of TLS. Fix: use TLS12 or TLS13.")


def _password_hash(text: str) -> Secret:
    parts = _BCRYPT.fullmatch(text)
    fix = "Fix: make one with  htpasswd -nBC 10 USER."
    if not parts:
        raise ValueError(f"it is not a bcrypt hash. {fix}")
    if not _MIN_COST <= int(parts["cost"]) <= _MAX_COST:
        raise ValueError(f"its cost is not {_MIN_COST} to {_MAX_COST}. {fix}")
    return Secret(text)


def _token(text: str) -> Secret:
    if text.startswith("sha256:"):
        if not _DIGEST.fullmatch(text):
            raise ValueError("after sha256: 64 hexadecimal digits are expected. Fix: printf %s TOKEN | sha256sum.")
    elif not _TOKEN.fullmatch(text):
        fix = "Fix: make one with  openssl rand -hex 32."
        raise ValueError(f"a token is 16 to 4096 of A-Z a-z 0-9 . _ ~ + / = and -. {fix}")
    return Secret(text)


def _field_value(text: str) -> str:
    if not _FIELD_VALUE.fullmatch(text):
        raise ValueError("it holds characters that an HTTP header cannot. Fix: printable ASCII only.")
    return text


def _one_of(name: str, *allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text and text.lower() not in allowed:
            raise ValueError(f"{text!r} is not a valid value for {name}. Fix: use {' or '.join(allowed)}.")
        return text

    return parse


_Header = Annotated[str, Scalar(_field_value, "a header's value")]
_FrameOptions = Annotated[str, Scalar(_one_of("X-Frame-Options", "deny", "sameorigin"), "deny or sameorigin")]
_NoSniff = Annotated[str, Scalar(_one_of("X-Content-Type-Options", "nosniff"), "nosniff")]
TokenField = Annotated[Secret, Scalar(_token, "a token")]


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    """`tls_server_config`. Paths are relative to the file."""

    cert_file: str = ""
    key_file: str = ""
    cert: str = ""
    key: SecretField = field(default_factory=lambda: Secret(""))
    client_auth_type: Annotated[str, Scalar(_client_auth_type, "a way to ask for certificates")] = "NoClientCert"
    client_ca_file: str = ""
    client_ca: str = ""
    client_allowed_sans: tuple[str, ...] = ()
    min_version: Annotated[str, Scalar(_version, "a version of TLS")] = "TLS12"
    max_version: Annotated[str, Scalar(_version, "a version of TLS")] = "TLS13"
    cipher_suites: tuple[Literal[tuple(CIPHER_SUITES)], ...] = ()  # type: ignore[valid-type]  # Literal from the table of names, so that there is one list
    prefer_server_cipher_suites: bool = True
    curve_preferences: tuple[Literal[tuple(CURVES)], ...] = ()  # type: ignore[valid-type]  # Literal from the table of names, so that there is one list

    @property
    def asks_clients(self) -> bool:
        """Whether the server requests client certificates."""
        return self.client_auth_type != "NoClientCert"

    def problems(self) -> Problems:
        """Return the problems of the section: pairs of the key and the sentence."""
        problems = [
            *_one_source("cert", self.cert, self.cert_file),
            *_one_source("key", self.key.reveal(), self.key_file),
        ]
        has_ca = self.client_ca or self.client_ca_file
        if self.client_ca and self.client_ca_file:
            problems += _one_source("client_ca", self.client_ca, self.client_ca_file)
        if self.asks_clients and not has_ca:
            problems.append(("client_auth_type", "there is no CA to verify with. Fix: add client_ca_file."))
        if has_ca and not self.asks_clients:
            text = "clients are not asked for certificates. Fix: client_auth_type: RequireAndVerifyClientCert."
            problems.append(("client_ca_file" if self.client_ca_file else "client_ca", text))
        if self.client_allowed_sans and self.client_auth_type != "RequireAndVerifyClientCert":
            text = "a client may come without a certificate. Fix: client_auth_type: RequireAndVerifyClientCert."
            problems.append(("client_allowed_sans", text))
        if self.min_version > self.max_version:
            problems.append(("min_version", "it is above max_version. Fix: lower it."))
        if self.cipher_suites and self.max_version == "TLS12" and not self.openssl_ciphers:
            problems.append(
                ("cipher_suites", "none of them belongs to TLS 1.2. Fix: add one that does, or allow TLS13.")
            )
        if len(self.curve_preferences) > 1:
            problems.append(
                ("curve_preferences", "Python's TLS supports one curve. Fix: name one, or leave the list out.")
            )
        return problems

    @property
    def openssl_ciphers(self) -> list[str]:
        """The cipher suites for TLS 1.2 by OpenSSL's names; empty: OpenSSL's default."""
        return [CIPHER_SUITES[name] for name in self.cipher_suites if CIPHER_SUITES[name]]


def _one_source(key: str, inline: str, file: str) -> Problems:
    if inline and file:
        return [(key, f"{key} and {key}_file are mutually exclusive. Fix: remove one.")]
    if not inline and not file:
        return [(f"{key}_file", "it is missing. Fix: add it.")]
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Headers:
    """`http_server_config.headers`: they replace the default headers; an empty value omits the header."""

    content_security_policy: _Header | None = field(default=None, metadata={"key": "Content-Security-Policy"})
    x_frame_options: _FrameOptions | None = field(default=None, metadata={"key": "X-Frame-Options"})
    x_content_type_options: _NoSniff | None = field(default=None, metadata={"key": "X-Content-Type-Options"})
    x_xss_protection: _Header | None = field(default=None, metadata={"key": "X-XSS-Protection"})
    strict_transport_security: _Header | None = field(default=None, metadata={"key": "Strict-Transport-Security"})

    def chosen(self) -> dict[str, str]:
        """Return the headers that the file sets."""
        named = {header.metadata["key"]: getattr(self, header.name) for header in fields(self)}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """`http_server_config`. HTTP/2 is not supported; the key is accepted because files in this format may have it."""

    http2: bool = True
    headers: Headers = field(default_factory=Headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfigSettings:
    """The whole file."""

    tls_server_config: TlsSettings | None = None
    http_server_config: HttpSettings = field(default_factory=HttpSettings)
    basic_auth_users: dict[str, Annotated[Secret, Scalar(_password_hash, "a bcrypt hash")]] | None = None
    bearer_tokens_file: str = ""
    rights: dict[str, tuple[Right, ...]] = field(default_factory=dict)

    def problems(self) -> Problems:
        """Return the problems between the sections: pairs of the path and the sentence."""
        if self.basic_auth_users == {}:
            return [
                (
                    "basic_auth_users",
                    "there is no user. Fix: add one, or remove the key to allow access without a password.",
                )
            ]
        return [
            (f"basic_auth_users.{user}", "a user's name holds no colon (RFC 7617). Fix: another name.")
            for user in self.users
            if not user or ":" in user
        ]

    @property
    def users(self) -> dict[str, Secret]:
        """The users with their hashes."""
        return self.basic_auth_users or {}

    def doubts(self) -> Problems:
        """Return settings that are valid but probably not intended: pairs of the path and the sentence."""
        costs = {user: _cost(secret) for user, secret in self.users.items()}
        doubts = [
            (f"basic_auth_users.{user}", f"a cost of {cost} takes seconds for each wrong password. Fix: 10 to 12.")
            for user, cost in costs.items()
            if cost > _SLOW_COST
        ]
        if len(set(costs.values())) > 1:
            text = "with different costs, response times show which users exist. Fix: use one cost for all."
            doubts.append(("basic_auth_users", text))
        if costs and self.tls_server_config is None:
            text = "passwords go over the network in clear text. Fix: add tls_server_config."
            doubts.append(("basic_auth_users", text))
        return doubts + self._unauthenticated()

    def _unauthenticated(self) -> Problems:
        tls = self.tls_server_config
        client_auth = tls.client_auth_type if tls else "NoClientCert"
        if self.users or self.bearer_tokens_file or client_auth == "RequireAndVerifyClientCert":
            return []
        if self.rights:
            text = "clients without a certificate may post and read. Fix: RequireAndVerifyClientCert."
            return [("rights", text)]
        fix = "basic_auth_users, bearer_tokens_file, or mTLS"
        text = f"no authentication is configured: anyone may post and read. Fix: {fix}."
        return [("", text)]


def _cost(secret: Secret) -> int:
    parts = _BCRYPT.fullmatch(secret.reveal())
    return int(parts["cost"]) if parts else 0
