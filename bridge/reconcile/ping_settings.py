"""The `ping:` section: an address outside that is called while the bridge does its work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from yarl import URL

from bridge.clock import MINUTE, SECOND, Millis
from bridge.typed_yaml.scalars import DurationField, SecretField
from bridge.typed_yaml.secret import Secret
from bridge.typed_yaml.secret_files import missing_files, read_secret, secret_problems
from bridge.typed_yaml.section import Problems

_MIN_TIME: Millis = SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class PingSettings:
    """Where the bridge says that it works, and how often; off without an address, which is a secret of its own.

    Attributes:
        url: the address that is asked (GET), as `${VARIABLE}`.
        url_file: a file that holds the address, instead of `url`.
        interval: how often it is asked, at least 1s; the service outside expects it a little more rarely.
    """

    url: SecretField | None = None
    url_file: Path | None = None
    interval: DurationField = MINUTE

    @property
    def is_on(self) -> bool:
        """Whether there is an address."""
        return self.url is not None or self.url_file is not None

    def problems(self) -> Problems:
        """Return what is wrong with the section: pairs of the key and the sentence."""
        problems = secret_problems("url", self.url, "url_file", self.url_file) if self.is_on else []
        if self.url is not None and not problems and not _is_address(self.url.reveal()):
            problems.append(("url", "it is not a web address. Fix: such as https://hc-ping.example/UUID."))
        if self.interval < _MIN_TIME:
            problems.append(("interval", "it must be at least 1s. Fix: a longer duration, or no line for the default."))
        return problems

    def missing(self) -> Problems:
        """Return which file does not exist: pairs of the key and the sentence."""
        return missing_files(url_file=self.url_file)

    def address(self) -> Secret:
        """Return the address; raises ValueError with the fix."""
        secret = read_secret("ping.url", self.url, self.url_file)
        if not _is_address(secret.reveal()):
            raise ValueError("ping.url: it is not a web address. Fix: such as https://hc-ping.example/UUID.")
        return secret


def _is_address(text: str) -> bool:
    try:
        parsed = URL(text)
    except ValueError:
        return False
    return parsed.scheme in ("http", "https") and bool(parsed.host)
