"""The `targets:` section of the configuration file: one AOM project each, with its credentials."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from yarl import URL

from bridge.clock import DAY, MINUTE
from bridge.event import LONGEST_TIMEOUT, SHORTEST_TIMEOUT
from bridge.scalars import DurationField, Secret, SecretField

_LEAST_RATE = 0.1
"""Requests per second; at a slower pace the lease of an alarm ends before its turn comes."""

REGIONS = (
    "ae-ad-1", "af-north-1", "af-south-1", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4",
    "ap-southeast-5", "cn-east-2", "cn-east-3", "cn-east-4", "cn-east-5", "cn-north-1", "cn-north-2", "cn-north-4",
    "cn-north-9", "cn-north-11", "cn-north-12", "cn-south-1", "cn-south-2", "cn-southwest-2", "cn-southwest-3",
    "la-north-2", "la-south-2", "me-east-1", "my-kualalumpur-1", "na-mexico-1", "ru-moscow-1", "ru-northwest-2",
    "sa-brazil-1", "tr-west-1",
)  # fmt: skip
"""Where AOM is, and with it IAM, at addresses of one form (the official SDK's `huaweicloudsdkaom.v2.region`)."""

_REGION = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

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
        return _read(self.value, self.file)


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
        return _read(self.password, self.password_file)


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
            _read(self._access_key(), self.access_key_file).reveal(),
            _read(self.secret_key, self.secret_key_file),
            _read(self.security_token, self.security_token_file) if has_token else None,
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
    """

    project_id: str
    auth: AuthSettings
    endpoint: str = ""
    region: str = ""
    enterprise_project_id: str = "0"
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
        if not self.project_id:
            found.append(("project_id", "it is empty. Fix: the project's id, from the console's My Credentials page."))
        if not self.endpoint and not self.region:
            found.append(("", "neither endpoint nor region is set. Fix: set one, such as region: cn-north-4."))
        found += _url_problems("endpoint", self.endpoint)
        if not self.endpoint:
            found += _region_problems(self.region)
        if self.proxy_url is not None and _url_problems("", self.proxy_url.reveal()):
            found.append(("proxy_url", "it is not a web address. Fix: such as http://proxy.example:3128."))
        if not SHORTEST_TIMEOUT <= self.alarm_timeout <= LONGEST_TIMEOUT:
            found.append(("alarm_timeout", "AOM takes 1m to 15d. Fix: a duration between, such as 5d."))
        if self.rate_limit < _LEAST_RATE:
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
        return _missing(ca_file=self.ca_file)

    def doubts(self) -> Problems:
        """Return which addresses would show credentials to everybody on the way: pairs of the key and the sentence."""
        iam = self.auth.password.iam_endpoint if self.auth.password else ""
        addresses = {"endpoint": self.endpoint, "auth.password.iam_endpoint": iam}
        text = "http:// shows credentials and alarms to everybody on the way. Fix: https://, and ca_file for an own CA."
        return [(key, text) for key, url in addresses.items() if _is_clear(url)]

    @property
    def place(self) -> tuple[str, str, str]:
        """Where its alarms are: the same place finds and clears them."""
        return self.aom_url, self.project_id, self.enterprise_project_id

    @property
    def aom_url(self) -> str:
        """The base address of AOM, without a slash at the end."""
        return (self.endpoint or f"https://aom.{self.region}.myhuaweicloud.com").rstrip("/")

    @property
    def iam_url(self) -> str:
        """The base address of IAM, without a slash at the end; only where `auth.password` is set."""
        own = self.auth.password.iam_endpoint if self.auth.password else ""
        return (own or f"https://iam.{self.region}.myhuaweicloud.com").rstrip("/")


def _one_problems(key: str, value: Secret | None, file_key: str, file: Path | None) -> Problems:
    """Return what is wrong with a secret that stands either in the configuration or in a file."""
    if (value is None) == (file is None):
        return [("", f"exactly one of {key} and {file_key} is needed. Fix: set one of them.")]
    if value is not None and not value.reveal().strip():
        return [(key, "it is empty. Fix: set it, or read it from a file.")]
    return []


def _missing(**files: Path | None) -> Problems:
    """Return which of these files cannot be read now."""
    found = []
    for key, file in files.items():
        if file is not None and not os.access(file, os.R_OK):
            problem = "is not there" if not file.exists() else "cannot be read"
            found.append((key, f"the file {file} {problem}. Fix: mount it, or correct the path."))
    return found


def _read(value: Secret | None, file: Path | None) -> Secret:
    """Return a secret; a file is read anew each time, since Kubernetes and others rotate it.

    Raises:
        OSError, ValueError: the file cannot be read, or does not hold one line that a header can carry; the text never
            holds the secret.
    """
    place = f"{file}: it" if file is not None else "a secret"
    text = (file.read_text(encoding="utf-8") if file is not None else value.reveal() if value else "").strip()
    if not text:
        raise ValueError(f"{place} is empty")
    if not text.isprintable():
        raise ValueError(f"{place} has more than one line, or characters that cannot be sent")
    return Secret(text)


def _region_problems(region: str) -> Problems:
    """Return what is wrong with a region's name; one that resembles none may be newer than our list."""
    if not region or region in REGIONS:
        return []
    near = get_close_matches(region, REGIONS, n=1)
    if near:
        text = f"no region is called {region!r}. Fix: did you mean {near[0]!r}? For a newer one set endpoint instead."
        return [("region", text)]
    if not _REGION.fullmatch(region):
        return [("region", f"{region!r} is no region's name. Fix: such as cn-north-4.")]
    return []


def _url_problems(key: str, url: str) -> Problems:
    if not url or _is_web_address(url):
        return []
    return [(key, f"{url!r} is not a web address. Fix: begin with https:// (or http:// for an emulator).")]


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
