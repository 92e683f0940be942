"""Keeps web pages of other sites out of an emulator on loopback, where nothing asks for credentials.

In: a request. Out: its answer, or 403. A page can reach loopback through a browser on this machine: by a
name that resolves to 127.0.0.1 (DNS rebinding; the Host shows it), or from its own site (a header of the browser shows
it). An emulator on another address is asked by any name, as in a composition of containers.
"""

from __future__ import annotations

import ipaddress

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bridge.emulator.answers import json_response


def visitors(listen_host: str) -> Middleware:
    """Return the middleware in front of every handler of an emulator that listens on this host."""
    is_on_loopback = listen_host == "localhost" or _is_address(listen_host, must_be_loopback=True)

    @web.middleware
    async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
        if is_on_loopback and not _is_fixed(request.headers.get("Host", "localhost")):
            return json_response({"error": "this Host is not the emulator's. Fix: localhost or an IP address."}, 403)
        is_changing = request.method not in ("GET", "HEAD")
        if is_changing and request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return json_response({"error": "a page of another site asked for this."}, 403)
        return await handler(request)

    return around


def _is_fixed(host: str) -> bool:
    """Return whether a host, with its port if any, is one that DNS cannot control: localhost or an IP address."""
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    return name.lower() == "localhost" or _is_address(name.strip("[]"))


def _is_address(text: str, *, must_be_loopback: bool = False) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return address.is_loopback or not must_be_loopback
