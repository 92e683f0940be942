"""What the demo reads of its bridge over HTTP, and the one thing that it changes there.

In: the address of a bridge that may be dead. Out: its figures, its alarms. It uses what people use: ``/api/v1``.
"""

from __future__ import annotations

from typing import Any

import aiohttp
import msgspec

_SECONDS = 5.0


class Figures(msgspec.Struct, frozen=True):
    """The path of alerts in numbers; ``sentence``: what the bridge says of the whole.

    ``received``: alerts since the bridge was started. The others count alarms; ``waiting``: for a report or a clear.
    """

    received: int
    waiting: int
    in_flight: int
    accepted: int
    rejected: int
    sentence: str


class BridgeApi:
    """Asks a bridge.

    Args:
        session: for the requests.
        url: its address.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def figures(self) -> Figures | None:
        """Return the bridge's figures, up to two seconds old; None if it does not answer."""
        try:
            read = await self._get("status")
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None
        count = {stage["name"]: stage["count"] for stage in read["stages"]}
        return Figures(
            received=count["received"],
            waiting=count["waiting"] + count["clear_waiting"],
            in_flight=count["in_flight"],
            accepted=count["accepted"],
            rejected=count["rejected"],
            sentence=read["sentence"],
        )

    async def alarms(self, **query: str) -> list[dict[str, Any]]:
        """Return the alarms for which a query asks, the newest first."""
        alarms: list[dict[str, Any]] = await self._get("alarms", query)
        return alarms

    async def retry_rejected(self) -> int:
        """Retry every rejected alarm, and return their number."""
        async with self._session.post(f"{self._url}/api/v1/alarms/retry", raise_for_status=True) as response:
            return sum(result["done"] for result in (await response.json())["data"])

    async def _get(self, path: str, query: dict[str, str] | None = None) -> Any:  # noqa: ANN401 - any JSON value
        limit = aiohttp.ClientTimeout(total=_SECONDS)
        url = f"{self._url}/api/v1/{path}"
        async with self._session.get(url, params=query, timeout=limit, raise_for_status=True) as response:
            return (await response.json())["data"]
