"""Reads the web configuration and the files that it refers to into one policy.

In: a file's name. Out: a `Policy`, which never changes, or a `ConfigError` with every mistake. It reads files and opens
no socket.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bridge.errors import of_file
from bridge.typed_yaml.document import compose
from bridge.typed_yaml.problems import ConfigError, Problem, read_file, suggest
from bridge.typed_yaml.reader import Reader
from bridge.typed_yaml.secret import Secret
from bridge.web.settings import DEFAULT_RIGHTS, Right, TlsSettings, TokenField, WebConfigSettings
from bridge.web.tls import Pem, TlsError, server_context

_EMPTY = "configure users, tokens or TLS, or leave --web.config.file out"


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Who may connect to the bridge, over which protocol, with which rights.

    Attributes:
        tls: the context of the listeners; None: plain HTTP.
        trust: a hash of the settings that decide which client certificates are trusted.
        allowed_sans: names of which a client's certificate must have one; empty: any name.
        users: bcrypt hashes by user.
        tokens: names by the SHA-256 of the bearer token.
        rights: of users, tokens and certificates that are listed.
        headers: headers of every answer that the file sets.
        doubts: settings that are valid but probably not intended.
        summary: one line for the log.
    """

    tls: ssl.SSLContext | None = field(default=None, repr=False)
    trust: bytes = field(default=b"", repr=False)
    allowed_sans: frozenset[str] = frozenset()
    users: Mapping[str, Secret] = field(default_factory=dict)
    tokens: Mapping[bytes, str] = field(default_factory=dict, repr=False)
    rights: Mapping[str, frozenset[Right]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    doubts: tuple[Problem, ...] = ()
    summary: str = ""

    @property
    def needs_credentials(self) -> bool:
        """Whether a request must carry a password or a token."""
        return bool(self.users or self.tokens)

    @property
    def posters(self) -> str:
        """Who may post notifications, for people; empty: every client that reaches the port."""
        named = [*self.users, *self.tokens.values()] if self.needs_credentials else []
        names = sorted(name for name in named if "webhook" in self.rights_of(name))
        if names:
            return ", ".join(names)
        has_certificates = self.tls is not None and self.tls.verify_mode == ssl.CERT_REQUIRED
        return "clients with a certificate of client_ca_file" if has_certificates else ""

    def rights_of(self, name: str) -> frozenset[Right]:
        """Return the rights of a user, token or certificate."""
        return self.rights.get(name, DEFAULT_RIGHTS)


def read_policy(file: str, files: list[str] | None = None) -> Policy:
    """Read a web configuration.

    Args:
        file: its name.
        files: gets the names of all files that were read, the file's own first; if one changes, read again.

    Raises:
        ConfigError: with every mistake, of the tokens' file too.
    """
    files = [] if files is None else files
    files.append(file)
    reader = Reader(file, None, allow_unset=True)
    settings = reader.read(compose(read_file(file), file, fix=_EMPTY), WebConfigSettings, "")
    if reader.problems or not isinstance(settings, WebConfigSettings):
        raise ConfigError(file, reader.problems)
    return _Reading(file, reader, settings, files).policy()


class _Reading:
    """Reads the file and the files that it refers to once."""

    def __init__(self, file: str, reader: Reader, settings: WebConfigSettings, files: list[str]) -> None:
        self._file = file
        self._reader = reader
        self._settings = settings
        self._files = files

    def policy(self) -> Policy:
        tls = self._settings.tls_server_config
        context, trust = self._tls(tls) if tls else (None, b"")
        before = len(self._reader.problems)
        tokens = self._tokens()
        if len(self._reader.problems) == before:
            self._check_names(tokens)
        if self._reader.problems:
            raise ConfigError(self._file, self._reader.problems)
        return Policy(
            tls=context,
            trust=trust,
            allowed_sans=frozenset(tls.client_allowed_sans if tls else ()),
            users=self._settings.users,
            tokens={_digest(secret): name for name, secret in tokens.items()},
            rights={name: frozenset(rights) for name, rights in self._settings.rights.items()},
            headers=self._settings.http_server_config.headers.chosen(),
            doubts=tuple(sorted(self._reader.doubts)),
            summary=self._summary(tokens),
        )

    def _tls(self, tls: TlsSettings) -> tuple[ssl.SSLContext | None, bytes]:
        before = len(self._reader.problems)
        pem = Pem(
            cert=self._bytes("cert", tls.cert, tls.cert_file),
            key=self._bytes("key", tls.key.reveal(), tls.key_file),
            client_ca=self._bytes("client_ca", tls.client_ca, tls.client_ca_file) if tls.asks_clients else b"",
        )
        if len(self._reader.problems) > before:
            return None, b""
        names = "\n".join((tls.client_auth_type, *sorted(tls.client_allowed_sans))).encode()
        try:
            return server_context(tls, pem), hashlib.sha256(names + b"\n" + pem.client_ca).digest()
        except TlsError as error:
            inline = {"cert": tls.cert, "key": tls.key.reveal(), "client_ca": tls.client_ca}[error.key]
            self._note(f"tls_server_config.{error.key}{'' if inline else '_file'}", str(error))
            return None, b""

    def _bytes(self, key: str, inline: str, file: str) -> bytes:
        if inline:
            return inline.encode()
        try:
            return self._path(file).read_bytes()
        except (OSError, ValueError) as error:
            self._note(f"tls_server_config.{key}_file", f"{file}: {of_file(error)}")
            return b""

    def _path(self, file: str) -> Path:
        path = Path(self._file).parent / file
        self._files.append(str(path))
        return path

    def _tokens(self) -> dict[str, Secret]:
        name = self._settings.bearer_tokens_file
        if not name:
            return {}
        path = str(self._path(name))
        try:
            tokens = _read_tokens(path)
        except ConfigError as error:
            for problem in error.problems:
                # The key is omitted: if name and token were swapped, it is the secret.
                self._note("bearer_tokens_file", replace(problem, path="").line_of(path))
            return {}
        if not tokens:
            self._note("bearer_tokens_file", f"{path} holds no token. Fix: add one, or leave bearer_tokens_file out.")
        self._check_unique(path, tokens)
        return tokens

    def _check_unique(self, path: str, tokens: Mapping[str, Secret]) -> None:
        seen: dict[bytes, str] = {}
        for name, secret in tokens.items():
            other = seen.setdefault(_digest(secret), name)
            if other != name:
                text = f"{path}: {name} has the same token as {other}. Fix: use a different token for each."
                self._note("bearer_tokens_file", text)

    def _check_names(self, tokens: Mapping[str, Secret]) -> None:
        users = self._settings.users
        for name in users.keys() & tokens.keys():
            self._note("bearer_tokens_file", f"there is also a user {name!r}. Fix: give the token another name.")
        known = [*users, *tokens]
        tls = self._settings.tls_server_config
        if not known and tls is not None and tls.asks_clients:
            return  # the names are those of client certificates, which are not known before they connect
        for name in self._settings.rights:
            if name not in known:
                self._note(f"rights.{name}", f"no user and no token has this name. Fix: {suggest(name, known)}")

    def _note(self, path: str, text: str) -> None:
        self._reader.note_at(path, text)

    def _summary(self, tokens: Mapping[str, Secret]) -> str:
        tls = self._settings.tls_server_config
        protocol = "no TLS" if tls is None else "TLS with client certificates" if tls.asks_clients else "TLS"
        return f"{protocol}, {len(self._settings.users)} user(s), {len(tokens)} token(s)"


def _read_tokens(file: str) -> dict[str, Secret]:
    reader = Reader(file, None, allow_unset=True)
    tokens = reader.read(compose(read_file(file), file, fix="write lines of NAME: TOKEN"), dict[str, TokenField], "")
    if reader.problems:
        raise ConfigError(file, reader.problems)
    return dict(tokens)


def _digest(token: Secret) -> bytes:
    text = token.reveal()
    hashed = text.removeprefix("sha256:")
    return bytes.fromhex(hashed) if hashed != text else hashlib.sha256(text.encode()).digest()
