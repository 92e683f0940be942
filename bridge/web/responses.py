"""JSON responses of the API, and the request key for the caller's identity.

The responses of ``/api/v1`` have the form of Prometheus's API: ``{"status": "success", "data": …}`` or
``{"status": "error", "error": …}``.
"""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

WHO = web.RequestKey("who", str)
"""The caller, for the log of changes: a user, the name of a token or certificate, or ``anybody``."""


def answer(data: object) -> web.Response:
    """Return a success with its data."""
    return _json({"status": "success", "data": data}, 200)


def failure(text: str, status: int) -> web.Response:
    """Return an error with its sentence."""
    return _json({"status": "error", "error": text}, status)


def _json(value: dict[str, Any], status: int) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")
