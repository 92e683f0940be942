"""Reload: the configuration file read again while the bridge runs; all of it, or nothing.

In: SIGHUP, ``POST /-/reload``, or a file that has changed (`--config.watch`). Out: a changed bridge, or the old one and
what is wrong. Open alarms keep what they were reported with. It reads; what a change means is the rooms' business.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from bridge import config
from bridge.clock import Clock
from bridge.config import Settings
from bridge.errors import BridgeError
from bridge.file_watch import Look, changes, look
from bridge.log import logger
from bridge.metrics import Metrics

Apply = Callable[[Settings, str], Awaitable[None]]

_log = logger("reload")


class Reload:
    """Reloads one file.

    Args:
        file: its name.
        apply: changes the running bridge to other settings, which may be shown so; raises `BridgeError` when it cannot
            and nothing changed.
        metrics: where success is shown.
        clock: the time.
    """

    def __init__(self, file: str, apply: Apply, metrics: Metrics, clock: Clock) -> None:
        self._file = file
        self._apply = apply
        self._metrics = metrics
        self._clock = clock
        self._turn = asyncio.Lock()

    async def start(self, *, watch: bool) -> None:
        """Note what was loaded, and watch the file if asked to."""
        seen = look([self._file])
        self._succeeded(await asyncio.to_thread(_hash, self._file))
        self._watcher = asyncio.create_task(self._watch(seen), name="config-watch") if watch else None

    async def stop(self) -> None:
        """Watch no longer, and let a reload under way end."""
        async with self._turn:
            if self._watcher is not None:
                self._watcher.cancel()
                await asyncio.gather(self._watcher, return_exceptions=True)

    async def run(self) -> list[str]:
        """Reload; return what is wrong, line by line: nothing, and the bridge runs on the new file."""
        async with self._turn:
            try:
                digest = await asyncio.to_thread(_hash, self._file)
                loaded = await asyncio.to_thread(config.load, self._file)
                await self._apply(loaded.settings, loaded.shown)
            except config.ConfigError as error:
                return self._failed(error.lines())
            except BridgeError as error:
                return self._failed([str(error)])
            except Exception as error:  # noqa: BLE001 - whatever it was, the next reload may do better
                _log.exception("reload stumbled")
                return self._failed([f"the reload failed: {type(error).__name__}"])
            for problem in (*loaded.missing, *loaded.doubts):
                _log.warning("doubtful configuration", place=problem.line_of(self._file))
            self._succeeded(digest)
            _log.info("configuration reloaded", file=self._file)
            return []

    def _succeeded(self, digest: int) -> None:
        self._metrics.config_successful.set(1)
        self._metrics.config_success_time.set(self._clock() / 1000)
        self._metrics.config_hash.set(digest)

    def _failed(self, lines: list[str]) -> list[str]:
        self._metrics.config_successful.set(0)
        for line in lines:
            _log.error("configuration not reloaded; the old one stays", problem=line)
        return lines

    async def _watch(self, seen: Look) -> None:
        async for _ in changes(lambda: [self._file], seen):
            await self.run()


def _hash(file: str) -> int:
    """Return a number for the file's content, as Alertmanager shows one; 0 when it cannot be read."""
    try:
        return int.from_bytes(hashlib.sha256(Path(file).read_bytes()).digest()[:6])
    except OSError:
        return 0
