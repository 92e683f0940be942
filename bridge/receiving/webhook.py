"""The handler of ``/webhook``: reads a notification, has it kept, and answers.

In: Alertmanager's POST. Out: 200 once every alert of it is committed, 400 if the body is not a payload, 404 for a
source that is not configured, 408 and 413 over the limits, 503 if nothing of it was stored. Never 429 and never a
redirect: Alertmanager does not retry after a 429, and treats a redirect as success. AOM is never called here.
`bridge.receiving.intake` parses, maps and keeps the notification.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any, Literal, NamedTuple

from aiohttp import web

from bridge.clock import Clock, Millis
from bridge.errors import LedgerUnavailableError, PayloadError
from bridge.ledger import AbandonedError
from bridge.log import ThrottledLine, logger
from bridge.metrics import Metrics
from bridge.rate_limit import PeerRateLimiter
from bridge.receiving.disconnects import is_connected
from bridge.receiving.intake import Intake
from bridge.receiving.large_body import TooManyAlertsError
from bridge.receiving.parsed_notification import IntakeReport
from bridge.receiving.recent import RecentWebhook, RecentWebhooks, cut
from bridge.receiving.request_body import Bodies, Body, BodyError
from bridge.receiving.settings import WebSettings

CODES = ("200", "400", "401", "403", "404", "408", "413", "500", "503")

_PATH_OF_SOURCE = "/webhook/{source}"

_log = logger("webhook")


class _Answered(NamedTuple):
    """An answer, and what it says of the notification if it was kept."""

    response: web.Response
    report: IntakeReport | None = None


class Webhook:
    """The handlers of ``/webhook``.

    Args:
        sources: the names allowed in ``/webhook/{source}``; the first one is the source of ``/webhook``.
        intake: keeps notifications.
        settings: the limits for bodies.
        metrics: where requests and alerts are counted.
        clock: the time.

    Attributes:
        recent: the newest webhooks that were answered.
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
        self.recent = RecentWebhooks()
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
        """Answer one webhook, count the answer and remember it."""
        begun, answered = self._clock(), _answer(500, "internal error; see the bridge's log")
        source = request.match_info.get("source", self._sources[0])
        try:
            answered = await self._receive(request, source)
        finally:
            took = self._clock() - begun
            self._requests_by_status(str(answered.response.status)).inc()
            self._metrics.webhook_seconds.observe(took / 1000)
            self._remember(request, source, answered, took)
        return answered.response

    def note_refused(self, request: web.Request, response: web.Response) -> None:
        """Count and remember a webhook that was refused before it came here."""
        self._requests_by_status(str(response.status)).inc()
        self._remember(request, request.match_info.get("source", self._sources[0]), _Answered(response), 0)

    def _remember(self, request: web.Request, source: str, answered: _Answered, took: Millis) -> None:
        response, report = answered
        kept = {} if report is None else _kept(report)
        text, peer = cut((response.text or "").strip()), request.remote or ""
        self.recent.note(
            RecentWebhook(self._clock(), cut(source), peer, status=response.status, took=took, text=text, **kept)
        )

    async def _receive(self, request: web.Request, source: str) -> _Answered:
        if source not in self._sources:
            known = ", ".join(self._sources)
            fix = f"let it post to /webhook/SOURCE with one of {known}; or add it to sources"
            self._complain(request, "webhook for an unknown source", source=source[:64], fix=fix)
            return _answer(404, f"no source is called {source[:64]!r}; the configuration lists {known}")
        body = self._bodies.reserve()
        try:
            return await self._read(request, source, body)
        except BodyError as error:
            self._complain(request, "body refused", source=source, status=error.status, error=str(error))
            answered = _answer(error.status, str(error))
            answered.response.force_close()
            return answered
        finally:
            body.close()

    async def _read(self, request: web.Request, source: str, body: Body) -> _Answered:
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
        return _answer(200, "kept: " + (_summary(report.totals()) or "no alerts"), report)

    def _complain(self, request: web.Request, text: str, **more: object) -> None:
        """Log a bad request, rate-limited for each peer; the metric of its answer counts every one."""
        if self._log_limiter.take(request.remote or ""):
            _log.warning(text, peer=request.remote, **more)


def _summary(totals: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {effect}" for effect, count in totals.items())


def _answer(status: int, sentence: str, report: IntakeReport | None = None) -> _Answered:
    return _Answered(web.Response(status=status, text=sentence + "\n"), report)


def _kept(report: IntakeReport) -> dict[str, Any]:
    """Return what is remembered of a notification that was kept."""
    names = {"receiver": cut(report.receiver), "group": report.group}
    return {**names, "alerts": len(report.statuses), "effects": report.totals()}
