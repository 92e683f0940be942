"""What all answers share: one plain sentence for each error, and the headers that keep browsers safe.

In: a handler's answer, or what it raised. Out: the answer on the wire. Label values come from anybody: no page of ours
runs a script, loads anything from elsewhere, or stands in another one's frame.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import HttpVersion10, HttpVersion11, web
from aiohttp.http_exceptions import ContentEncodingError, HttpProcessingError
from aiohttp.typedefs import Handler, Middleware
from multidict import CIMultiDict

from bridge.log import logger
from bridge.rate_limit import PeerRateLimiter
from bridge.web.responses import failure

SAFE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "deny",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_log = logger("door")


def answering(headers: Callable[[], CIMultiDict[str]], lines: PeerRateLimiter) -> Middleware:
    """Return what stands around every handler.

    Args:
        headers: gives those of every answer; it is asked each time.
        lines: how often a peer may have a line in the log.
    """

    @web.middleware
    async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await _answer(request, handler, lines)
        response.headers.merge(headers())  # what the handler has set, stays
        return response

    return around


async def _answer(request: web.Request, handler: Handler, lines: PeerRateLimiter) -> web.StreamResponse:
    """Answer every error as one plain sentence that says what and where."""
    if request.version not in (HttpVersion10, HttpVersion11):
        response = web.Response(status=505, text="HTTP/1.1 is spoken here\n")
        response.force_close()
        return response
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        _warn_of_stray(request, 405, lines)
        allowed = ", ".join(sorted(error.allowed_methods))
        text = f"{request.method} is not allowed on {request.path[:200]}; allowed: {allowed}"
        if request.method == "POST":
            text += "; Alertmanager posts to /webhook"
        response = _sentence(request, text, 405)
        response.headers["Allow"] = allowed
        return response
    except web.HTTPNotFound:
        _warn_of_stray(request, 404, lines)
        return _sentence(request, f"nothing is at {request.path[:200]}; Alertmanager posts to /webhook", 404)
    except web.HTTPException as error:
        return web.Response(status=error.status, text=f"{error.reason}\n")
    except Exception:  # noqa: BLE001 - the last line before the socket: the sender gets a sentence, the log the cause
        _log.exception("request failed", method=request.method, path=request.path[:200])
        return _sentence(request, "the bridge failed at this request; its log says why", 500)


def _sentence(request: web.Request, text: str, status: int) -> web.Response:
    """Return an error as text, or to programs as the API's envelope."""
    return failure(text, status) if request.path.startswith("/api/") else web.Response(status=status, text=text + "\n")


class ServerLog:
    """What aiohttp has to say of a connection, as its logger.

    What a sender did wrong is one line without what it sent: there may be a secret in it. What we did wrong has its
    traceback.

    Args:
        lines: how often a peer may have a line in the log.
    """

    def __init__(self, lines: PeerRateLimiter) -> None:
        self._log_limiter = lines

    def exception(self, text: str, *args: object, exc_info: BaseException | None = None) -> None:
        """Log what broke a connection."""
        peer = str(args[0]) if args else ""
        if not isinstance(exc_info, HttpProcessingError | web.RequestPayloadError):
            _log.error("the server failed at a request", peer=peer, text=text, exc_info=exc_info)
        elif isinstance(exc_info, ContentEncodingError) and self._log_limiter.take(peer):
            _log.warning("a body's Content-Encoding is not read. Fix: send it plain, or by gzip", peer=peer)
        elif self._log_limiter.take(peer):
            _log.warning("a request was no HTTP", peer=peer, problem=type(exc_info).__name__)

    def debug(self, text: str, *args: object, **more: object) -> None:
        """Leave out what is usual."""

    warning = debug


def _warn_of_stray(request: web.Request, status: int, lines: PeerRateLimiter) -> None:
    """Show a wrong address in Alertmanager's configuration; what a browser or a scanner tries is not worth a line."""
    if request.method == "POST" and lines.take(request.remote or ""):
        path = request.path[:200]
        _log.warning("a POST went to a wrong path or method", path=path, status=status, peer=request.remote)
