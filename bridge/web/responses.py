"""JSON responses of the API, and the request key for the caller's identity.

The responses of ``/api/v1`` have the form of Prometheus's API: ``{"status": "success", "data": …}`` or
``{"status": "error", "error": …}``.
"""

from __future__ import annotations

import msgspec
from aiohttp import web

MAY_CHANGE = web.RequestKey("may_change", bool)
"""Whether the caller may change alarms."""

WHO = web.RequestKey("who", str)
"""The caller, for the log of changes: a user, the name of a token or certificate, or ``anybody``."""


def answer(data: object, **more: object) -> web.Response:
    """Return a success with its data; ``more`` stands beside them."""
    body = msgspec.json.encode({"status": "success", "data": data, **more})
    return web.Response(body=body, content_type="application/json")


class Failure(web.Response):
    """An error that one sentence tells; a browser gets it as a page.

    Args:
        sentence: what is wrong, and the fix.
        status: the HTTP status.
        is_json: whether a program gets it as the API's JSON, or as text.
    """

    def __init__(self, sentence: str, status: int, *, is_json: bool = True) -> None:
        body = msgspec.json.encode({"status": "error", "error": sentence}) if is_json else f"{sentence}\n".encode()
        super().__init__(body=body, status=status, content_type="application/json" if is_json else "text/plain")
        self.sentence = sentence


def failure(text: str, status: int) -> web.Response:
    """Return an error with its sentence, as JSON."""
    return Failure(text, status)
