"""Who sent a request that changes alarms, for their history.

In: a request that the guard has let pass. Out: a `By`.
"""

from __future__ import annotations

from typing import Literal

from aiohttp import web

from bridge.ledger import By
from bridge.web.responses import WHO


def caller(request: web.Request, way: Literal["api", "page"]) -> By:
    """Return the caller's name, with the way and the address; behind a proxy it is the proxy's."""
    return By(request[WHO], f"{way} {request.remote or ''}".strip())
