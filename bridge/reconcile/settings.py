"""The `alertmanagers:` section: the peers of each source, how they are asked, and what follows from their answers.

The names of `basic_auth`, `authorization`, `tls_config` and `headers` are those of Prometheus' `http_config`
(prometheus.io/docs, "Configuration").
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from yarl import URL

from bridge.clock import MINUTE, SECOND, Millis
from bridge.typed_yaml.scalars import DurationField, Scalar, SecretField, parse_duration
from bridge.typed_yaml.secret import Secret
from bridge.typed_yaml.secret_files import missing_files, read_secret, secret_problems
from bridge.typed_yaml.section import Problems

_MIN_TIME: Millis = SECOND
_API_PATH = re.compile(r"/api(/v[0-9].*)?$")
_PERCENTAGE = re.compile(r"(?P<percent>[0-9]{1,3}(\.[0-9]{1,3})?)%")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OWN_HEADERS = {"authorization", "host", "content-length", "content-type", "accept", "accept-encoding", "connection"}
_LOCAL = ("localhost", "::1")


def _auto_or_duration(text: str) -> Millis | None:
    return None if text == "auto" else parse_duration(text)


def _percentage(text: str) -> float:
    parts = _PERCENTAGE.fullmatch(text)
    if not parts or float(parts["percent"]) > 100:
        raise ValueError(f"{text[:40]!r} is not a percentage. Fix: write 0% to 100%, such as 10%.")
    return float(parts["percent"]) / 100


_AutoDuration = Annotated[Millis | None, Scalar(_auto_or_duration, "auto or a duration")]
_Percentage = Annotated[float, Scalar(_percentage, "a percentage")]


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicAuthSettings:
    """A user and a password, in the configuration or in a file that is read again for each request.

    Attributes:
        username: the user, which is needed.
        password: the password, as `${VARIABLE}`.
        password_file: a file that holds the password, instead of `password`.
    """

    username: str = ""
    password: SecretField | None = None
    password_file: Path | None = None

    def problems(self) -> Problems:
        """Return what is wrong with the section: pairs of the key and the sentence."""
        problems = secret_problems("password", self.password, "password_file", self.password_file)
        if not self.username:
            problems.append(("username", "it is missing. Fix: add it."))
        return problems

    def missing(self) -> Problems:
        """Return which file does not exist: pairs of the key and the sentence."""
        return missing_files(password_file=self.password_file)

    def secret(self) -> Secret:
        """Return the password; raises ValueError with the fix."""
        return read_secret("basic_auth.password", self.password, self.password_file)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationSettings:
    """The `Authorization` header: its type, and credentials in the configuration or in a file that is read again.

    Attributes:
        type: the word before the credentials. Basic has a section of its own: `basic_auth`.
        credentials: the credentials, as `${VARIABLE}`.
        credentials_file: a file that holds the credentials, instead of `credentials`.
    """

    type: str = "Bearer"
    credentials: SecretField | None = None
    credentials_file: Path | None = None

    def problems(self) -> Problems:
        """Return what is wrong with the section: pairs of the key and the sentence."""
        problems = secret_problems("credentials", self.credentials, "credentials_file", self.credentials_file)
        if self.type.lower() == "basic":
            problems.append(("type", "it is Basic, which needs a user. Fix: use basic_auth."))
        elif not _HEADER_NAME.fullmatch(self.type):
            problems.append(("type", f"{self.type[:40]!r} is not a word. Fix: such as Bearer."))
        return problems

    def missing(self) -> Problems:
        """Return which file does not exist: pairs of the key and the sentence."""
        return missing_files(credentials_file=self.credentials_file)

    def secret(self) -> Secret:
        """Return the credentials; raises ValueError with the fix."""
        return read_secret("authorization.credentials", self.credentials, self.credentials_file)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsConfigSettings:
    """How certificates are checked, and the client's own certificate; files are read again when they change.

    Attributes:
        ca_file: a file of CA certificates in PEM form, instead of the system's.
        cert_file: the bridge's own certificate, where Alertmanager asks clients for one; with `key_file`.
        key_file: the key of `cert_file`.
        server_name: the name that the server's certificate must bear, where it is not the one in the address.
    """

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str = ""

    def problems(self) -> Problems:
        """Return what is wrong with the section: pairs of the key and the sentence."""
        if (self.cert_file is None) != (self.key_file is None):
            return [("", "cert_file and key_file belong together. Fix: set both, or neither.")]
        return []

    def missing(self) -> Problems:
        """Return which file does not exist: pairs of the key and the sentence."""
        return missing_files(ca_file=self.ca_file, cert_file=self.cert_file, key_file=self.key_file)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertmanagerSettings:
    """The Alertmanager of one source: one server, or every peer of its cluster.

    Attributes:
        source: the source whose alerts its webhooks bring; empty: the first source.
        urls: the base address of every peer, such as `http://alertmanager-0:9093`, without `/api/v2`. A load balancer
            will not do, for each peer must be asked by itself.
        dns: a name and a port instead of `urls`, such as `alertmanager-operated:9093`; each of its addresses is a peer.
        basic_auth: a user and a password for the peers.
        authorization: the `Authorization` header for the peers, instead of `basic_auth`.
        tls_config: how the peers' certificates are checked.
        headers: further headers by their names, such as Mimir's `X-Scope-OrgID`.
        receivers: Alertmanager's receivers that post to this bridge; empty: those that webhooks have named. Write them,
            so that a bridge with an empty ledger knows them too.
        kind: `alertmanager`, or `mimir`, whose status tells neither its start nor its routes.
        interval: how often every peer is asked, at least 1s. A shorter one notices sooner and asks more.
        settle: the minimum time for which every peer must have answered before an absence counts, at least 1s. Raise it
            if Prometheus takes longer to post its alerts again after a peer's restart.
        missing_after: how long a webhook may still come before the bridge acts; `auto`: worked out from Alertmanager's
            own `group_wait` and `group_interval`.
        vanished: what is done about an alarm whose alert no peer lists any more: `clear`, or `keep`, for receivers with
            `send_resolved: false` on purpose.
        unrouted: what is done about an alarm whose alert no longer goes to this bridge: `clear` or `keep`.
        silenced: what is done about an alarm whose alert is silenced or inhibited: `keep`, or `clear`, until it is
            active again.
        max_clears: the part of the open alarms that may be cleared at once; if more would be, they wait until the same
            ones have been due for a while. Five may be in any case.
    """

    source: str = ""
    urls: tuple[str, ...] = ()
    dns: str = ""
    basic_auth: BasicAuthSettings | None = None
    authorization: AuthorizationSettings | None = None
    tls_config: TlsConfigSettings = field(default_factory=TlsConfigSettings)
    headers: dict[str, SecretField] = field(default_factory=dict)
    receivers: tuple[str, ...] = ()
    kind: Literal["alertmanager", "mimir"] = "alertmanager"
    interval: DurationField = 30 * SECOND
    settle: DurationField = 5 * MINUTE
    missing_after: _AutoDuration = None
    vanished: Literal["clear", "keep"] = "clear"
    unrouted: Literal["clear", "keep"] = "clear"
    silenced: Literal["clear", "keep"] = "keep"
    max_clears: _Percentage = 0.1

    def problems(self) -> Problems:
        """Return what is wrong with the section: pairs of the key and the sentence."""
        problems: Problems = []
        if bool(self.urls) == bool(self.dns):
            problems.append(("", "exactly one of urls and dns is needed. Fix: urls: [http://alertmanager:9093]."))
        for index, url in enumerate(self.urls):
            problems += _url_problems(f"urls[{index}]", url)
            if url in self.urls[:index]:
                problems.append((f"urls[{index}]", f"{url} is written twice. Fix: remove one."))
        if self.dns:
            problems += _url_problems("dns", self.dns if "://" in self.dns else f"http://{self.dns}")
        if self.basic_auth is not None and self.authorization is not None:
            problems.append(("authorization", "basic_auth is set, too. Fix: remove one of them."))
        for name in self.headers:
            problems += _header_problems(name)
        for key in ("interval", "settle", "missing_after"):
            value = getattr(self, key)
            if value is not None and value < _MIN_TIME:
                problems.append((key, "it must be at least 1s. Fix: a longer duration, or no line for the default."))
        return problems

    def doubts(self) -> Problems:
        """Return what can be right and seldom is: pairs of the key and the sentence."""
        doubts: Problems = []
        if self.basic_auth is not None or self.authorization is not None:
            text = "http:// shows the credentials to everybody on the way. Fix: https://."
            doubts += [(f"urls[{index}]", text) for index, url in enumerate(self.urls) if _is_clear(url)]
        if self.kind == "mimir" and "x-scope-orgid" not in {name.lower() for name in self.headers}:
            doubts.append(("headers", "Mimir needs to know the tenant. Fix: headers: {X-Scope-OrgID: TENANT}."))
        return doubts


def _url_problems(key: str, url: str) -> Problems:
    try:
        parsed = URL(url)
        host, port = parsed.host or "", parsed.port
    except ValueError:
        host, port, parsed = "", None, URL()
    if parsed.scheme not in ("http", "https") or not host or port is None or " " in url:
        return [(key, f"{url[:80]!r} is not a web address. Fix: such as http://alertmanager-0.alertmanager:9093.")]
    if parsed.user or parsed.password:
        return [(key, "it contains a user or password. Fix: write them below basic_auth.")]
    if parsed.query_string or parsed.fragment or _API_PATH.search(parsed.path):
        base = parsed.with_path(_API_PATH.sub("", parsed.path.rstrip("/"))).with_query(None).with_fragment(None)
        return [(key, f"the bridge adds the path of the API itself. Fix: write {str(base).rstrip('/')}.")]
    return []


def _header_problems(name: str) -> Problems:
    if not _HEADER_NAME.fullmatch(name):
        return [(f"headers.{name}", f"{name[:40]!r} is not a header's name. Fix: such as X-Scope-OrgID.")]
    if name.lower() in _OWN_HEADERS:
        fix = "use basic_auth or authorization" if name.lower() == "authorization" else "remove it"
        return [(f"headers.{name}", f"the bridge sets this header itself. Fix: {fix}.")]
    return []


def _is_clear(url: str) -> bool:
    """Say whether an address leads off this machine without TLS."""
    parsed = URL(url)
    host = str(parsed.host)
    return parsed.scheme == "http" and host not in _LOCAL and not host.startswith("127.")
