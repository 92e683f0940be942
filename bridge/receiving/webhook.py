"""The handler of ``/webhook``: reads a notification, has it kept, and answers.

In: Alertmanager's POST. Out: 200 once every alert of it is committed, 400 if the body is not a payload, 404 for a
source that is not configured, 408 and 413 over the limits, 503 if nothing of it was stored. Never 429 and never a
redirect: Alertmanager does not retry after a 429, and treats a redirect as success. AOM is never called here.
`bridge.receiving.intake` parses, maps and keeps the notification.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Literal

from aiohttp import web

from bridge.clock import Clock
from bridge.errors import LedgerUnavailableError, PayloadError
from bridge.ledger import AbandonedError
from bridge.log import ThrottledLine, logger
from bridge.metrics import Metrics
from bridge.rate_limit import PeerRateLimiter
from bridge.receiving.disconnects import is_connected
from bridge.receiving.intake import Intake
from bridge.receiving.large_body import TooManyAlertsError
from bridge.receiving.request_body import Bodies, Body, BodyError
from bridge.receiving.settings import WebSettings

CODES = ("200", "400", "401", "403", "404", "408", "413", "500", "503")

_PATH_OF_SOURCE = "/webhook/{source}"

_log = logger("webhook")


class Webhook:
    """The handlers of ``/webhook``.

    Args:
        sources: the names allowed in ``/webhook/{source}``; the first one is the source of ``/webhook``.
        intake: keeps notifications.
        settings: the limits for bodies.
        metrics: where requests and alerts are counted.
        clock: the time.
    """

    right: Literal["webhook"] = "webhook"

    def __init__(
        self,
        sources: Sequence[str],
        intake: Intake,
        settings: WebSettings,
        *,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._sources = tuple(sources)
        self._intake = intake
        self._metrics = metrics
        self._clock = clock
        self._bodies = Bodies(settings.max_body, settings.max_body_in_flight)
        self._log_limiter = PeerRateLimiter(lambda: clock() / 1000)
        self._refused = ThrottledLine(partial(_log.error, "notification refused"))
        self._requests_by_status = cache(metrics.webhook_requests.labels)

    def reconfigure(self, sources: Sequence[str]) -> None:
        """Take other sources from the next request on."""
        self._sources = tuple(sources)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this handler."""
        return [
            web.post(path, self.receive) for path in ("/webhook", "/webhook/", _PATH_OF_SOURCE, _PATH_OF_SOURCE + "/")
        ]

    async def receive(self, request: web.Request) -> web.Response:
        """Answer one webhook and count the answer."""
        begun, status = self._clock(), 500
        try:
            response = await self._receive(request)
            status = response.status
        finally:
            self._requests_by_status(str(status)).inc()
            self._metrics.webhook_seconds.observe((self._clock() - begun) / 1000)
        return response

    async def _receive(self, request: web.Request) -> web.Response:
        source = request.match_info.get("source", self._sources[0])
        if source not in self._sources:
            known = ", ".join(self._sources)
            self._complain(request, "webhook for an unknown source", source=source[:64])
            return _answer(404, f"no source is called {source[:64]!r}; the configuration lists {known}")
        body = self._bodies.reserve()
        try:
            return await self._read(request, source, body)
        except BodyError as error:
            self._complain(request, "body refused", source=source, status=error.status, error=str(error))
            response = _answer(error.status, str(error))
            response.force_close()
            return response
        finally:
            body.close()

    async def _read(self, request: web.Request, source: str, body: Body) -> web.Response:
        try:
            report = await self._intake.keep(source, await body.read(request), partial(is_connected, request))
        except TooManyAlertsError as error:
            fix = "more labels in group_by of Alertmanager's route, so that its groups are smaller"
            raise BodyError(413, f"{error}; nothing was kept. Fix: {fix}") from None
        except PayloadError as error:
            self._complain(request, "payload refused", source=source, error=str(error), bytes=body.reserved)
            return _answer(400, str(error))
        except AbandonedError:
            self._metrics.abandoned_requests.inc()
            return _answer(503, "client disconnected before the commit; nothing was stored")
        except LedgerUnavailableError as error:
            self._refused.add(source=source, error=str(error))
            return _answer(503, f"nothing was kept: {error}")
        return _answer(200, "kept: " + (_summary(report.totals()) or "no alerts"))

    def _complain(self, request: web.Request, text: str, **more: object) -> None:
        """Log a bad request, rate-limited for each peer; the metric of its answer counts every one."""
        if self._log_limiter.take(request.remote or ""):
            _log.warning(text, peer=request.remote, **more)


def _summary(totals: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {effect}" for effect, count in totals.items())


def _answer(status: int, sentence: str) -> web.Response:
    return web.Response(status=status, text=sentence + "\n")
