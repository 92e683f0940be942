"""The `targets:` section of the configuration file: one AOM project each, with its credentials."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from yarl import URL

from bridge.aom import regions
from bridge.clock import DAY, MINUTE, Millis, format_duration
from bridge.errors import of_file
from bridge.event import MAX_TIMEOUT, MIN_TIMEOUT
from bridge.secret import Secret
from bridge.typed_yaml.scalars import DurationField, SecretField

_MIN_RATE = 0.1
"""Requests per second; at a slower pace the lease of an alarm ends before its turn comes."""

_API_PATH = re.compile(r"/v[0-9]+(\.[0-9]+)?(/.*)?$")
_NO_PART_OF_A_PATH = re.compile(r"[\s/?#%\\]")
_MAX_FILE_BYTES = 1 << 20

Problems = list[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings:
    """A token that somebody else renews: by value, or in a file that is read anew for each request."""

    value: SecretField | None = None
    file: Path | None = None

    def problems(self) -> Problems:
        """Return what is wrong with the section: pairs of the key and the sentence."""
        return _one_problems("value", self.value, "file", self.file)

    def missing(self) -> Problems:
        """Return which file is not there: pairs of the key and the sentence."""
        return _missing(file=self.file)

    def secret(self) -> Secret:
        """Return the token; as `_read`."""
        return _read("auth.token", self.value, self.file)


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordSettings:
    """An IAM user, for whom the bridge fetches and renews tokens.

    ``project_name``: asks for a token of the project by its name, not by the target's `project_id`.
    """

    domain: str
    user: str
    password: SecretField | None = None
    password_file: Path | None = None
    project_name: str = ""
    iam_endpoint: str = ""

    def problems(self) -> Problems:
        """Return what is wrong with the section: pairs of the key and the sentence."""
        return _one_problems("password", self.password, "password_file", self.password_file)

    def missing(self) -> Problems:
        """Return which file is not there: pairs of the key and the sentence."""
        return _missing(password_file=self.password_file)

    def secret(self) -> Secret:
        """Return the password; as `_read`."""
        return _read("auth.password.password", self.password, self.password_file)


@dataclass(frozen=True, slots=True)
class Keys:
    """Access keys as they stand in the configuration or in files now."""

    access_key: str
    secret_key: Secret
    security_token: Secret | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AkskSettings:
    """Access keys: permanent, or temporary ones with their security token, which somebody else renews in files."""

    access_key: str = ""
    access_key_file: Path | None = None
    secret_key: SecretField | None = None
    secret_key_file: Path | None = None
    security_token: SecretField | None = None
    security_token_file: Path | None = None

    def problems(self) -> Problems:
        """Return what is wrong with the section: pairs of the key and the sentence."""
        found = _one_problems("access_key", self._access_key(), "access_key_file", self.access_key_file)
        found += _one_problems("secret_key", self.secret_key, "secret_key_file", self.secret_key_file)
        if self.security_token is not None or self.security_token_file is not None:
            token = self.security_token
            found += _one_problems("security_token", token, "security_token_file", self.security_token_file)
        return found

    def missing(self) -> Problems:
        """Return which files are not there: pairs of the key and the sentence."""
        return _missing(
            access_key_file=self.access_key_file,
            secret_key_file=self.secret_key_file,
            security_token_file=self.security_token_file,
        )

    def secrets(self) -> Keys:
        """Return the keys; as `_read`."""
        has_token = self.security_token is not None or self.security_token_file is not None
        return Keys(
            _read("auth.aksk.access_key", self._access_key(), self.access_key_file).reveal(),
            _read("auth.aksk.secret_key", self.secret_key, self.secret_key_file),
            _read("auth.aksk.security_token", self.security_token, self.security_token_file) if has_token else None,
        )

    def _access_key(self) -> Secret | None:
        return Secret(self.access_key) if self.access_key else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkSettings:
    """The official SDK's own provider chain; what it takes stands in the environment and beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings:
    """The credentials of one target: exactly one kind."""

    token: TokenSettings | None = None
    password: PasswordSettings | None = None
    aksk: AkskSettings | None = None
    sdk: SdkSettings | None = None

    def problems(self) -> Problems:
        """Return what is wrong with the section: pairs of the key and the sentence."""
        kinds = (self.token, self.password, self.aksk, self.sdk)
        if sum(kind is not None for kind in kinds) == 1:
            return []
        return [("", "exactly one of token, password, aksk and sdk is needed. Fix: keep the one that you use.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSettings:
    """One AOM project.

    ``reassert_after``: a repeat is reported again when AOM's last acceptance is older; 0s is every repeat.
    ``lookup_wait``: an alarm that the list does not show is a lag until then.
    ``enterprise_project_header``: older deployments of AOM read the other one, so spelt.
    """

    project_id: str
    auth: AuthSettings
    endpoint: str = ""
    region: str = ""
    enterprise_project_id: str = "0"
    enterprise_project_header: Literal["enterprise-project-id", "x-enterprise-prject-id"] = "enterprise-project-id"
    alarm_timeout: DurationField = 5 * DAY
    reassert_after: DurationField = 30 * MINUTE
    clear_by: Literal["lookup", "id"] = "lookup"
    lookup_wait: DurationField = 2 * MINUTE
    rate_limit: float = 20
    ca_file: Path | None = None
    proxy_url: SecretField | None = None  # it may carry a password

    def problems(self) -> Problems:
        """Return what is wrong with the section: pairs of the key and the sentence."""
        found: Problems = []
        found += _project_problems(self.project_id)
        if not self.endpoint and not self.region:
            found.append(("", "neither endpoint nor region is set. Fix: set one, such as region: cn-north-4."))
        found += _url_problems("endpoint", self.endpoint)
        wrong = regions.mistake(self.region)
        if wrong:
            found.append(("region", wrong))
        if self.proxy_url is not None and _url_problems("", self.proxy_url.reveal()):
            found.append(("proxy_url", "it is not a web address. Fix: such as http://proxy.example:3128."))
        if not MIN_TIMEOUT <= self.alarm_timeout <= MAX_TIMEOUT:
            found.append(("alarm_timeout", "AOM takes 1m to 15d. Fix: a duration between, such as 5d."))
        if self.rate_limit < _MIN_RATE:
            found.append(("rate_limit", "it must be at least 0.1. Fix: requests per second, such as 20."))
        return found + self._iam_problems()

    def _iam_problems(self) -> Problems:
        password = self.auth.password
        if password is None:
            return []
        if not password.iam_endpoint and not self.region:
            text = (
                "it is needed where the target names no region. Fix: such as https://iam.cn-north-4.myhuaweicloud.com."
            )
            return [("auth.password.iam_endpoint", text)]
        return _url_problems("auth.password.iam_endpoint", password.iam_endpoint)

    def missing(self) -> Problems:
        """Return which file is not there: pairs of the key and the sentence."""
        found = _missing(ca_file=self.ca_file)
        if self.ca_file is not None and not found:
            found += [("ca_file", text) for text in _ca_problems(self.ca_file)]
        return found

    def doubts(self) -> Problems:
        """Return what can be right, and seldom is: pairs of the key and the sentence."""
        iam = self.auth.password.iam_endpoint if self.auth.password else ""
        addresses = {"endpoint": self.endpoint, "auth.password.iam_endpoint": iam}
        text = "http:// shows credentials and alarms to everybody on the way. Fix: https://, and ca_file for an own CA."
        found = [(key, text) for key, url in addresses.items() if _is_clear(url)]
        if self.enterprise_project_id == "default":
            found.append(("enterprise_project_id", 'default is a name, and its id is 0. Fix: write "0".'))
        if self.reassert_after * 2 > self.alarm_timeout:
            found.append(("reassert_after", reassert_doubt(self.alarm_timeout)))
        return found + self._region_doubts()

    def _region_doubts(self) -> Problems:
        if not self.endpoint:
            doubt = regions.doubt(self.region)
            return [("region", doubt)] if doubt else []
        other = regions.region_of(self.endpoint)
        password = self.auth.password
        is_used = self.auth.sdk is not None or (password is not None and not password.iam_endpoint)
        if not self.region or (is_used and other in ("", self.region)):
            return []
        text = f"endpoint is an address in {other}" if other else "it is not used where endpoint is set"
        return [("region", f"{text}. Fix: remove endpoint or region.")]

    @property
    def sdk_region(self) -> str:
        """The region for the SDK's provider chain; empty where neither region nor endpoint names one."""
        return self.region or regions.region_of(self.endpoint)

    @property
    def place(self) -> tuple[str, str, str]:
        """Where its alarms are: the same place finds and clears them."""
        return self.aom_url, self.project_id, self.enterprise_project_id

    @property
    def aom_url(self) -> str:
        """The base address of AOM, without a slash at the end."""
        return (self.endpoint or regions.address("aom", self.region)).rstrip("/")

    @property
    def iam_url(self) -> str:
        """The base address of IAM, without a slash at the end; only where `auth.password` is set."""
        own = self.auth.password.iam_endpoint if self.auth.password else ""
        return (own or regions.address("iam", self.region)).rstrip("/")


def _one_problems(key: str, value: Secret | None, file_key: str, file: Path | None) -> Problems:
    """Return what is wrong with a secret that stands either in the configuration or in a file."""
    if (value is None) == (file is None):
        return [("", f"exactly one of {key} and {file_key} is needed. Fix: set one of them.")]
    if value is not None and not value.reveal().strip():
        return [(key, "it is empty. Fix: set it, or read it from a file.")]
    return []


def reassert_doubt(timeout: Millis) -> str:
    """Return why alarms with this timeout need more reports than `reassert_after` gives them."""
    most = format_duration(timeout // 2)
    text = f"AOM clears an alarm after {format_duration(timeout)}, maybe before a repeat is reported again"
    return f"{text}. Fix: a reassert_after of at most {most}, or a longer timeout."


def _missing(**files: Path | None) -> Problems:
    """Return which of these files cannot be read now, or hold nothing."""
    found = []
    for key, file in files.items():
        try:
            if file is not None and not file.is_fifo() and not _bytes_of(file).strip():
                found.append((key, f"{file}: it is empty. Fix: write what belongs there into it."))
        except OSError as error:
            found.append((key, f"{file}: {of_file(error)}"))
    return found


def _bytes_of(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(_MAX_FILE_BYTES)


def _ca_problems(file: Path) -> list[str]:
    """Say whether a file that can be read holds certificates."""
    try:
        ssl.create_default_context(cafile=str(file))
    except (OSError, ValueError):
        return [f"{file}: it holds no certificate. Fix: the CA's certificate in PEM form."]
    return []


def _read(key: str, value: Secret | None, file: Path | None) -> Secret:
    """Return a secret; a file is read anew each time, since Kubernetes and others rotate it.

    Raises:
        ValueError: the file cannot be read, or does not hold one line that a header can carry; the text names the fix,
            and never holds the secret.
    """
    place = f"{key}: {file}" if file is not None else key
    try:
        text = (file.read_text(encoding="utf-8") if file is not None else value.reveal() if value else "").strip()
    except UnicodeDecodeError:
        raise ValueError(f"{place}: it is no UTF-8 text. Fix: write the secret as text.") from None
    except OSError as error:
        raise ValueError(f"{place}: {of_file(error)}") from None
    if not text:
        raise ValueError(f"{place}: it is empty. Fix: write the secret into it.")
    if not text.isprintable():
        raise ValueError(f"{place}: it has more than one line, or characters that cannot be sent. Fix: one line.")
    return Secret(text)


def _project_problems(project: str) -> Problems:
    if not project:
        return [("project_id", "it is empty. Fix: the project's id, from the console's My Credentials page.")]
    if regions.is_like_a_region(project):
        text = f"{project!r} is a project's name. Fix: its id, from the console's My Credentials page."
        return [("project_id", text)]
    if _NO_PART_OF_A_PATH.search(project):
        text = f"{project!r} is no project's id. Fix: the one on the console's My Credentials page, digits and letters."
        return [("project_id", text)]
    return []


def _url_problems(key: str, url: str) -> Problems:
    if not url:
        return []
    if not _is_web_address(url):
        return [(key, f"{url!r} is not a web address. Fix: begin with https:// (or http:// for an emulator).")]
    found = URL(url)
    base = str(found.with_path(_API_PATH.sub("", found.path.rstrip("/"))).with_query(None).with_fragment(None))
    if base.rstrip("/") != url.rstrip("/") and (found.query or found.fragment or _API_PATH.search(found.path)):
        text = "it ends in a path of the API, which the bridge adds itself"
        return [(key, f"{text}. Fix: write {base.rstrip('/')}.")]
    return []


def _is_web_address(text: str) -> bool:
    try:
        url = URL(text)
        host, port = url.host or "", url.port
        host.encode("idna")
    except ValueError:  # what encodings raise is one, too
        return False
    return url.scheme in ("http", "https") and bool(host) and port is not None and " " not in text


def _is_clear(url: str) -> bool:
    """Say whether an address leads off this machine without TLS."""
    found = URL(url) if _is_web_address(url) else URL()
    return found.scheme == "http" and found.host not in ("localhost", "::1") and not str(found.host).startswith("127.")
