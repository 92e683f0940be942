"""The `targets:` section of the configuration file: one AOM project each, with its credentials."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bridge.clock import DAY, MINUTE
from bridge.event import LONGEST_TIMEOUT, SHORTEST_TIMEOUT
from bridge.scalars import DurationField, Secret, SecretField

_LEAST_RATE = 0.1
"""Requests per second; at a slower pace the lease of an alarm ends before its turn comes."""

Problems = list[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings:
    """A token that somebody else renews: by value, or in a file that is read anew for each request."""

    value: SecretField | None = None
    file: Path | None = None

    def problems(self) -> Problems:
        """Return what is wrong with the section: pairs of the key and the sentence."""
        if (self.value is None) == (self.file is None):
            return [("", "exactly one of value and file is needed. Fix: set one of them.")]
        return _empty_problems("value", self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordSettings:
    """An IAM user, for whom the bridge fetches and renews tokens."""

    domain: str
    user: str
    password: SecretField | None = None
    password_file: Path | None = None
    iam_endpoint: str = ""

    def problems(self) -> Problems:
        """Return what is wrong with the section: pairs of the key and the sentence."""
        if (self.password is None) == (self.password_file is None):
            return [("", "exactly one of password and password_file is needed. Fix: set one of them.")]
        return _empty_problems("password", self.password)

    def reveal(self) -> str:
        """Return the password; a file is read anew each time, since Kubernetes rotates it.

        Raises:
            OSError: the file cannot be read.
        """
        secret = self.password or Secret((self.password_file or Path()).read_text(encoding="utf-8").strip())
        return secret.reveal()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthSettings:
    """The credentials of one target: exactly one kind."""

    token: TokenSettings | None = None
    password: PasswordSettings | None = None

    def problems(self) -> Problems:
        """Return what is wrong with the section: pairs of the key and the sentence."""
        if (self.token is None) == (self.password is None):
            return [("", "exactly one of token and password is needed. Fix: keep the one that you use.")]
        return []


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

    @property
    def aom_url(self) -> str:
        """The base address of AOM, without a slash at the end."""
        return (self.endpoint or f"https://aom.{self.region}.myhuaweicloud.com").rstrip("/")

    @property
    def iam_url(self) -> str:
        """The base address of IAM, without a slash at the end; only where `auth.password` is set."""
        own = self.auth.password.iam_endpoint if self.auth.password else ""
        return (own or f"https://iam.{self.region}.myhuaweicloud.com").rstrip("/")


def _empty_problems(key: str, secret: Secret | None) -> Problems:
    if secret is None or secret.reveal():
        return []
    return [(key, "it is empty. Fix: set it, or read it from a file.")]


def _url_problems(key: str, url: str) -> Problems:
    if not url or (url.startswith(("http://", "https://")) and " " not in url):
        return []
    return [(key, f"{url!r} is not a web address. Fix: begin with https:// (or http:// for an emulator).")]
