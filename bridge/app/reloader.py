"""Reloads the configuration file while the bridge runs: all changes are applied, or none.

In: SIGHUP, ``POST /-/reload``, or a file that has changed (`--config.watch`). Out: a reconfigured bridge, or the old
configuration and its problems. Open alarms keep the event that they were reported with. What a reload may change is
decided here.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bridge import config
from bridge.app.trials import Trials
from bridge.clock import Clock, Millis
from bridge.config import Loaded, Settings, Shown
from bridge.delivery.targets import Delivery, TargetsConfig
from bridge.errors import BridgeError
from bridge.file_watch import FileState, stat_files, watch
from bridge.ledger import Ledger
from bridge.log import logger
from bridge.mapping import DEFAULTS_RULE, Mapper
from bridge.mapping.playground.trial import RunningRules
from bridge.metrics import Metrics
from bridge.receiving.intake import Intake
from bridge.receiving.parsed_notification import AlertmanagerReader
from bridge.receiving.webhook import Webhook
from bridge.reconcile import Auditor, Canary, Ping, Reconciler
from bridge.web.handlers import ConfigView
from bridge.web.handlers.admin import Admin

_log = logger("reload")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of the bridge whose settings a reload changes.

    Attributes:
        is_ledger_open: returns whether the ledger is open and the delivery runs.
    """

    ledger: Ledger
    intake: Intake
    webhook: Webhook
    admin: Admin
    delivery: Delivery
    reconciler: Reconciler
    auditor: Auditor
    ping: Ping
    canary: Canary
    config_view: ConfigView
    trials: Trials
    metrics: Metrics
    is_ledger_open: Callable[[], bool]


class Reloader:
    """Reloads the configuration file.

    Args:
        file: its name.
        settings: the settings that were loaded from it.
        parts: the parts to reconfigure.
        clock: the time.
        is_watching: reload when the file changes.

    Attributes:
        settings: the settings in use.
    """

    def __init__(self, file: str, settings: Settings, parts: Parts, clock: Clock, *, is_watching: bool) -> None:
        self.settings = settings
        self._file = file
        self._parts = parts
        self._clock = clock
        self._is_watching = is_watching
        self._lock = asyncio.Lock()
        self._watcher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Preset the metrics for the settings, and watch the file if `is_watching`."""
        self._preset_metrics()
        loaded_state = stat_files([self._file])
        self._succeeded(await asyncio.to_thread(_hash, self._file))
        if self._is_watching:
            self._watcher = asyncio.create_task(self._watch(loaded_state), name="config-watch")

    async def stop(self) -> None:
        """Stop watching; a reload in progress ends first."""
        async with self._lock:
            if self._watcher is not None:
                self._watcher.cancel()
                await asyncio.gather(self._watcher, return_exceptions=True)

    async def run(self) -> list[str]:
        """Reload; return the file's problems, line by line; none: the new configuration is in use."""
        async with self._lock:
            try:
                digest = await asyncio.to_thread(_hash, self._file)
                loaded = await asyncio.to_thread(config.load, self._file)
                await self._reconfigure(loaded)
            except config.ConfigError as error:
                return self._failed(error.lines())
            except BridgeError as error:
                return self._failed([str(error)])
            except Exception as error:  # noqa: BLE001 - a failed reload must not end the bridge
                _log.exception("unexpected error during reload; the old configuration stays")
                return self._failed([f"the reload failed: {type(error).__name__}"])
            for problem in (*loaded.missing, *loaded.doubts):
                _log.warning("doubtful configuration", place=problem.line_of(self._file))
            self._succeeded(digest)
            _log.info("configuration reloaded", file=self._file)
            return []

    async def _reconfigure(self, loaded: Loaded) -> None:
        """Reconfigure the parts.

        Raises:
            BridgeError: the change is not possible while the bridge runs; nothing was changed; it names every reason.
        """
        parts, before, settings = self._parts, self.settings, loaded.settings
        if not parts.is_ledger_open():
            raise BridgeError("the ledger is not open, and may hold alarms of a removed target. Fix: reload later.")
        self._check(settings)
        ready = await parts.delivery.prepare(delivered(settings))
        old_mapper = before.mapper()
        self._reconfigure_intake(settings, settings.mapper())
        # Drained first: notifications mapped by the old rules may still add alarms for a removed target.
        await parts.intake.settled()
        try:
            self._check(settings)
        except BridgeError:
            self._reconfigure_intake(before, old_mapper)
            for client in ready.values():
                await client.stop()
            raise
        self.settings = settings
        parts.config_view.reconfigure(loaded.shown.yaml, self._clock())
        parts.trials.reconfigure(running_rules(settings, loaded.shown))
        await parts.reconciler.reconfigure(settings.by_source, settings.heartbeat_config, settings.alarm_timeout)
        await parts.auditor.reconfigure(settings.audit_settings)
        parts.ping.reconfigure(settings.ping, settings.by_source)
        parts.canary.reconfigure(settings.canary)
        self._preset_metrics()  # of a source with other settings, the gauges were removed
        await parts.delivery.reconfigure(delivered(settings), ready)
        for name in before.targets.keys() - settings.targets.keys():
            parts.metrics.forget(name)

    def _reconfigure_intake(self, settings: Settings, mapper: Mapper) -> None:
        self._parts.webhook.reconfigure(settings.all_sources)
        self._parts.intake.reconfigure(mapper)
        self._parts.admin.reconfigure(mapper)
        self._parts.ledger.reconfigure(reassert_after(settings), AlertmanagerReader(mapper))

    def _check(self, settings: Settings) -> None:
        problems = [*self._fixed_sections(settings), *self._with_open_alarms(settings)]
        if problems:
            raise BridgeError(" ".join(problems))

    def _fixed_sections(self, settings: Settings) -> Iterator[str]:
        for name in ("store", "source", "web"):
            if getattr(settings, name) != getattr(self.settings, name):
                yield f"{name} cannot change while the bridge runs. Fix: restart it."

    def _with_open_alarms(self, settings: Settings) -> Iterator[str]:
        old, ledger = self.settings, self._parts.ledger
        removed = set(old.all_sources) - set(settings.all_sources)
        if removed and any(map(ledger.needing_target, old.targets)):
            yield f"source {', '.join(sorted(removed))} may have open alarms, whose resolves would be refused."
        for name, target in old.targets.items():
            new, count = settings.targets.get(name), ledger.needing_target(name)
            if count and (new is None or new.identity != target.identity):
                change = "be removed" if new is None else "get another endpoint or project"
                text = f"target {name!r} has {count} alarm(s) that are not finished, and would {change}"
                yield f"{text}. Fix: keep it until they are cleared, or discard them."

    def _succeeded(self, digest: int) -> None:
        metrics = self._parts.metrics
        metrics.config_successful.set(1)
        metrics.config_success_time.set(self._clock() / 1000)
        metrics.config_hash.set(digest)

    def _failed(self, lines: list[str]) -> list[str]:
        self._parts.metrics.config_successful.set(0)
        self._parts.config_view.failed(lines)
        for line in lines:
            _log.error("configuration not reloaded; the old one stays", problem=line)
        return lines

    async def _watch(self, loaded_state: FileState) -> None:
        async for _ in watch(lambda: [self._file], loaded_state):
            await self.run()

    def _preset_metrics(self) -> None:
        settings, metrics = self.settings, self._parts.metrics
        rules = {rule.name: rule.drop for rule in settings.mapping.rules}
        heartbeats = [one.name for one in settings.heartbeats]
        metrics.preset(
            settings.targets,
            {DEFAULTS_RULE: False, **rules},
            settings.by_source,
            heartbeats,
            settings.audit_settings.every_source,
        )
        metrics.max_open.set(settings.store.max_open)


def running_rules(settings: Settings, shown: Shown) -> RunningRules:
    """Return what a trial of other rules compares with."""
    return RunningRules(settings.surroundings, shown.mapping.yaml, dict(shown.mapping.variables))


def delivered(settings: Settings) -> TargetsConfig:
    """Return the part of the settings that the delivery uses."""
    return TargetsConfig(targets=settings.targets, delivery=settings.delivery, lease=settings.store.lease)


def reassert_after(settings: Settings) -> dict[str, Millis]:
    """Return, for each target, the time after which its alarms are reported again."""
    return {name: target.reassert_after for name, target in settings.targets.items()}


def _hash(file: str) -> int:
    """Return a hash of the file's content as a number, as in Alertmanager's metric; 0 if it cannot be read."""
    try:
        return int.from_bytes(hashlib.sha256(Path(file).read_bytes()).digest()[:6])
    except OSError:
        return 0
