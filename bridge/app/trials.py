"""The bridge's side of trials: starts a process for each, a few at a time, and ends those that take too long.

In: a `TrialRequest`. Out: its `TrialResult`, or one whose error says why there is none. The event loop never waits:
what takes long runs in the process or on a thread. The process gets no environment of the bridge, so that no secret
can show.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from typing import cast

import msgspec

from bridge.clock import Clock
from bridge.log import logger
from bridge.mapping.playground.messages import read_result, write_request
from bridge.mapping.playground.process import MAX_CPU_SECONDS, too_much_memory
from bridge.mapping.playground.trial import RunningRules, TrialRequest, TrialResult

MAX_WEBHOOK_BYTES = 1 << 20
MAX_MAPPING_BYTES = 256 << 10

_MAX_SECONDS = 20.0
"""For one trial, since it is started; it has a low priority on a machine that may be busy."""

_MAX_RUNNING = 2
_MAX_WAITING = 8
_MAX_WAIT_SECONDS = 10.0
_MAX_OUTPUT_BYTES = 8 << 20

_COMMAND = ("-P", "-m", "bridge.mapping.playground")
_BUSY = "other trials are running. Fix: try again in some seconds."
_TOO_LONG = "the trial took too long. Fix: fewer alerts, or simpler rules and templates; or try again: others may run."
_STOPPED = "the bridge stops. Fix: try again when it runs."

_log = logger("playground")


class Trials:
    """Runs trials.

    Args:
        running: the rules in use.
        clock: the time.
    """

    def __init__(self, running: RunningRules, clock: Clock) -> None:
        self._running = running
        self._clock = clock
        self._free = asyncio.Semaphore(_MAX_RUNNING)
        self._waiting = 0
        self._processes: set[Process] = set()
        self._is_stopped = False

    @property
    def running(self) -> RunningRules:
        """The rules in use, with the text of their section."""
        return self._running

    def reconfigure(self, running: RunningRules) -> None:
        """Compare with other rules from the next trial on."""
        self._running = running

    async def start(self) -> None:
        """Do nothing: each trial starts its process."""

    async def stop(self) -> None:
        """End the trials in progress; later ones are refused."""
        self._is_stopped = True
        processes = list(self._processes)
        for process in processes:
            _kill(process)
        await asyncio.gather(*(process.wait() for process in processes))

    async def run(self, request: TrialRequest) -> TrialResult:
        """Return the result of a trial; whatever keeps it from one is its ``error``."""
        refusal = _too_large(request) or (_BUSY if self._waiting >= _MAX_WAITING else None)
        if refusal:
            return TrialResult(error=refusal)
        if not await self._got_a_place():
            return TrialResult(error=_BUSY)
        try:
            return await self._run(request)
        finally:
            self._free.release()

    async def _got_a_place(self) -> bool:
        self._waiting += 1
        try:
            async with asyncio.timeout(_MAX_WAIT_SECONDS):
                return await self._free.acquire()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1

    async def _run(self, request: TrialRequest) -> TrialResult:
        packed = await asyncio.to_thread(write_request, request, self._running, self._clock())
        if self._is_stopped:
            return TrialResult(error=_STOPPED)
        try:
            process = await _started()
        except OSError as error:
            _log.error("a trial of rules cannot be started", error=error.strerror)
            return TrialResult(error=f"the trial cannot be started: {error.strerror}")
        self._processes.add(process)
        try:
            return await self._result(process, packed)
        finally:
            self._processes.discard(process)
            _kill(process)
            await process.wait()

    async def _result(self, process: Process, packed: bytes) -> TrialResult:
        try:
            async with asyncio.timeout(_MAX_SECONDS):
                output, _ = await asyncio.gather(_read(process), _write(process, packed))
                code = await process.wait()
        except TimeoutError:
            return TrialResult(error=_TOO_LONG)
        if self._is_stopped:
            return TrialResult(error=_STOPPED)
        if code == 0:
            with contextlib.suppress(msgspec.DecodeError):
                return read_result(output)
        return TrialResult(error=_why(code))


def _too_large(request: TrialRequest) -> str | None:
    limits = (("alerts", request.webhook, MAX_WEBHOOK_BYTES), ("mapping", request.mapping or "", MAX_MAPPING_BYTES))
    for name, text, limit in limits:
        if len(text) > limit or len(text.encode(errors="replace")) > limit:
            return f"the {name} may take at most {limit >> 10} KiB here. Fix: paste a part."
    return None


async def _started() -> Process:
    modules = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    libraries = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return await asyncio.create_subprocess_exec(
        sys.executable, *_COMMAND, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=modules | libraries
    )


async def _write(process: Process, packed: bytes) -> None:
    """Write the request; a process that has ended says by its exit code why."""
    stdin = cast("asyncio.StreamWriter", process.stdin)
    with contextlib.suppress(ConnectionError):
        stdin.write(packed)
        await stdin.drain()
    stdin.close()


async def _read(process: Process) -> bytes:
    """Return the output; more than the bridge itself would write is not read."""
    stdout = cast("asyncio.StreamReader", process.stdout)
    output = bytearray()
    while part := await stdout.read(1 << 16):
        output += part
        if len(output) > _MAX_OUTPUT_BYTES:
            _kill(process)
            break
    return bytes(output)


def _kill(process: Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


def _why(code: int) -> str:
    """Return the sentence about a process that exited without a result."""
    if code == -signal.SIGXCPU:
        text = f"the trial took more than {MAX_CPU_SECONDS} s of computing"
        return f"{text}. Fix: fewer alerts, or simpler rules and templates."
    if code < 0:
        return too_much_memory()
    _log.error("a trial of rules failed", exit_code=code)
    return f"the trial failed by an error of the bridge: exit code {code}"
