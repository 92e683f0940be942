"""Builds everything once, starts it in the order of the path, and stops it from the other end.

In: settings. Out: a running bridge on a listening socket. No rule of the path is decided here; this module only
connects the rooms.
"""

from __future__ import annotations

import platform
import resource
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from bridge import __version__
from bridge.aom import REASONS
from bridge.app.opening import Opening
from bridge.app.reloader import Reload
from bridge.clock import SECOND, Clock, Millis, SharedClock, system_clock
from bridge.config import Settings
from bridge.delivery.targets import Delivery
from bridge.errors import BridgeError
from bridge.event import SEVERITIES
from bridge.ledger import ACTIONS, OUTCOMES, STATES, Alarm, Ledger, WritingProcess
from bridge.log import logger
from bridge.mapping import DEFAULTS_RULE, Mapper
from bridge.metrics import Metrics
from bridge.receiving.webhook import CODES, Webhook
from bridge.web import Door, DoorOptions, Room
from bridge.web.handlers import AlarmsApi, ConfigView, Exposition, Landing, Probes
from bridge.web.handlers.admin import Admin

_LONGEST_FAREWELL: Millis = SECOND
"""What webhooks under way get at the shutdown; a commit takes far less, and what gets no 200 is sent again."""

_log = logger("app")


class App:
    """The bridge.

    Args:
        settings: the configuration.
        address: host and port to listen on; port 0 takes any free one.
        clock: the time.
        file: the configuration's, for a reload.
        watch: reload when the file changes.
        door: what the command line says of who may come in.
        shown: the configuration as anybody may see it.
        writer: the process that writes the ledger, if there is one.
    """

    def __init__(
        self,
        settings: Settings,
        address: tuple[str, int],
        clock: Clock = system_clock,
        *,
        file: str = "",
        watch: bool = False,
        door: DoorOptions | None = None,
        shown: str = "",
        writer: WritingProcess | None = None,
    ) -> None:
        self._settings = settings
        self._is_watching = watch
        self._metrics = Metrics(__version__, platform.python_version())
        if writer is not None:
            self._metrics.watch_writer(lambda: writer.pid)
        mapper = settings.mapper()
        clock = SharedClock(clock)
        self.ledger = Ledger(settings.store, _reassert_after(settings), clock, writer)
        self._webhook = Webhook(
            settings.all_sources, mapper, self.ledger, settings.web, metrics=self._metrics, clock=clock
        )
        self._delivery = Delivery(settings, self.ledger, self._metrics, clock)
        self._opening = Opening(self.ledger, self._delivery, self._opened)
        self._is_listening = False
        self._reload = Reload(file, self.change, self._metrics, clock)
        self._admin = Admin(self.ledger, mapper, self.reload)
        self._door = Door(*address, door or DoorOptions(), self._metrics)
        self._config_view = ConfigView(shown)
        self._rooms: tuple[Room, ...] = (
            self._webhook,
            Probes(self.ledger),
            Exposition(self._metrics, self.ledger, self._delivery.clients, clock),
            AlarmsApi(self.ledger),
            self._config_view,
            self._admin,
            Landing(__version__),
        )
        self._running: list[Callable[[], Awaitable[None]]] = []

    @property
    def url(self) -> str:
        """The address of webhooks; valid after `start`."""
        return self._door.url

    @property
    def admin_url(self) -> str:
        """The address of status and changes; valid after `start`."""
        return self._door.admin_url

    @property
    def port(self) -> int:
        """The port of webhooks; valid after `start`."""
        return self._door.port

    async def start(self) -> None:
        """Start from the far end: ledger, AOM's clients, dispatcher, and the door last.

        A ledger that cannot be opened now, since its disk is full, say, is opened later; the door does not wait for it.

        Raises:
            BridgeError: something cannot start; what had started is stopped again.
        """
        await self._door.prepare()
        _set_limits()
        self._preset_metrics(self._settings)
        self.ledger.on_expired(self._count_expired)
        try:
            await self._begin(self._opening.start, self._opening.stop)
            await self._begin(partial(self._reload.start, watch=self._is_watching), self._reload.stop)
            await self._begin(self._open_door, self._door.stop)
        except BaseException:
            await self.stop()
            raise
        self._is_listening = True
        self._opened()

    def _opened(self) -> None:
        """Say that the bridge is ready, once it listens and the ledger is open."""
        if not (self._is_listening and self._opening.is_done):
            return
        counts = self.ledger.counts()
        _log.info(
            "ready",
            address=self.url,
            **({"admin_address": self.admin_url} if self.admin_url != self.url else {}),
            targets=",".join(self._settings.targets),
            ledger=self.ledger.place,
            waiting=sum(count for (state, _), count in counts.items() if state in ("report_due", "clear_due")),
            version=__version__,
        )

    async def stop(self) -> None:
        """Stop in the opposite order: no new webhook, finish what is in flight, close the ledger."""
        if self._running:
            _log.info("stopping")
            self.ledger.hurry(self._settings.delivery.shutdown_timeout / 1000)
        while self._running:
            step = self._running.pop()
            try:
                await step()
            except Exception:  # noqa: BLE001 - the steps that follow must run: the ledger's lock is given back last
                _log.exception("a step of the stop failed", step=step.__qualname__)
        _log.info("stopped")

    async def reload(self) -> list[str]:
        """Read both configuration files again; return what is wrong, line by line: then that file's old one stays."""
        return await self._reload.run() + await self._door.reload()

    async def change(self, settings: Settings, shown: str) -> None:
        """Go over to other settings, which may be shown so.

        Raises:
            BridgeError: they cannot be changed so while the bridge runs; nothing was changed, and every reason is told.
        """
        if not self._opening.is_done:
            raise BridgeError("the ledger is not open, and may hold alarms of a target that goes. Fix: reload later.")
        self._check(settings)
        ready = await self._delivery.prepare(settings)
        before, old_mapper, mapper = self._settings, self._settings.mapper(), settings.mapper()
        self._use(settings, mapper)
        # Alerts that were mapped by the old rules are kept by now: a target that is to go may have got one of them.
        await self._webhook.settled()
        try:
            self._check(settings)
        except BridgeError:
            self._use(before, old_mapper)
            for client in ready.values():
                await client.stop()
            raise
        self._settings = settings
        self._config_view.use(shown)
        self._preset_metrics(settings)
        await self._delivery.change(settings, ready)
        for name in before.targets.keys() - settings.targets.keys():
            self._metrics.forget(name, STATES, SEVERITIES, ACTIONS)

    def _use(self, settings: Settings, mapper: Mapper) -> None:
        self._webhook.use(settings.all_sources, mapper)
        self._admin.use(mapper)
        self.ledger.use(_reassert_after(settings))

    def _check(self, settings: Settings) -> None:
        old = self._settings
        problems = [
            f"{name} cannot change while the bridge runs. Fix: restart it."
            for name in ("store", "source", "web")
            if getattr(settings, name) != getattr(old, name)
        ]
        gone = set(old.all_sources) - set(settings.all_sources)
        if gone and any(map(self.ledger.unfinished_of, old.targets)):
            problems.append(f"source {', '.join(sorted(gone))} may have open alarms, whose resolves would be refused.")
        for name, target in old.targets.items():
            new, count = settings.targets.get(name), self.ledger.unfinished_of(name)
            if count and (new is None or new.place != target.place):
                what = "removed" if new is None else "another endpoint or project"
                text = f"target {name!r} has {count} alarm(s) that are not finished, and would be {what}"
                problems.append(f"{text}. Fix: keep it until they are cleared, or discard them.")
        if problems:
            raise BridgeError(" ".join(problems))

    async def _begin(self, start: Callable[[], Awaitable[None]], stop: Callable[[], Awaitable[None]]) -> None:
        await start()
        self._running.append(stop)

    def _count_expired(self, alarms: Sequence[Alarm]) -> None:
        for alarm in alarms:
            self._metrics.expired.labels(alarm.target).inc()

    async def _open_door(self) -> None:
        await self._door.start(self._rooms, min(_LONGEST_FAREWELL, self._settings.delivery.shutdown_timeout))

    def _preset_metrics(self, settings: Settings) -> None:
        metrics, targets = self._metrics, tuple(settings.targets)
        rules = (DEFAULTS_RULE, *(rule.name for rule in settings.mapping.rules))
        metrics.preset(metrics.webhook_requests, CODES)
        for status, outcomes in OUTCOMES.items():
            metrics.preset(metrics.alerts, (status,), outcomes)
        metrics.preset(metrics.alarms, STATES, targets)
        metrics.max_open.set(settings.store.max_open)
        metrics.preset(metrics.open_alarms, targets, SEVERITIES)
        metrics.preset(metrics.last_acceptance, targets, ACTIONS)
        metrics.preset(metrics.oldest_due_age, targets)
        metrics.preset(metrics.pushes, targets, ACTIONS, REASONS)
        metrics.preset(metrics.lookups, targets, REASONS)
        metrics.preset(metrics.delivery, ACTIONS)
        metrics.preset(metrics.alert_age, ACTIONS)
        metrics.preset(metrics.rejected, ("refused", "too_large"))
        metrics.preset(metrics.expired, targets)
        metrics.preset(metrics.due_ahead, targets)
        metrics.preset(metrics.rule_matches, rules)
        metrics.preset(metrics.fallbacks, rules)
        metrics.preset(metrics.dropped, [rule.name for rule in settings.mapping.rules if rule.drop])
        metrics.preset(metrics.token_expiry, targets)


def _reassert_after(settings: Settings) -> dict[str, Millis]:
    return {name: target.reassert_after for name, target in settings.targets.items()}


def _set_limits() -> None:
    """Allow as many open files as the system lets us, for a storm opens over 10,000 connections; and no core dumps.

    A core dump would hold every secret that the bridge knows.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
