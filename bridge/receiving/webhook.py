"""HTTP in: read, parse, map, put, answer; the accepting half of the bridge from end to end.

A small notification is parsed and mapped by the process that writes it; see `bridge.receiving.intake`.

In: Alertmanager's POST. Out: 200 once every alert of it is committed, 400 for what is no payload, 404 for a source that
nobody listed, 408 and 413 over the limits, 503 when nothing of it was kept. Never 429 and never a redirect:
Alertmanager does not retry the one, and takes the other for success. AOM is never called here.
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

_OF_A_SOURCE = "/webhook/{source}"

_MAP_AT_ONCE = 100
"""Alerts mapped in a row, of one request or several, before the ledger and the network get their turn."""

_ENCODED_AT_ONCE = 1_000
"""Alerts that are encoded in the event loop; more would hold it up, and are encoded on a thread."""

_SMALL = 8 << 10
"""Bytes of a body that the ledger's writing process opens; a larger one is parsed and mapped while that one writes."""

_LARGE = 1 << 20
"""Bytes of a body that is parsed on a thread, and encoded there: more would hold up the event loop."""

_MAX_RULES_BYTES = 64 << 10
"""Bytes of packed rules that travel with each transaction of unread notifications."""

_MAX_NAMES_LOGGED = 100
"""Labels and annotations of one alert; senders choose how many there are."""

_MAX_NOTED = 1_000
"""Kinds of fallback that are logged: senders choose the words of severities."""

_HUNG_UP = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", 0)

_log = logger("webhook")


class Webhook:
    """The handlers of ``/webhook``.

    Args:
        sources: the names that ``/webhook/{source}`` takes; the first one is that of ``/webhook``.
        mapper: maps alerts to events.
        ledger: keeps them.
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
        self._turns = LoopBudget(_MAP_AT_ONCE)
        self._refused = ThrottledLine(partial(_log.error, "notification refused"))
        self._noted: set[tuple[str, str, str]] = set()
        self._untold: list[dict[str, object]] = []
        self._under_way: set[asyncio.Future[None]] = set()
        self._replicas = ReplicaWatch()
        self._answered = cache(metrics.webhook_requests.labels)
        self._taken_in = cache(metrics.alerts.labels)
        self._matched = cache(metrics.rule_matches.labels)

    def reconfigure(self, sources: Sequence[str], mapper: Mapper) -> None:
        """Map by other rules from the next notification on."""
        self._sources = tuple(sources)
        self._mapper = mapper
        self._rules = pickle.dumps(mapper)

    async def settled(self) -> None:
        """Wait until the notifications that are under way now have been kept or refused."""
        under_way = set(self._under_way)
        if under_way:
            await asyncio.wait(under_way)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of this room."""
        return [web.post(path, self.receive) for path in ("/webhook", "/webhook/", _OF_A_SOURCE, _OF_A_SOURCE + "/")]

    async def receive(self, request: web.Request) -> web.Response:
        """Answer one webhook and count the answer."""
        begun, status = self._clock(), 500
        try:
            response = await self._receive(request)
            status = response.status
        finally:
            self._answered(str(status)).inc()
            self._metrics.webhook_seconds.observe((self._clock() - begun) / 1000)
        return response

    async def _receive(self, request: web.Request) -> web.Response:
        source = request.match_info.get("source", self._sources[0])
        if source not in self._sources:
            known = ", ".join(self._sources)
            self._complain(request, "a webhook named a source that nobody listed", source=source[:64])
            return _answer(404, f"no source is called {source[:64]!r}; the configuration lists {known}")
        body = self._bodies.open()
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
            notes, outcomes = await self._keep(source, await body.read(request), partial(_is_connected, request))
        except TooManyAlertsError as error:
            fix = "more labels in group_by of Alertmanager's route, so that its groups are smaller"
            raise BodyError(413, f"{error}; nothing of it was kept. Fix: {fix}") from None
        except PayloadError as error:
            self._complain(request, "payload refused", source=source, error=str(error), bytes=body.held)
            return _answer(400, str(error))
        except AbandonedError:
            self._metrics.abandoned_requests.inc()
            return _answer(503, "the sender has gone; nothing was kept")
        except LedgerUnavailableError as error:
            self._refused.add(source=source, error=str(error))
            return _answer(503, f"nothing was kept: {error}")
        return self._accepted(source, notes, outcomes)

    def _complain(self, request: web.Request, text: str, **more: object) -> None:
        """Log what a sender did wrong, as long as it does not fill the log; all is counted by its answer."""
        if self._log_limiter.take(request.remote or ""):
            _log.warning(text, peer=request.remote, **more)

    async def _keep(self, source: str, raw: bytes, is_wanted: Callable[[], bool]) -> tuple[IntakeReport, list[Effect]]:
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._under_way.add(kept)
        try:
            if self._ledger.has_writer and len(raw) <= _SMALL and len(self._rules) <= _MAX_RULES_BYTES:
                outcomes, packed = await self._ledger.put(
                    IncomingNotification(RawNotification(source, raw, self._rules)), is_wanted
                )
                return IntakeReport.unpacked(packed), outcomes
            size = len(raw)
            notification = parse(raw) if size <= _LARGE else await asyncio.to_thread(parse_in_pieces, raw)
            intake = Intake(source, notification, self._mapper, size)
            later = RawNotification(source, raw, self._rules) if "resolved" in intake.notes.statuses else None
            del raw  # the parsed alerts hold what is needed, and a storm's bodies are large
            parcel = await self._map(intake, later, is_large=size > _LARGE)
            outcomes, packed = await self._ledger.put(parcel, is_wanted)
            if packed:
                intake.notes.add(IntakeReport.unpacked(packed))
            return intake.notes, outcomes
        finally:
            self._under_way.discard(kept)
            kept.set_result(None)

    async def _map(self, intake: Intake, later: RawNotification | None, *, is_large: bool) -> IncomingNotification:
        """Map what fires; a resolve is mapped only if the ledger has no row for it."""
        arrivals = []
        for index, alert in enumerate(intake.alerts):
            if index % _MAP_AT_ONCE == 0:
                await self._turns.take(min(_MAP_AT_ONCE, len(intake.alerts) - index))
            arrivals.append(intake.mapped_arrival(alert) if alert.status == "firing" else intake.arrival(alert))
        if len(arrivals) <= _ENCODED_AT_ONCE and not is_large:
            return IncomingNotification(later, ParsedAlerts(arrivals))
        return await asyncio.to_thread(IncomingNotification, later, ParsedAlerts(arrivals))

    def _accepted(self, source: str, notes: IntakeReport, outcomes: Sequence[Effect]) -> web.Response:
        counts: dict[tuple[Status, Effect], int] = {}
        for status, outcome in zip(notes.statuses, outcomes, strict=True):
            counts[status, outcome] = counts.get((status, outcome), 0) + 1
        words: dict[str, int] = {}
        for (status, outcome), count in counts.items():
            self._taken_in(status, outcome).inc(count)
            words[outcome] = words.get(outcome, 0) + count
        self._tell({"source": source, "receiver": notes.receiver, "alerts": len(outcomes), **words})
        self._note_mapping(notes)
        self._note_replicas(source, notes)
        if notes.truncated_alerts > 0:
            self._truncated(source, notes)
        return _answer(200, "kept: " + (_words(words) or "no alerts"))

    def _note_mapping(self, notes: IntakeReport) -> None:
        for rule, count in notes.matched.items():
            self._matched(rule).inc(count)
        for rule, count in notes.dropped.items():
            self._metrics.dropped.labels(rule).inc(count)
        for fingerprint, names in notes.left_out:
            self._metrics.left_out.inc(len(names))
            _log.debug("left out for AOM's limits", fingerprint=fingerprint, names=", ".join(names[:_MAX_NAMES_LOGGED]))
        for fingerprint, fallback in notes.fallbacks:
            self._note_fallback(fingerprint, fallback)

    def _note_fallback(self, fingerprint: str, fallback: Fallback) -> None:
        """Count every one; log each field of a rule and each unknown severity once, so that no storm fills the disk."""
        self._metrics.fallbacks.labels(fallback.rule).inc()
        noted = (fallback.rule, fallback.field, fallback.word)
        if noted not in self._noted and len(self._noted) < _MAX_NOTED:
            self._noted.add(noted)
            _log.warning(
                "mapping fell back; further ones of this kind are only counted",
                rule=fallback.rule,
                field=fallback.field,
                problem=fallback.problem,
                fingerprint=fingerprint,
            )

    def _note_replicas(self, source: str, notes: IntakeReport) -> None:
        pair = self._replicas.see(source, notes.replicas)
        if pair is not None:
            _log.warning(
                "two alerts differ in one label alone, and each is an alarm of its own. Fix, if two Prometheus servers "
                "watch the same: in both, alerting: {alert_relabel_configs: [{action: labeldrop, regex: LABEL}]}",
                source=source,
                receiver=notes.receiver,
                label=pair.label,
                values=", ".join(pair.values),
            )

    def _tell(self, kept: dict[str, object]) -> None:
        """Log a notification with all others that were kept by the same transaction: many lines in a row cost less."""
        self._untold.append(kept)
        if len(self._untold) == 1:
            asyncio.get_running_loop().call_soon(self._tell_all)

    def _tell_all(self) -> None:
        untold, self._untold = self._untold, []
        with together():
            for kept in untold:
                _log.info("notification kept", **kept)

    def _truncated(self, source: str, notes: IntakeReport) -> None:
        self._metrics.truncated_alerts.inc(notes.truncated_alerts)
        _log.error(
            "Alertmanager cut alerts off, and they are lost. Fix: max_alerts: 0 in its webhook_config",
            source=source,
            receiver=notes.receiver,
            truncated_alerts=notes.truncated_alerts,
        )


def _words(words: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {word}" for word, count in words.items())


def _answer(status: int, sentence: str) -> web.Response:
    return web.Response(status=status, text=sentence + "\n")


def _is_connected(request: web.Request) -> bool:
    """Say whether the sender still waits.

    Requests that Alertmanager has given up on sit whole in the socket's buffer and are read later; to keep one would
    raise an alarm whose clear never comes. Its hang-up shows on the socket (measured: every time).
    """
    transport = request.transport
    if transport is None or transport.is_closing():
        return False
    connection = transport.get_extra_info("socket")
    if connection is None:
        return True
    return not _hung_up(connection)


def _hung_up(connection: socket.socket) -> bool:
    poll = select.poll()
    try:
        poll.register(connection.fileno(), getattr(select, "POLLRDHUP", 0))
        return any(event & _HUNG_UP for _, event in poll.poll(0))
    except (OSError, ValueError):
        return True
