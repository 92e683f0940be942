"""The relay: what the bridge is compared with. It parses a webhook, maps it, forwards it at once and keeps nothing.

With ``--bare`` it only reads the body and answers 200: the least that any receiver of webhooks does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
from datetime import datetime
from typing import Any

import aiohttp
from aiohttp import web

_CONSTANTS = {
    "event_name": "alert",
    "event_severity": "Major",
    "event_type": "alarm",
    "resource_provider": "Prometheus",
    "resource_type": "alert",
    "resource_id": "prometheus",
}
_TIMEOUT = 5 * 24 * 3600 * 1000
_BACKLOG = 4_096
_MAX_BODY_BYTES = 64 << 20


class Relay:
    """Forwards each webhook in one request; its sender gets the answer that AOM gave.

    Args:
        url: where events are pushed to.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._headers = {"Content-Type": "application/json", "X-Auth-Token": "token", "enterprise-project-id": "0"}

    async def session(self, _app: web.Application) -> Any:
        """Hold the client's session while the server runs."""
        async with aiohttp.ClientSession() as self._session:
            yield

    async def receive(self, request: web.Request) -> web.Response:
        """Take one webhook."""
        payload = await request.json()
        body = json.dumps({"events": [_event(alert) for alert in payload["alerts"]]}).encode()
        async with self._session.put(self._url, data=body, headers=self._headers) as response:
            await response.read()
        return web.Response(status=200 if response.ok else 502)


def _event(alert: dict[str, Any]) -> dict[str, Any]:
    return {
        "starts_at": int(datetime.fromisoformat(alert["startsAt"]).timestamp() * 1000),
        "metadata": {**_CONSTANTS, **alert["labels"]},
        "annotations": alert["annotations"],
        "timeout": _TIMEOUT,
    }


async def _bare(request: web.Request) -> web.Response:
    await request.read()
    return web.Response()


async def _serve(sink: str | None) -> None:
    application = web.Application(client_max_size=_MAX_BODY_BYTES)
    if sink is None:
        application.add_routes([web.post("/webhook", _bare)])
    else:
        relay = Relay(f"{sink}/v2/project/push/events")
        application.cleanup_ctx.append(relay.session)
        application.add_routes([web.post("/webhook", relay.receive)])
    runner = web.AppRunner(application, access_log=None, keepalive_timeout=75)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=_BACKLOG).start()
    sys.stdout.write(f"listening {runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--sink", help="where AOM is")
    what.add_argument("--bare", action="store_true", help="only answer 200")
    arguments = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(_serve(arguments.sink))


if __name__ == "__main__":
    _main()
