"""Builds all parts once, starts them from the ledger to the HTTP server, and stops them in the opposite order.

In: settings. Out: a running bridge on a listening socket. Nothing about alerts or alarms is decided here; this module
connects the packages: what one package shows of another is passed as a function that returns plain values.
"""

from __future__ import annotations

import platform
import resource
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

from bridge import __version__
from bridge.app.label_sets import LABEL_SETS
from bridge.app.opening import Opening
from bridge.app.pages import page_handlers
from bridge.app.reloader import Parts, Reloader, delivered, reassert_after, running_rules
from bridge.app.sights import Replica
from bridge.app.trials import Trials
from bridge.clock import SECOND, Clock, Millis, SharedClock, system_clock
from bridge.config import Settings, Shown
from bridge.delivery.targets import Delivery
from bridge.ledger import ACTIONS, Alarm, Ledger, WriterProcess
from bridge.log import logger
from bridge.metrics import History, Metrics
from bridge.receiving.intake import Intake
from bridge.receiving.parsed_notification import AlertmanagerReader
from bridge.receiving.webhook import Webhook
from bridge.reconcile import Auditor, Canary, Ping, Reconciler
from bridge.web import Handlers, WebOptions, WebServer
from bridge.web.handlers import AlarmsApi, ConfigView, HealthHandlers, MetricsHandler, PlaygroundApi
from bridge.web.handlers.admin import Admin
from bridge.web.handlers.config import LoadedConfig
from bridge.web.pages.page import Footer, Pages

_MAX_REQUEST_SHUTDOWN_TIME: Millis = SECOND
"""How long webhooks in progress may take at the shutdown; a commit takes far less, and Alertmanager retries."""

_log = logger("app")


class App:
    """The bridge.

    Args:
        settings: the configuration.
        address: host and port to listen on; port 0 takes any free one.
        clock: the time.
        file: the configuration file, for a reload.
        watch: reload when the file changes.
        web_options: the options of the command line for the HTTP server.
        shown: the configuration without its secrets.
        writer: the ledger writer process; None: this process writes alone.

    Attributes:
        ledger: the ledger, open between `start` and `stop`.
        parts: the parts whose settings a reload changes.
    """

    def __init__(
        self,
        settings: Settings,
        address: tuple[str, int],
        clock: Clock = system_clock,
        *,
        file: str = "",
        watch: bool = False,
        web_options: WebOptions | None = None,
        shown: Shown | None = None,
        writer: WriterProcess | None = None,
    ) -> None:
        clock, shown = SharedClock(clock), shown or Shown()
        metrics = Metrics(__version__, platform.python_version(), LABEL_SETS)
        if writer is not None:
            metrics.watch_writer(lambda: writer.pid)
        mapper = settings.mapper()
        self.ledger = Ledger(settings.store, reassert_after(settings), clock, AlertmanagerReader(mapper), writer)
        delivery = Delivery(delivered(settings), self.ledger.due, metrics, clock)
        auditor = Auditor(settings.audit_settings, delivery.clients, self.ledger, metrics=metrics, clock=clock)
        reconciler = Reconciler(
            settings.by_source,
            settings.heartbeat_config,
            self.ledger,
            metrics=metrics,
            clock=clock,
            alarm_timeout=settings.alarm_timeout,
            may_raise=auditor.may_raise,
        )
        intake = Intake(mapper, self.ledger, metrics)
        webhook = Webhook(settings.all_sources, intake, settings.web, metrics=metrics, clock=clock)
        admin = Admin(self.ledger.records, mapper, self.reload)
        config_view = ConfigView(LoadedConfig(file, shown.yaml, clock()))
        self._trials = Trials(running_rules(settings, shown), clock)
        self._metrics = metrics
        ping = Ping(
            settings.ping, settings.by_source, self.ledger.open_alarms, delivery.trouble, metrics=metrics, clock=clock
        )
        canary = Canary(settings.canary, self.ledger, delivery.clients, metrics=metrics, clock=clock)
        self._opening = Opening(self.ledger, (delivery, auditor, reconciler, ping, canary), self._log_ready)
        self._is_listening = False
        pages = Pages(Footer(socket.gethostname(), __version__), clock)
        self._web = WebServer(
            *address,
            web_options or WebOptions(),
            metrics,
            error_page=pages.error,
            on_refused_webhook=webhook.note_refused,
        )
        self._handlers: tuple[Handlers, ...] = (
            webhook,
            HealthHandlers(self.ledger),
            MetricsHandler(metrics, self.ledger, delivery.clients, clock),
            AlarmsApi(self.ledger.records, clock),
            config_view,
            PlaygroundApi(self.ledger.records, self._trials.run),
            admin,
        )
        self.parts = Parts(
            ledger=self.ledger,
            intake=intake,
            webhook=webhook,
            admin=admin,
            delivery=delivery,
            reconciler=reconciler,
            auditor=auditor,
            ping=ping,
            canary=canary,
            config_view=config_view,
            trials=self._trials,
            metrics=metrics,
            is_ledger_open=lambda: self._opening.is_done,
        )
        self._reloader = Reloader(file, settings, self.parts, clock, is_watching=watch)
        self._history = History(metrics, self._waiting, clock)
        replica = Replica(lambda: self._reloader.settings, self.parts, self._history, clock)
        self._handlers += page_handlers(pages, replica, clock)
        self._running = AsyncExitStack()

    def _waiting(self) -> int:
        targets = self._reloader.settings.targets
        return sum(self.ledger.due.waiting(target, action) for target in targets for action in ACTIONS)

    @property
    def url(self) -> str:
        """The address of webhooks; valid after `start`."""
        return self._web.url

    @property
    def admin_url(self) -> str:
        """The address of the status pages and the API; valid after `start`."""
        return self._web.admin_url

    @property
    def port(self) -> int:
        """The port of webhooks; valid after `start`."""
        return self._web.port

    async def start(self) -> None:
        """Start the ledger, AOM's clients and the dispatcher, and the HTTP server last.

        A ledger that is unavailable, for example because its disk is full, is opened later; the server does not wait
        for it.

        Raises:
            BridgeError: a part cannot start; the parts that had started are stopped again.
        """
        await self._web.prepare()
        _set_limits()
        self.ledger.on_expired(self._count_expired)
        async with AsyncExitStack() as starting:
            for start, stop in (
                (self._opening.start, self._opening.stop),
                (self._reloader.start, self._reloader.stop),
                (self._history.start, self._history.stop),
                (self._trials.start, self._trials.stop),
                (self._listen, self._web.stop),
            ):
                await start()
                starting.push_async_callback(_stop, stop)
            self._running = starting.pop_all()
        self._is_listening = True
        self._log_ready()

    async def _listen(self) -> None:
        shutdown_timeout = self._reloader.settings.delivery.shutdown_timeout
        await self._web.start(self._handlers, min(_MAX_REQUEST_SHUTDOWN_TIME, shutdown_timeout))

    def _log_ready(self) -> None:
        """Log that the bridge is ready, once it listens and the ledger is open."""
        if not (self._is_listening and self._opening.is_done):
            return
        targets = self._reloader.settings.targets
        _log.info(
            "ready",
            address=self.url,
            **({"admin_address": self.admin_url} if self.admin_url != self.url else {}),
            targets=",".join(targets),
            ledger=self.ledger.location,
            waiting=self._waiting(),
            version=__version__,
        )

    async def stop(self) -> None:
        """Stop in the opposite order: accept no new webhook, finish the pushes in flight, close the ledger."""
        if self._is_listening:
            _log.info("stopping")
            self.ledger.hurry(self._reloader.settings.delivery.shutdown_timeout / 1000)
        await self._running.aclose()
        _log.info("stopped")

    async def reload(self) -> list[str]:
        """Reload both configuration files; return their problems, line by line: a file that has any is not used."""
        return await self._reloader.run() + await self._web.reload()

    def _count_expired(self, alarms: Sequence[Alarm]) -> None:
        for alarm in alarms:
            self._metrics.expired.labels(alarm.target).inc()


async def _stop(stop: Callable[[], Awaitable[None]]) -> None:
    try:
        await stop()
    except Exception:  # noqa: BLE001 - the remaining steps must run: the last one releases the ledger's lock
        _log.exception("a step of the stop failed", step=getattr(stop, "__qualname__", ""))


def _set_limits() -> None:
    """Raise the limit of open files to the hard limit, and disable core dumps.

    A storm opens over 10,000 connections, and a core dump would contain every secret of the bridge.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
