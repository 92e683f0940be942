"""Asks one peer of Alertmanager over HTTP: its status, the whole list of its alerts, its status again.

In: an address. Out: a `PeerAnswer`, or `PeerError` with the reason and the fix. An answer counts only if the peer is
the same process before and after the list, and is no longer gathering its cluster's state. Only reads are sent. Facts:
Alertmanager answers a failing request with 500 or 503, never with a part of the list; a peer that has just started
serves its empty list with 200.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Collection, Container, Mapping
from typing import TypeVar

import aiohttp
import msgspec
from msgspec.structs import replace
from yarl import URL

from bridge.aom.words import request_failure
from bridge.clock import Clock, Millis, parse_http_date
from bridge.errors import BridgeError, of_file
from bridge.file_watch import FileState, stat_files
from bridge.notification import Labels
from bridge.reconcile.answers import (
    Fingerprints,
    ListedAlert,
    PeerStatus,
    read_alerts,
    read_first_alerts,
    read_group_labels,
    read_muting,
    read_status,
)
from bridge.reconcile.coverage import PeerAnswer
from bridge.reconcile.settings import AlertmanagerSettings, TlsConfigSettings

T = TypeVar("T")

MAX_BODY_BYTES = 1 << 30
"""The most bytes of one answer, decompressed: a million alerts."""

_FIRST_BYTES = 2 << 20
"""Of a list of which only the first alerts are read."""

_CONNECT_SECONDS = 5.0
_STATUS_SECONDS = 10.0
_LIST_SECONDS = 60.0
"""For one request: a list of 100,000 alerts took 10 s where inhibition rules are many."""

_MAX_EXCERPT_BYTES = 200
_NOTHING: Labels = {}


class PeerError(BridgeError):
    """A peer whose answer does not count; the text says why, and the fix."""


class Address(msgspec.Struct, frozen=True):
    """Where a peer is asked: its base URL; for one of several addresses of a name, that name for TLS and for Host."""

    url: str
    host: str = ""

    @property
    def server_name(self) -> str | None:
        """The name that its certificate must be for; None: the host of the URL."""
        return (URL(f"//{self.host}").host if self.host else None) or None


class Wanted(msgspec.Struct, frozen=True):
    """What of a list is used: of alerts in ``known`` neither labels nor annotations, which are most of its memory.

    ``muting_of``: the receivers of whose groups the peer is asked which alerts are muted by time; none: not asked.
    """

    known: Container[str] = ()
    muting_of: frozenset[str] = frozenset()


class PeerClient:
    """Asks the peers of one source.

    Args:
        settings: how they are asked.
        clock: the time.
    """

    def __init__(self, settings: AlertmanagerSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._fingerprints = Fingerprints()
        self._tls = _Tls(settings.tls_config)
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the HTTP session; connections are made when they are needed."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit_per_host=1),
            timeout=aiohttp.ClientTimeout(total=_LIST_SECONDS, sock_connect=_CONNECT_SECONDS),
            headers={name: secret.reveal() for name, secret in self._settings.headers.items()},
        )

    async def stop(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()

    def forget_all_but(self, fingerprints: Collection[str]) -> None:
        """Forget the label sets of other alerts."""
        self._fingerprints.forget_all_but(fingerprints)

    async def ask(self, address: Address, wanted: Wanted) -> PeerAnswer:
        """Return a peer's valid answer.

        Raises:
            PeerError: it gave none.
        """
        is_mimir = self._settings.kind == "mimir"
        asked = self._ask_mimir(address, wanted) if is_mimir else self._ask(address, wanted)
        return await _explained(asked, address.url)

    async def status(self, address: Address) -> PeerStatus:
        """Return what a peer says of itself.

        Raises:
            PeerError: it gave no valid answer.
        """
        status, _ = await _explained(self._status(address), address.url)
        return status

    async def first_alerts(self, address: Address, number: int) -> list[ListedAlert]:
        """Return the first alerts that a peer lists; the rest of its answer is not read.

        Raises:
            PeerError: it gave no valid answer.
        """
        return await _explained(self._first_alerts(address, number), address.url)

    async def group_labels(self, address: Address, fingerprints: Collection[str]) -> Mapping[tuple[str, str], Labels]:
        """Return the group labels of alerts, by receiver and fingerprint; of none if the peer does not answer."""
        try:
            body, _ = await self._get(address, "alerts/groups")
            return await asyncio.to_thread(read_group_labels, bytes(body), fingerprints)
        except (BridgeError, ValueError, aiohttp.ClientError, OSError, TimeoutError):
            return {}

    async def _ask(self, address: Address, wanted: Wanted) -> PeerAnswer:
        before, _ = await self._status(address)
        if before.state == "settling":
            raise PeerError("it was started lately, and is still gathering its cluster's state")
        alerts = await self._alerts(address, wanted.known)
        muting = await self._muting(address, wanted.muting_of) if wanted.muting_of else {}
        status, date = await self._status(address)
        if (status.name, status.started_at, status.state) != (before.name, before.started_at, before.state):
            raise PeerError("another process answered during the round: it was restarted, or several answer in turn")
        return PeerAnswer(address.url, status, self._clock(), date, alerts, muting)

    async def _ask_mimir(self, address: Address, wanted: Wanted) -> PeerAnswer:
        alerts = await self._alerts(address, wanted.known)
        return PeerAnswer(address.url, None, self._clock(), None, alerts)

    async def _status(self, address: Address) -> tuple[PeerStatus, Millis | None]:
        async with asyncio.timeout(_STATUS_SECONDS):
            body, date = await self._get(address, "status")
        return read_status(bytes(body)), date

    async def _alerts(self, address: Address, known: Container[str]) -> Mapping[str, ListedAlert]:
        body, _ = await self._get(address, "alerts")
        return await asyncio.to_thread(self._read, body, known)

    async def _first_alerts(self, address: Address, number: int) -> list[ListedAlert]:
        body, _ = await self._get(address, "alerts", first=_FIRST_BYTES)
        return await asyncio.to_thread(read_first_alerts, body, number, is_whole=len(body) <= _FIRST_BYTES)

    async def _muting(self, address: Address, receivers: frozenset[str]) -> Mapping[str, bool]:
        body, _ = await self._get(address, "alerts/groups")
        return await asyncio.to_thread(read_muting, bytes(body), receivers)

    def _read(self, body: bytearray, known: Container[str]) -> Mapping[str, ListedAlert]:
        alerts: dict[str, ListedAlert] = {}
        for piece in read_alerts(body, self._fingerprints):
            for alert in piece:
                is_known = alert.fingerprint in known
                kept = replace(alert, labels=_NOTHING, annotations=_NOTHING) if is_known else alert
                alerts[alert.fingerprint] = kept
        return alerts

    async def _get(self, address: Address, path: str, first: int | None = None) -> tuple[bytearray, Millis | None]:
        """Return an answer and its date; ``first``: stop after more than this number of bytes."""
        if self._session is None:
            raise RuntimeError("not started")
        async with self._session.get(
            f"{address.url.rstrip('/')}/api/v2/{path}",
            headers=self._headers(address),
            ssl=self._tls.context(),
            server_hostname=self._settings.tls_config.server_name or address.server_name,
            allow_redirects=False,
        ) as response:
            if response.status != 200:
                begin = await response.content.read(_MAX_EXCERPT_BYTES)
                raise PeerError(_of_status(response.status, begin))
            body = bytearray()
            async for part in response.content.iter_any():
                body += part
                if first is not None and len(body) > first:
                    break
                if len(body) > MAX_BODY_BYTES:
                    raise PeerError(f"its answer is longer than {MAX_BODY_BYTES >> 20} MiB")
            return body, parse_http_date(response.headers.get("Date"))

    def _headers(self, address: Address) -> dict[str, str]:
        headers = {"Host": address.host} if address.host else {}
        basic, authorization = self._settings.basic_auth, self._settings.authorization
        if basic is not None:
            headers["Authorization"] = aiohttp.encode_basic_auth(basic.username, basic.secret().reveal(), "utf-8")
        elif authorization is not None:
            headers["Authorization"] = f"{authorization.type} {authorization.secret().reveal()}"
        return headers


async def _explained(answer: Awaitable[T], url: str) -> T:
    """Wait for an answer; whatever fails is raised as `PeerError`."""
    try:
        return await answer
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise PeerError(request_failure(error, is_plain=url.startswith("http://"))) from None
    except (BridgeError, ValueError) as error:  # ValueError: a file with credentials or certificates
        raise PeerError(str(error)) from None


class _Tls:
    """The TLS context; its files are read again when they have changed.

    Args:
        settings: `tls_config`.
    """

    def __init__(self, settings: TlsConfigSettings) -> None:
        self._settings = settings
        files = (settings.ca_file, settings.cert_file, settings.key_file)
        self._files = [str(file) for file in files if file is not None]
        self._state: FileState = ()
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """Return the context; raises ValueError with the fix if a file cannot be used."""
        state = stat_files(self._files)
        if self._context is None or state != self._state:
            self._context, self._state = self._made(), state
        return self._context

    def _made(self) -> ssl.SSLContext:
        settings = self._settings
        file = settings.ca_file
        try:
            context = ssl.create_default_context(cafile=None if file is None else str(file))
            if settings.cert_file is not None and settings.key_file is not None:
                file = settings.cert_file
                context.load_cert_chain(str(settings.cert_file), str(settings.key_file))
        except ssl.SSLError:
            raise ValueError(f"tls_config: {file} cannot be used. Fix: PEM, and the key of the certificate.") from None
        except OSError as error:
            raise ValueError(f"tls_config: {file}: {of_file(error)}") from None
        return context


def _of_status(status: int, begin: bytes) -> str:
    if status in (401, 403):
        return f"it refuses the credentials ({status}). Fix: correct basic_auth or authorization."
    if status == 404:
        return "it has no API v2 at this address (404). Fix: the base URL, with the path of --web.route-prefix."
    if 300 <= status < 400:
        return f"it sends the bridge elsewhere ({status}). Fix: the address of the peer itself."
    words = " ".join(begin.decode(errors="replace").split())
    return f"it answered {status}: {words}" if words else f"it answered {status}"
