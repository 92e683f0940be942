"""Refuses addresses with parameters that the description of the interface does not name.

In: a handler and the names that it knows. Out: a handler that answers others with 400. What parameters mean is read
elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection

from aiohttp import web
from aiohttp.typedefs import Handler

from bridge.typed_yaml.problems import suggest
from bridge.web.responses import failure


def refusing_unknown(known: Collection[str], handle: Handler) -> Handler:
    """Return a handler that refuses an address with a parameter that is not known.

    A misspelt filter would show everything.
    """

    async def checked(request: web.Request) -> web.StreamResponse:
        for name in request.query:
            if name not in known:
                text = f"no parameter is called {name[:40]!r}"
                return failure(f"{text}. Fix: {suggest(name[:40], known)}", 400)
        return await handle(request)

    return checked
