"""Asks every peer of a source once, at the same time.

In: the addresses of the settings, or a name whose every address is a peer. Out: a `Round`. A peer that does not answer
is asked once more, since a single failure would hold back every clear. Nothing is decided here.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Collection, Mapping

from msgspec.structs import replace
from yarl import URL

from bridge.clock import SECOND, Clock, Millis, format_duration
from bridge.notification import Labels
from bridge.reconcile.answers import ListedAlert
from bridge.reconcile.coverage import PeerAnswer, Round
from bridge.reconcile.peer import Address, PeerClient, PeerError, Wanted
from bridge.reconcile.settings import AlertmanagerSettings

_QUICK_SECONDS = 1.0
"""A failure that comes later than this is not tried again: the other peers' answers would wait for it."""


MAX_ANSWER: Millis = 80 * SECOND
"""An answer that takes longer does not count: the limits of its requests together."""


class Peers:
    """The peers of one source.

    Args:
        settings: where they are, and how they are asked.
        clock: the time.
    """

    def __init__(self, settings: AlertmanagerSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._client = PeerClient(settings, clock)

    async def start(self) -> None:
        """Open the HTTP session."""
        await self._client.start()

    async def stop(self) -> None:
        """Close it."""
        await self._client.stop()

    async def ask(self, wanted: Wanted) -> Round:
        """Ask every peer, and return what they answered."""
        began_at = self._clock()
        try:
            addresses = await self._addresses()
        except OSError as error:
            failures = {self._settings.dns: f"the name cannot be resolved ({error.strerror or error})"}
            return Round(began_at, self._clock(), (), failures, is_listed=False)
        results = await asyncio.gather(*(self._answer(address, wanted) for address in addresses))
        answers = tuple(result for result in results if isinstance(result, PeerAnswer))
        failures = {
            address.url: result for address, result in zip(addresses, results, strict=True) if isinstance(result, str)
        }
        return Round(began_at, self._clock(), answers, failures)

    async def first_alerts(self, number: int) -> list[ListedAlert]:
        """Return the first alerts that a peer lists: the first peer that answers.

        Raises:
            PeerError: none does; the text is about the last one.
        """
        error = PeerError(f"{self._settings.dns}: the name cannot be resolved. Fix: correct dns.")
        try:
            addresses = await self._addresses()
        except OSError:
            addresses = []
        for address in addresses:
            try:
                return await self._client.first_alerts(address, number)
            except PeerError as failed:
                error = PeerError(f"{address.url}: {failed}")
        raise error

    async def group_labels(self, latest: Round, alerts: Mapping[str, ListedAlert]) -> Mapping[tuple[str, str], Labels]:
        """Return the group labels of alerts as the peers of a round show them, by receiver and fingerprint."""
        labels: dict[tuple[str, str], Labels] = {}
        for answer in latest.answers:
            if answer.status is not None:
                labels.update(await self._client.group_labels(self._address(answer.url), alerts.keys()))
        return labels

    def forget_all_but(self, fingerprints: Collection[str]) -> None:
        """Forget what is kept of other alerts."""
        self._client.forget_all_but(fingerprints)

    async def _answer(self, address: Address, wanted: Wanted) -> PeerAnswer | str:
        began = time.monotonic()
        try:
            return await self._timed(address, wanted)
        except PeerError as error:
            if time.monotonic() - began > _QUICK_SECONDS:
                return str(error)
        try:
            return await self._timed(address, wanted)
        except PeerError as error:
            return str(error)

    async def _timed(self, address: Address, wanted: Wanted) -> PeerAnswer:
        began = time.monotonic()
        answer = await self._client.ask(address, wanted)
        took = int((time.monotonic() - began) * 1000)
        if took > MAX_ANSWER:  # this process may have stood still with the answer at its door
            raise PeerError(f"its answer took {format_duration(took)}, so it may be old")
        return replace(answer, took=took)

    async def _addresses(self) -> list[Address]:
        if self._settings.urls:
            return [Address(url) for url in self._settings.urls]
        base = self._base()
        port = base.port or 80
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(base.host, port, type=socket.SOCK_STREAM)
        hosts = sorted({str(each[4][0]) for each in found})
        return [self._address(str(base.with_host(host).with_port(port))) for host in hosts]

    def _address(self, url: str) -> Address:
        return Address(url) if self._settings.urls else Address(url, self._base().authority)

    def _base(self) -> URL:
        dns = self._settings.dns
        return URL(dns if "://" in dns else f"http://{dns}")


async def ask_once(settings: AlertmanagerSettings, clock: Clock) -> Round:
    """Ask every peer of a source once, for people who look at it."""
    peers = Peers(settings, clock)
    await peers.start()
    try:
        return await peers.ask(Wanted())
    finally:
        await peers.stop()
