"""The bridge of the demo: `aom-bridge serve` as a process of its own, so that it can be killed.

In: a folder with its configuration. Out: a bridge that listens on loopback, at the same address after each start, and
its log in the folder. Nothing of the bridge runs in this process.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from pathlib import Path

import msgspec

from bridge.errors import BridgeError

HOST = "127.0.0.1"
_PORT = 9876
_CONFIG = "bridge.yaml"
_LOG = "bridge.log"
_START_SECONDS = 30.0
_STOP_SECONDS = 15.0
_POLL_SECONDS = 0.02
_MAX_LINES = 5


class _Line(msgspec.Struct):
    """One line of the bridge's log."""

    msg: str = ""
    address: str = ""


class BridgeProcess:
    """One bridge, started again and again.

    Args:
        folder: where its configuration, its ledger and its log are.
        config: the configuration, as YAML.

    Attributes:
        url: its address; valid after `start`.
    """

    def __init__(self, folder: Path, config: str) -> None:
        self.url = ""
        self._folder = folder
        self._process: Process | None = None
        (folder / _CONFIG).write_text(config, encoding="utf-8")

    async def start(self) -> None:
        """Start it, and return when it is ready; where the usual port is taken, the first time at any free one.

        Raises:
            BridgeError: it did not become ready; the text shows the end of its log.
        """
        if self.url:
            await self._start(self.url.removeprefix("http://"))
        elif not await self._has_started(f"{HOST}:{_PORT}"):
            await self._start(f"{HOST}:0")

    async def kill(self) -> None:
        """End it as `kill -9` does."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """End it as an operator does, and kill it if that takes too long."""
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._end(signal.SIGTERM)
        except TimeoutError:
            await self.kill()

    async def _end(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
            await self._process.wait()

    async def _has_started(self, address: str) -> bool:
        try:
            await self._start(address)
        except BridgeError:
            return False
        return True

    async def _start(self, address: str) -> None:
        log = self._folder / _LOG
        before = log.stat().st_size if log.exists() else 0
        with log.open("ab") as sink:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bridge", "serve", f"--config.file={_CONFIG}"),
                *(f"--web.listen-address={address}", "--log.format=json"),
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=sink,
                cwd=self._folder,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                process_group=0,  # Ctrl-C on the terminal reaches the demo alone, which then stops it
            )
        self.url = await self._ready(self._process, before)

    async def _ready(self, process: Process, before: int) -> str:
        """Wait for the line of the log that says that the bridge is ready, and return its address."""
        try:
            async with asyncio.timeout(_START_SECONDS):
                while process.returncode is None:
                    if address := _address(self._logged(before)):
                        return address
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            await self.kill()
        end = "\n".join(self._logged(before).decode(errors="replace").splitlines()[-_MAX_LINES:])
        raise BridgeError(f"the demo's bridge did not start:\n{end}")

    def _logged(self, before: int) -> bytes:
        return (self._folder / _LOG).read_bytes()[before:]


def _address(logged: bytes) -> str:
    """Return the address in the line that says that the bridge is ready; empty if there is none yet."""
    complete = logged[: logged.rfind(b"\n") + 1]
    for line in complete.splitlines():
        if line.startswith(b"{") and (read := msgspec.json.decode(line, type=_Line)).msg == "ready":
            return read.address
    return ""
