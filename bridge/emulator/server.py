"""The emulator as a whole: its routes, its start and stop, its state and its orders.

In: `Options` and a clock. Out: an HTTP server; by default it listens on loopback only, because it
asks for no credentials. Nothing is kept on disk. Beside the emulated
API (`api`) it serves:

- `GET /` the page with its stylesheet and icon, `GET /emulator/healthy`, `GET /emulator/state[?limit=N]`;
- `POST`, `GET` and `DELETE /emulator/faults`, `POST /emulator/reset`;
- `POST` and `DELETE /emulator/alarms/{project_id}`: alarms of others put in, alarms cleared by hand.

Rules: a token of up to 40,960 characters [cn] must pass in a request's headers; a body of up to 12 MB
passes [gw], so aiohttp's own limits are above both and it is the emulated gateway that refuses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from aiohttp import web

from bridge.emulator.access import Access
from bridge.emulator.alarms import Alarms
from bridge.emulator.answers import json_response
from bridge.emulator.api import Api, Memory
from bridge.emulator.by_hand import ByHand
from bridge.emulator.faults import Faults, read_faults
from bridge.emulator.journal import Journal
from bridge.emulator.options import Options
from bridge.emulator.page import REFRESH_S, page
from bridge.emulator.rows import Row
from bridge.emulator.validation import read_json
from bridge.emulator.visitors import visitors
from bridge.html import asset, asset_names

_MAX_HEADER_BYTES: Final = 65_536
_MAX_READ_BYTES: Final = 64 * 1024 * 1024
_SHUTDOWN_S: Final = 0.5
_BACKLOG: Final = 4_096

_Item = TypeVar("_Item")


def system_now() -> int:
    """Return the system's time in epoch milliseconds UTC."""
    return time.time_ns() // 1_000_000


class Emulator:
    """One emulated AOM and IAM; `now` returns epoch milliseconds UTC.

    It may be stopped and started again: it comes back at the same address with the same alarms, as a
    service does after an outage.
    """

    def __init__(self, options: Options, now: Callable[[], int] = system_now) -> None:
        self._options = options
        self._now = now
        self._port = options.port
        self._runner: web.AppRunner | None = None
        self._memory = _memory(options)
        self._api = Api(options, now, self._memory)
        self._by_hand = ByHand(now, self._memory)

    @property
    def url(self) -> str:
        """The address to talk to, `http://HOST:PORT`; with port 0 it is known once started."""
        host = f"[{self._options.host}]" if ":" in self._options.host else self._options.host
        return f"http://{host}:{self._port}"

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address is taken or not ours.
        """
        runner = web.AppRunner(
            self._application(),
            access_log=None,
            max_field_size=_MAX_HEADER_BYTES,
            max_line_size=_MAX_HEADER_BYTES,
            shutdown_timeout=_SHUTDOWN_S,
        )
        await runner.setup()
        self._runner = runner
        try:
            await web.TCPSite(runner, self._options.host, self._port, backlog=_BACKLOG).start()
        except OSError:
            await self.stop()
            raise
        self._port = runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening and close every connection; faults are removed, alarms are kept."""
        self._memory.faults.remove_all()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def reset(self) -> None:
        """Forget alarms, tokens, faults, violations, counts and requests."""
        self._memory.faults.remove_all()
        self._memory.access = Access(self._options)
        self._memory.alarms = Alarms(self._options)
        self._memory.journal = Journal()

    def use_keys(self, access_key: str, secret_key: str, security_token: str = "") -> None:
        """Accept only signatures of this access key from now on."""
        self._memory.access.use_keys(access_key, secret_key, security_token)

    def snapshot(self, limit: int | None = None) -> dict[str, Any]:
        """Return the answer of `GET /emulator/state`; with `limit`, only the newest items of each list."""
        self._memory.alarms.expire(self._now())
        journal = self._memory.journal
        return {
            "options": self._options.switches(),
            "active": [_state(row) for row in _newest(self._memory.alarms.active.values(), limit)],
            "history": [_state(row) for row in _newest(self._memory.alarms.history, limit)],
            "events": [_state(row) for row in _newest(self._memory.alarms.events, limit)],
            "counts": self._counts(),
            "violations": _newest(journal.violations, limit),
            "violations_total": journal.violations_total,
            "requests": _newest(journal.requests(), limit),
        }

    def _counts(self) -> dict[str, int]:
        noted = self._memory.journal.counts
        names = (
            "report",
            "clear",
            "list",
            "statistic",
            "token",
            "unknown",
            "events_reported",
            "events_cleared",
            "unknown_ids",
        )
        return {
            **{name: noted[name] for name in names},
            "active": len(self._memory.alarms.active),
            "cleared": len(self._memory.alarms.history),
            "by_timeout": self._memory.alarms.by_timeout,
        }

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=_MAX_READ_BYTES, middlewares=[visitors(self._options.host)])
        route = application.router.add_route
        route("GET", "/", self._show_page)
        for name in asset_names():
            route("GET", f"/{name}", self._asset)
        route("GET", "/emulator/healthy", self._healthy)
        route("GET", "/emulator/state", self._state)
        route("POST", "/emulator/reset", self._reset)
        route("POST", "/emulator/faults", self._arm)
        route("GET", "/emulator/faults", self._show_faults)
        route("DELETE", "/emulator/faults", self._disarm)
        route("POST", "/emulator/alarms/{project_id}", self._by_hand.put_in)
        route("DELETE", "/emulator/alarms/{project_id}", self._by_hand.clear)
        route("POST", "/v3/auth/tokens", self._api.token)
        for method in ("PUT", "POST"):
            route(method, "/v2/{project_id}/push/events", self._api.push)
        route("POST", "/v2/{project_id}/events", self._api.events)
        route("POST", "/v2/{project_id}/events/statistic", self._api.statistic)
        route("*", "/{anything:.*}", self._api.unknown)
        return application

    async def _show_page(self, _request: web.Request) -> web.Response:
        html = page(self.snapshot(), self._memory.faults.shown(), self._now())
        headers = {"Cache-Control": "no-store", "Refresh": str(REFRESH_S)}
        return web.Response(text=html, content_type="text/html", headers=headers)

    async def _asset(self, request: web.Request) -> web.Response:
        body, content_type = asset(request.path[1:])
        return web.Response(body=body, content_type=content_type)

    async def _healthy(self, _request: web.Request) -> web.Response:
        return web.Response(text="healthy\n")

    async def _state(self, request: web.Request) -> web.Response:
        text = request.query.get("limit")
        if text is None:
            return json_response(self.snapshot())
        if not (text.isascii() and text.isdigit()) or len(text) > 9:
            return json_response({"error": "limit must be a whole number of at least 0."}, 400)
        return json_response(self.snapshot(int(text)))

    async def _reset(self, _request: web.Request) -> web.Response:
        self.reset()
        return web.Response(status=204)

    async def _arm(self, request: web.Request) -> web.Response:
        try:
            faults = read_faults(read_json(await request.read()))
        except ValueError as error:
            return json_response({"error": str(error)}, 400)
        if any(fault.kind == "expire_tokens" for fault in faults):
            self._memory.access.expire_all()
        self._memory.faults.arm([fault for fault in faults if fault.kind != "expire_tokens"])
        return json_response(self._memory.faults.shown())

    async def _show_faults(self, _request: web.Request) -> web.Response:
        return json_response(self._memory.faults.shown())

    async def _disarm(self, _request: web.Request) -> web.Response:
        self._memory.faults.remove_all()
        return web.Response(status=204)


def _memory(options: Options) -> Memory:
    return Memory(access=Access(options), alarms=Alarms(options), faults=Faults(), journal=Journal())


def _newest(items: Iterable[_Item], limit: int | None) -> list[_Item]:
    listed = list(items)
    return listed if limit is None else listed[max(len(listed) - limit, 0) :]


def _state(row: Row) -> dict[str, object]:
    return {**row.listed(), "project_id": row.project, "supplied_id": row.supplied_id}
