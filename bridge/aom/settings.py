"""The `targets:` section of the configuration file: one AOM project each, with its credentials."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from yarl import URL

from bridge.aom import regions
from bridge.aom.auth import AuthSettings
from bridge.clock import DAY, MINUTE, SECOND, Millis
from bridge.event import MAX_TIMEOUT, MIN_TIMEOUT, reassert_doubt
from bridge.typed_yaml.scalars import DurationField, SecretField
from bridge.typed_yaml.secret_files import missing_files
from bridge.typed_yaml.section import Problems

DEFAULT_ALARM_TIMEOUT: Millis = 5 * DAY

_MIN_RATE = 0.1
"""Requests per second; at a slower rate the lease of an alarm would end before the alarm is sent."""

_API_PATH = re.compile(r"/v[0-9]+(\.[0-9]+)?(/.*)?$")
_NO_PART_OF_A_PATH = re.compile(r"[\s/?#%\\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSettings:
    """One AOM project.

    Attributes:
        project_id: the project's id, which is on the console's page My Credentials; the project's name does not do.
        auth: the credentials: exactly one of `password`, `token`, `aksk` and `sdk`.
        endpoint: the address of AOM, such as `https://aom.cn-north-4.myhuaweicloud.com`. Write it instead of `region`
            for a site that the region's name does not lead to, and for the emulator.
        region: the region, such as `cn-north-4`, of which the addresses of AOM and IAM are made.
        enterprise_project_id: the enterprise project whose alarms these are; `"0"` is the default one. Set it where the
            account uses enterprise projects: reports and lists name the same one, or AOM's list does not show what was
            reported.
        enterprise_project_header: the header that carries `enterprise_project_id`. Older deployments of AOM read
            `x-enterprise-prject-id`, which is spelt so.
        alarm_timeout: AOM clears an alarm that is not reported again for so long, 1m to 15d. Keep it at least twice as
            long as Alertmanager's `repeat_interval` and `group_interval` together, or AOM clears alarms whose alerts
            still fire.
        reassert_after: a repeat reports an open alarm again if AOM's last acceptance is older; 0s: every repeat does.
            Keep it below half of `alarm_timeout`. A shorter one restores alarms sooner that somebody has cleared in
            AOM, for more requests.
        clear_by: how a clear finds its alarm in AOM: `lookup` asks AOM's list for AOM's id, `id` sends the bridge's
            own. Use `id` only where AOM is known to keep the ids that reporters supply.
        lookup_wait: how long AOM's list may lag behind a report; until then an alarm that the list does not show is
            looked up again. Raise it if clears take place before AOM lists the alarm.
        rate_limit: requests per second to AOM and its lists, at least 0.1. Lower it if AOM answers 429, raise it if a
            storm drains too slowly and AOM allows more.
        audit: how often AOM's own list is compared with the ledger; 0s: never, which saves the requests and leaves what
            was cleared in the console unnoticed.
        audit_adopt: whether alarms that AOM holds and the ledger does not know are taken over if they fire, and cleared
            if they do not. Set it to true only after the ledger was lost, and take it out again afterwards: it would
            take over the alarms of another bridge that uses the same source.
        cleared_elsewhere: what is done about an open alarm that AOM no longer holds: `report` reports it again while
            its alert fires, `accept` leaves it cleared. Choose `accept` where people clear alarms in the console on
            purpose.
        ca_file: a file of CA certificates in PEM form that AOM's and IAM's certificates are checked with, instead of
            the system's. For a proxy that breaks TLS open, or a private cloud.
        proxy_url: the HTTP proxy for requests to AOM and IAM, such as `http://proxy.example:3128`. It may contain a
            user and a password.
    """

    project_id: str
    auth: AuthSettings
    endpoint: str = ""
    region: str = ""
    enterprise_project_id: str = "0"
    enterprise_project_header: Literal["enterprise-project-id", "x-enterprise-prject-id"] = "enterprise-project-id"
    alarm_timeout: DurationField = DEFAULT_ALARM_TIMEOUT
    reassert_after: DurationField = 30 * MINUTE
    clear_by: Literal["lookup", "id"] = "lookup"
    lookup_wait: DurationField = 2 * MINUTE
    rate_limit: float = 20
    audit: DurationField = 10 * MINUTE
    audit_adopt: bool = False
    cleared_elsewhere: Literal["report", "accept"] = "report"
    ca_file: Path | None = None
    proxy_url: SecretField | None = None  # an address of a proxy may contain a password

    def problems(self) -> Problems:
        """Return what is wrong with the section: pairs of the key and the sentence."""
        problems: Problems = []
        problems += _project_problems(self.project_id)
        if not self.endpoint and not self.region:
            problems.append(("", "neither endpoint nor region is set. Fix: set one, such as region: cn-north-4."))
        problems += _url_problems("endpoint", self.endpoint)
        mistake = regions.mistake(self.region)
        if mistake:
            problems.append(("region", mistake))
        if self.proxy_url is not None and _url_problems("", self.proxy_url.reveal()):
            problems.append(("proxy_url", "it is not a web address. Fix: such as http://proxy.example:3128."))
        if not MIN_TIMEOUT <= self.alarm_timeout <= MAX_TIMEOUT:
            problems.append(("alarm_timeout", "AOM takes 1m to 15d. Fix: a duration between, such as 5d."))
        if 0 < self.audit < SECOND:
            problems.append(("audit", "it must be at least 1s. Fix: a longer duration, or 0s for never."))
        if self.rate_limit < _MIN_RATE:
            problems.append(("rate_limit", "it must be at least 0.1. Fix: requests per second, such as 20."))
        return problems + self._iam_problems()

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
        """Return which file does not exist: pairs of the key and the sentence."""
        missing = missing_files(ca_file=self.ca_file)
        if self.ca_file is not None and not missing:
            missing += [("ca_file", text) for text in _ca_problems(self.ca_file)]
        return missing

    def doubts(self) -> Problems:
        """Return what can be right and seldom is: pairs of the key and the sentence."""
        iam = self.auth.password.iam_endpoint if self.auth.password else ""
        addresses = {"endpoint": self.endpoint, "auth.password.iam_endpoint": iam}
        text = "http:// shows credentials and alarms to everybody on the way. Fix: https://, and ca_file for an own CA."
        doubts = [(key, text) for key, url in addresses.items() if _is_clear(url)]
        if self.enterprise_project_id == "default":
            doubts.append(("enterprise_project_id", 'default is a name, and its id is 0. Fix: write "0".'))
        if self.reassert_after * 2 > self.alarm_timeout:
            doubts.append(("reassert_after", reassert_doubt(self.alarm_timeout)))
        return doubts + self._region_doubts()

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
    def identity(self) -> tuple[str, str, str]:
        """Address, project and enterprise project: a target with the same identity finds and clears the same alarms."""
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


def _ca_problems(file: Path) -> list[str]:
    """Return what is wrong with a file of certificates that can be read."""
    try:
        ssl.create_default_context(cafile=str(file))
    except (OSError, ValueError):
        return [f"{file}: it holds no certificate. Fix: the CA's certificate in PEM form."]
    return []


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
    parsed = URL(url)
    base = str(parsed.with_path(_API_PATH.sub("", parsed.path.rstrip("/"))).with_query(None).with_fragment(None))
    if base.rstrip("/") != url.rstrip("/") and (parsed.query or parsed.fragment or _API_PATH.search(parsed.path)):
        text = "it ends in a path of the API, which the bridge adds itself"
        return [(key, f"{text}. Fix: write {base.rstrip('/')}.")]
    return []


def _is_web_address(text: str) -> bool:
    try:
        url = URL(text)
        host, port = url.host or "", url.port
        host.encode("idna")
    except ValueError:  # UnicodeError is a ValueError
        return False
    return url.scheme in ("http", "https") and bool(host) and port is not None and " " not in text


def _is_clear(url: str) -> bool:
    """Say whether an address leads off this machine without TLS."""
    parsed = URL(url) if _is_web_address(url) else URL()
    host = str(parsed.host)
    return parsed.scheme == "http" and host not in ("localhost", "::1") and not host.startswith("127.")
