"""The handler of ``/webhook``: reads, parses and maps a notification, puts it into the ledger, and answers.

In: Alertmanager's POST. Out: 200 once every alert of it is committed, 400 if the body is not a payload, 404 for a
source that is not configured, 408 and 413 over the limits, 503 if nothing of it was stored. Never 429 and never a
redirect: Alertmanager does not retry after a 429, and treats a redirect as success. AOM is never called here. A small
notification is parsed and mapped by the ledger writer process; see `bridge.receiving.intake`.
"""

from __future__ import annotations

import asyncio
import pickle
import select
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Literal

from aiohttp import web

from bridge.clock import Clock
from bridge.errors import LedgerUnavailableError, PayloadError
from bridge.ledger import AbandonedError, Effect, IncomingNotification, Ledger, ParsedAlerts
from bridge.log import ThrottledLine, logger, together
from bridge.mapping import Fallback, Mapper
from bridge.metrics import Metrics
from bridge.notification import Status, parse
from bridge.rate_limit import PeerRateLimiter
from bridge.receiving.intake import Intake, IntakeReport, RawNotification
from bridge.receiving.large_body import TooManyAlertsError, parse_in_pieces
from bridge.receiving.loop_budget import LoopBudget
from bridge.receiving.replica_labels import ReplicaWatch
from bridge.receiving.request_body import Bodies, Body, BodyError
from bridge.receiving.settings import WebSettings

CODES = ("200", "400", "401", "403", "404", "408", "413", "500", "503")

_PATH_OF_SOURCE = "/webhook/{source}"

_MAX_MAPPED_AT_ONCE = 100
"""Alerts mapped per iteration of the event loop, of one request or several."""

_MAX_ENCODED_AT_ONCE = 1_000
"""Alerts that are encoded in the event loop; more would block it, and are encoded on a thread."""

_MAX_SMALL_BYTES = 8 << 10
"""Up to this size the writer process parses and maps a body; larger ones are mapped here while it writes."""

_MAX_LOOP_BYTES = 1 << 20
"""Up to this size a body is parsed in the event loop; larger ones would block it, and are parsed on a thread."""

_MAX_RULES_BYTES = 64 << 10
"""Up to this size the pickled rules are sent to the writer process with each raw notification."""

_MAX_NAMES_LOGGED = 100
"""Labels and annotations of one alert in a log line; senders choose how many there are."""

_MAX_FALLBACKS_LOGGED = 1_000
"""Kinds of fallback that are logged: senders choose the words of severities, so there is no other bound."""

_HUNG_UP = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)

_log = logger("webhook")


class Webhook:
    """The handlers of ``/webhook``.

    Args:
        sources: the names allowed in ``/webhook/{source}``; the first one is the source of ``/webhook``.
        mapper: maps alerts to events.
        ledger: stores them.
        settings: the limits for bodies.
        metrics: where requests and alerts are counted.
        clock: the time.
    """

    right: Literal["webhook"] = "webhook"

    def __init__(
        self,
        sources: Sequence[str],
        mapper: Mapper,
        ledger: Ledger,
        settings: WebSettings,
        *,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self.reconfigure(sources, mapper)
        self._ledger = ledger
        self._metrics = metrics
        self._clock = clock
        self._bodies = Bodies(settings.max_body, settings.max_body_in_flight)
        self._log_limiter = PeerRateLimiter(lambda: clock() / 1000)
        self._loop_budget = LoopBudget(_MAX_MAPPED_AT_ONCE)
        self._refused = ThrottledLine(partial(_log.error, "notification refused"))
        self._logged_fallbacks: set[tuple[str, str, str]] = set()
        self._unlogged: list[dict[str, object]] = []
        self._under_way: set[asyncio.Future[None]] = set()
        self._replicas = ReplicaWatch()
        self._requests_by_status = cache(metrics.webhook_requests.labels)
        self._alerts_by_effect = cache(metrics.alerts.labels)
        self._matches_by_rule = cache(metrics.rule_matches.labels)

    def reconfigure(self, sources: Sequence[str], mapper: Mapper) -> None:
        """Use other sources and rules from the next notification on."""
        self._sources = tuple(sources)
        self._mapper = mapper
        self._rules = pickle.dumps(mapper)

    async def settled(self) -> None:
        """Wait until the notifications that are being handled now are stored or refused."""
        under_way = set(self._under_way)
        if under_way:
            await asyncio.wait(under_way)

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
            report, effects = await self._keep(source, await body.read(request), partial(_is_connected, request))
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
        return self._accepted(source, report, effects)

    def _complain(self, request: web.Request, text: str, **more: object) -> None:
        """Log a bad request, rate-limited for each peer; the metric of its answer counts every one."""
        if self._log_limiter.take(request.remote or ""):
            _log.warning(text, peer=request.remote, **more)

    async def _keep(self, source: str, raw: bytes, is_wanted: Callable[[], bool]) -> tuple[IntakeReport, list[Effect]]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._under_way.add(done)
        try:
            if self._ledger.has_writer and len(raw) <= _MAX_SMALL_BYTES and len(self._rules) <= _MAX_RULES_BYTES:
                effects, packed = await self._ledger.put(
                    IncomingNotification(RawNotification(source, raw, self._rules)), is_wanted
                )
                return IntakeReport.unpacked(packed), effects
            size = len(raw)
            notification = parse(raw) if size <= _MAX_LOOP_BYTES else await asyncio.to_thread(parse_in_pieces, raw)
            intake = Intake(source, notification, self._mapper, size)
            unmapped = RawNotification(source, raw, self._rules) if "resolved" in intake.report.statuses else None
            del raw  # the parsed alerts hold what is needed, and the bodies of an alert storm are large
            incoming = await self._map(intake, unmapped, is_large=size > _MAX_LOOP_BYTES)
            effects, packed = await self._ledger.put(incoming, is_wanted)
            if packed:
                intake.report.add(IntakeReport.unpacked(packed))
            return intake.report, effects
        finally:
            self._under_way.discard(done)
            done.set_result(None)

    async def _map(self, intake: Intake, unmapped: RawNotification | None, *, is_large: bool) -> IncomingNotification:
        """Map the firing alerts; the put maps a resolve only if the ledger has no row for it."""
        arrivals = []
        for index, alert in enumerate(intake.alerts):
            if index % _MAX_MAPPED_AT_ONCE == 0:
                await self._loop_budget.take(min(_MAX_MAPPED_AT_ONCE, len(intake.alerts) - index))
            arrivals.append(intake.mapped_arrival(alert) if alert.status == "firing" else intake.arrival(alert))
        if len(arrivals) <= _MAX_ENCODED_AT_ONCE and not is_large:
            return IncomingNotification(unmapped, ParsedAlerts(arrivals))
        return await asyncio.to_thread(IncomingNotification, unmapped, ParsedAlerts(arrivals))

    def _accepted(self, source: str, report: IntakeReport, effects: Sequence[Effect]) -> web.Response:
        counts: dict[tuple[Status, Effect], int] = {}
        for status, effect in zip(report.statuses, effects, strict=True):
            counts[status, effect] = counts.get((status, effect), 0) + 1
        totals: dict[str, int] = {}
        for (status, effect), count in counts.items():
            self._alerts_by_effect(status, effect).inc(count)
            totals[effect] = totals.get(effect, 0) + count
        self._log_stored({"source": source, "receiver": report.receiver, "alerts": len(effects), **totals})
        self._note_mapping(report)
        self._note_replicas(source, report)
        if report.truncated_alerts > 0:
            self._note_truncated(source, report)
        return _answer(200, "kept: " + (_summary(totals) or "no alerts"))

    def _note_mapping(self, report: IntakeReport) -> None:
        for rule, count in report.matched.items():
            self._matches_by_rule(rule).inc(count)
        for rule, count in report.dropped.items():
            self._metrics.dropped.labels(rule).inc(count)
        for fingerprint, names in report.left_out:
            self._metrics.left_out.inc(len(names))
            _log.debug(
                "labels or annotations left out for AOM's limits",
                fingerprint=fingerprint,
                names=", ".join(names[:_MAX_NAMES_LOGGED]),
            )
        for fingerprint, fallback in report.fallbacks:
            self._note_fallback(fingerprint, fallback)

    def _note_fallback(self, fingerprint: str, fallback: Fallback) -> None:
        """Count every fallback; log each field of a rule and each unknown severity once, to keep the log small."""
        self._metrics.fallbacks.labels(fallback.rule).inc()
        kind = (fallback.rule, fallback.field, fallback.word)
        if kind not in self._logged_fallbacks and len(self._logged_fallbacks) < _MAX_FALLBACKS_LOGGED:
            self._logged_fallbacks.add(kind)
            _log.warning(
                "mapping fell back; further ones of this kind are only counted",
                rule=fallback.rule,
                field=fallback.field,
                problem=fallback.problem,
                fingerprint=fingerprint,
            )

    def _note_replicas(self, source: str, report: IntakeReport) -> None:
        pair = self._replicas.see(source, report.replicas)
        if pair is not None:
            _log.warning(
                "two alerts differ only in one label and become separate alarms. Fix, if two Prometheus servers "
                "monitor the same: in both, alerting: {alert_relabel_configs: [{action: labeldrop, regex: LABEL}]}",
                source=source,
                receiver=report.receiver,
                label=pair.label,
                values=", ".join(pair.values),
            )

    def _log_stored(self, fields: dict[str, object]) -> None:
        """Log a notification together with the others of the same transaction: one write for many lines costs less."""
        self._unlogged.append(fields)
        if len(self._unlogged) == 1:
            asyncio.get_running_loop().call_soon(self._log_all_stored)

    def _log_all_stored(self) -> None:
        unlogged, self._unlogged = self._unlogged, []
        with together():
            for fields in unlogged:
                _log.info("notification kept", **fields)

    def _note_truncated(self, source: str, report: IntakeReport) -> None:
        self._metrics.truncated_alerts.inc(report.truncated_alerts)
        _log.error(
            "Alertmanager cut alerts off the notification; they are lost. Fix: max_alerts: 0 in its webhook_config",
            source=source,
            receiver=report.receiver,
            truncated_alerts=report.truncated_alerts,
        )


def _summary(totals: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {effect}" for effect, count in totals.items())


def _answer(status: int, sentence: str) -> web.Response:
    return web.Response(status=status, text=sentence + "\n")


def _is_connected(request: web.Request) -> bool:
    """Return whether the client still waits for the answer.

    Requests that Alertmanager has given up on stay in the socket's buffer and are read later; storing one would raise
    an alarm whose resolve never comes. The socket shows that the client has closed it (measured: every time).
    """
    transport = request.transport
    if transport is None or transport.is_closing():
        return False
    connection = transport.get_extra_info("socket")
    if connection is None:
        return True
    return not _is_hung_up(connection)


def _is_hung_up(connection: socket.socket) -> bool:
    poll = select.poll()
    try:
        poll.register(connection.fileno(), getattr(select, "POLLRDHUP", 0))
        return any(event & _HUNG_UP for _, event in poll.poll(0))
    except (OSError, ValueError):
        return True
