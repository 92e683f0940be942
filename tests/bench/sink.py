"""The sink: stands for AOM, takes every push at once and counts the alarms in it.

``GET /count`` gives the counts and when the last push came (monotonic clock), ``DELETE /count`` resets them.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from bench.rawhttp import answer, serve

_TAKEN = answer(b"204 No Content")
_NONE_LISTED = answer(b"200 OK", b'{"events":[],"page_info":{"current_count":0,"previous_marker":"","next_marker":""}}')
_NOT_FOUND = answer(b"404 Not Found", b"{}")


class Sink:
    """What was taken so far."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._counts: dict[str, Any] = {"alarms": 0, "pushes": 0, "last": 0.0}

    def answer(self, method: bytes, path: bytes, body: bytes) -> bytes:
        """Answer one request."""
        if method == b"PUT" and b"/push/events" in path:
            self._counts["alarms"] += body.count(b'"starts_at"')
            self._counts["pushes"] += 1
            self._counts["last"] = time.monotonic()
            return _TAKEN
        if method == b"POST" and b"/events?" in path:
            return _NONE_LISTED
        if path == b"/count" and method in (b"GET", b"DELETE"):
            counts = json.dumps(self._counts).encode()
            if method == b"DELETE":
                self._reset()
            return answer(b"200 OK", counts)
        return _NOT_FOUND


if __name__ == "__main__":
    asyncio.run(serve(Sink().answer))
