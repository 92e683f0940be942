"""What all answers share: one plain sentence for each error, and the security headers for browsers.

In: a handler's answer, or the exception that it raised. Out: the answer that is sent. Label values are untrusted: no
page runs a script, loads anything from another site, or can be shown in a frame.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import HttpVersion10, HttpVersion11, web
from aiohttp.http_exceptions import ContentEncodingError, HttpProcessingError
from aiohttp.typedefs import Handler, Middleware
from multidict import CIMultiDict

from bridge.log import logger
from bridge.rate_limit import PeerRateLimiter
from bridge.web.responses import Failure

SAFE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "deny",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers send a form of our own with Origin: null
    "Cache-Control": "no-store",
}

_log = logger("web")


ErrorPage = Callable[[web.Request, str, int], web.Response]
"""Makes the page of an error from the request, a sentence and the status."""


Signal = Callable[[web.Request, web.StreamResponse], Awaitable[None]]


def adding_headers(headers: Callable[[], CIMultiDict[str]]) -> Signal:
    """Return what adds the headers to an answer just before it is sent, also to one that streams.

    Args:
        headers: returns the headers of every answer; called for each request.
    """

    async def add(_request: web.Request, response: web.StreamResponse) -> None:
        response.headers.merge(headers())  # headers that the handler has set are not replaced

    return add


def answering(log_limiter: PeerRateLimiter, error_page: ErrorPage) -> Middleware:
    """Return the middleware that turns errors into answers.

    Args:
        log_limiter: limits the log lines about each peer.
        error_page: makes the pages of errors, for browsers.
    """

    @web.middleware
    async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await _answer(request, handler, log_limiter)
        if isinstance(response, Failure) and _wants_page(request):
            response = _as_page(request, response, error_page)
        return response

    return around


async def _answer(request: web.Request, handler: Handler, log_limiter: PeerRateLimiter) -> web.StreamResponse:
    """Answer every error with one plain sentence that says what is wrong and where."""
    if request.version not in (HttpVersion10, HttpVersion11):
        response = web.Response(status=505, text="HTTP version not supported; use HTTP/1.1\n")
        response.force_close()
        return response
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as error:
        _warn_of_stray(request, 405, log_limiter)
        allowed = ", ".join(sorted(error.allowed_methods))
        text = f"{request.method} is not allowed on {request.path[:200]}; allowed: {allowed}"
        if request.method == "POST":
            text += "; Alertmanager posts to /webhook"
        response = _sentence(request, text, 405)
        response.headers["Allow"] = allowed
        return response
    except web.HTTPNotFound:
        _warn_of_stray(request, 404, log_limiter)
        return _sentence(request, f"not found: {request.path[:200]}; Alertmanager posts to /webhook", 404)
    except web.HTTPException as error:
        return web.Response(status=error.status, text=f"{error.reason}\n")
    except Exception:  # noqa: BLE001 - any error of a handler: the client gets a sentence, the log the traceback
        _log.exception("request failed", method=request.method, path=request.path[:200])
        return _sentence(request, "internal error; see the bridge's log", 500)


def _sentence(request: web.Request, text: str, status: int) -> web.Response:
    """Return an error as text, or below ``/api/`` as the API's JSON."""
    return Failure(text, status, is_json=request.path.startswith("/api/"))


def _wants_page(request: web.Request) -> bool:
    """Return whether a browser shows the answer: programs do not name HTML among what they accept."""
    return "text/html" in request.headers.get("Accept", "") and not request.path.startswith("/api/")


def _as_page(request: web.Request, failed: Failure, error_page: ErrorPage) -> web.Response:
    """Return an error as a page, with the headers of its answer."""
    page = error_page(request, failed.sentence, failed.status)
    for name, value in failed.headers.items():
        if not name.lower().startswith("content-"):
            page.headers.add(name, value)
    if failed.keep_alive is False:
        page.force_close()
    return page


class ServerLog:
    """The logger that aiohttp writes its errors about connections to.

    A client's mistake is one line without the bytes that it sent, which may hold a secret. An error of the bridge is
    logged with its traceback.

    Args:
        log_limiter: limits the log lines about each peer.
    """

    def __init__(self, log_limiter: PeerRateLimiter) -> None:
        self._log_limiter = log_limiter

    def exception(self, text: str, *args: object, exc_info: BaseException | None = None) -> None:
        """Log the error that ended a connection."""
        peer = str(args[0]) if args else ""
        if not isinstance(exc_info, HttpProcessingError | web.RequestPayloadError):
            _log.error("error while serving a connection", peer=peer, text=text, exc_info=exc_info)
        elif isinstance(exc_info, ContentEncodingError) and self._log_limiter.take(peer):
            _log.warning("Content-Encoding not supported. Fix: send the body uncompressed or with gzip", peer=peer)
        elif self._log_limiter.take(peer):
            _log.warning("malformed HTTP request", peer=peer, problem=type(exc_info).__name__)

    def debug(self, text: str, *args: object, **more: object) -> None:
        """Ignore aiohttp's messages below errors."""

    warning = debug


def _warn_of_stray(request: web.Request, status: int, log_limiter: PeerRateLimiter) -> None:
    """Log a POST to a wrong path, as of a wrong URL in Alertmanager; browsers and scanners send GET and are ignored."""
    if request.method == "POST" and log_limiter.take(request.remote or ""):
        path = request.path[:200]
        text, fix = "POST to a path that does not accept it", "let Alertmanager post to /webhook or /webhook/SOURCE"
        _log.warning(text, path=path, status=status, peer=request.remote, fix=fix)
