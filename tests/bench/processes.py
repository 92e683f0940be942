"""Starts and ends the processes of the benchmark, and reads what the system says of them."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from bench.loader import Result, Spec

_TESTS = Path(__file__).parents[1]
_TICKS = os.sysconf("SC_CLK_TCK")
_PATIENCE = 180.0
_CONFIG = """\
targets:
  default:
    endpoint: http://127.0.0.1:{sink}
    project_id: project
    auth: {{token: {{value: token}}}}
    rate_limit: 1000
store: {{url: "sqlite:///{ledger}", max_open: 2000000}}
mapping:
  rules:
    - name: kubernetes-pod
      match: ['namespace!=""', 'pod!=""']
      set:
        resource_provider: CCE
        resource_type: pod
        resource_id: "clusterName={{{{ labels.cluster or 'my-cluster' }}}};kind=Pod;\
namespace={{{{ labels.namespace }}}};name={{{{ labels.pod }}}}"
"""
"""The README's own, so that mapping costs what it costs its users; max_open for the figure with a million."""


class BenchError(Exception):
    """A measurement did not come about; its text says why."""


class Process:
    """One running program that listens on loopback."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log = log

    @property
    def cpu(self) -> float:
        """CPU seconds that it and the processes it has started have used so far."""
        return sum(_cpu(pid) for pid in self._pids())

    @property
    def resident(self) -> float:
        """Resident memory in MB (10^6) of it and the processes it has started; what they share counts once (Pss)."""
        return sum(_kilobytes(f"/proc/{pid}/smaps_rollup", "Pss") for pid in self._pids()) * 1024 / 1e6

    @property
    def peak(self) -> float:
        """The most that each of them has had resident, together, in MB (10^6); what they share counts for each."""
        return sum(_kilobytes(f"/proc/{pid}/status", "VmHWM") for pid in self._pids()) * 1024 / 1e6

    def _pids(self) -> list[int]:
        own = self.process.pid
        return [own, *map(int, Path(f"/proc/{own}/task/{own}/children").read_text().split())]

    def get(self, path: str, method: str = "GET") -> tuple[int, str]:
        """Send one small request; return status and text."""
        return self._ask(method, path, None)

    def post(self, path: str, body: bytes) -> tuple[int, str]:
        """Post a body; return status and text."""
        return self._ask("POST", path, body)

    def _ask(self, method: str, path: str, body: bytes | None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _kilobytes(file: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", Path(file).read_text(), re.MULTILINE)
    if found is None:
        raise BenchError(f"{file} does not say {name}")
    return int(found[1])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Taken:
    """What the sink was sent; ``last``: when the last push came (monotonic clock)."""

    alarms: int
    pushes: int
    last: float


class Sink(Process):
    """The running sink."""

    def reset(self) -> None:
        """Begin to count anew."""
        self.get("/count", "DELETE")

    def wait_for(self, alarms: int, pause: float = 0.1) -> Taken:
        """Wait until so many alarms have come.

        Raises:
            BenchError: they do not come, or more than that have come.
        """
        came, deadline = 0, time.monotonic() + _PATIENCE
        while True:
            counts = json.loads(self.get("/count")[1])
            if counts["alarms"] > alarms:
                raise BenchError(f"the sink was sent {counts['alarms']} alarms instead of {alarms}")
            if counts["alarms"] == alarms:
                return Taken(**counts)
            if counts["alarms"] != came:
                came, deadline = counts["alarms"], time.monotonic() + _PATIENCE
            if time.monotonic() > deadline:
                raise BenchError(f"only {came} of {alarms} alarms have come to the sink")
            time.sleep(pause)


class Load:
    """A loader that has built its requests and waits for the word."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def go(self) -> None:
        """Begin."""
        self._say("go")

    def stop(self) -> None:
        """End early: what is in flight is still waited for."""
        self._say("stop")

    def result(self) -> Result:
        """Wait for the end; every request must have been answered with 200.

        Raises:
            BenchError: one was not.
        """
        result = self.anyhow()
        if result.refused or result.failed:
            raise BenchError(f"{result.refused} requests were refused, {result.failed} connections failed")
        return result

    def anyhow(self) -> Result:
        """Wait for the end, however the requests went."""
        return Result(**json.loads(self._read()))

    def _say(self, word: str) -> None:
        _pipe(self._process.stdin).write(word.encode() + b"\n")
        _pipe(self._process.stdin).flush()

    def _read(self) -> str:
        line = _pipe(self._process.stdout).readline().decode()
        if not line:
            raise BenchError("the loader has ended without a result")
        return line


@contextlib.contextmanager
def loading(spec: Spec) -> Iterator[Load]:
    """Start a loader; it has built its requests and connected once the block begins."""
    line = json.dumps(dataclasses.asdict(spec)).encode() + b"\n"
    with _running([sys.executable, "-m", "bench.loader"], None, stdin=subprocess.PIPE) as process:
        _pipe(process.stdin).write(line)
        _pipe(process.stdin).flush()
        load = Load(process)
        if load._read() != "ready\n":
            raise BenchError("the loader did not become ready")
        yield load


def load(spec: Spec) -> Result:
    """Send it all; return how it went."""
    with loading(spec) as loader:
        loader.go()
        return loader.result()


@contextlib.contextmanager
def sink() -> Iterator[Sink]:
    """Run the sink."""
    with _listening(Sink, "bench.sink") as process:
        yield process


@contextlib.contextmanager
def relay(sink_port: int) -> Iterator[Process]:
    """Run the relay, which forwards to the sink."""
    with _listening(Process, "bench.relay", f"--sink=http://127.0.0.1:{sink_port}") as process:
        yield process


@contextlib.contextmanager
def peer(count: int, seed: str, starts_at: int) -> Iterator[Process]:
    """Run what stands for one Alertmanager that lists so many alerts."""
    with _listening(Process, "bench.peer", f"--count={count}", f"--seed={seed}", f"--starts-at={starts_at}") as process:
        yield process


@contextlib.contextmanager
def bare_receiver() -> Iterator[Process]:
    """Run the receiver that only answers 200."""
    with _listening(Process, "bench.relay", "--bare") as process:
        yield process


@contextlib.contextmanager
def bridge(
    folder: Path, sink_port: int, port: int = 0, config: str = "", arguments: Sequence[str] = ()
) -> Iterator[Process]:
    """Run the bridge on the ledger of this folder, as its users do; the block begins once it is ready."""
    with bridge_starting(folder, sink_port, port, config, arguments) as process:
        wait(lambda: b"msg=ready" in process.log.read_bytes() or process.process.poll() is not None, "the bridge")
        found = re.search(rb"msg=ready address=\S+:(\d+)", process.log.read_bytes())
        if found is None:
            raise BenchError(f"the bridge did not start: {process.log.read_text()[-2_000:]}")
        process.port = int(found[1])
        yield process


@contextlib.contextmanager
def bridge_starting(
    folder: Path, sink_port: int, port: int = 0, config: str = "", arguments: Sequence[str] = ()
) -> Iterator[Process]:
    """Start the bridge and do not wait until it is ready; ``config``: a configuration other than the usual one."""
    folder.mkdir(parents=True, exist_ok=True)
    file, log = folder / "bridge.yaml", folder / "bridge.log"
    file.write_text(config or config_text(folder, sink_port))
    log.write_bytes(b"")
    command = [sys.executable, "-m", "bridge", "serve", f"--config.file={file}", "--log.level=info", *arguments]
    with _running([*command, f"--web.listen-address=127.0.0.1:{port}"], log) as process:
        yield Process(process, port, log)


def config_text(folder: Path, sink_port: int) -> str:
    """Return the usual configuration of the bridge of this folder."""
    return _CONFIG.format(sink=sink_port, ledger=ledger_file(folder))


def config_of(folder: Path) -> Path:
    """Return the configuration file that the bridge of this folder was started with."""
    return folder / "bridge.yaml"


def ledger_file(folder: Path) -> Path:
    """Return where the bridge of this folder keeps its ledger."""
    return folder / "ledger.db"


@contextlib.contextmanager
def alertmanager(program: str, config: Path, port: int) -> Iterator[Process]:
    """Run the real Alertmanager on this configuration; the block begins once it is ready."""
    log = config.with_suffix(".log")
    command = [program, f"--config.file={config}", f"--storage.path={config.parent / 'alertmanager'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    with _running(command, log) as process:
        running = Process(process, port, log)
        wait(lambda: is_ready(running), "Alertmanager")
        yield running


def is_ready(process: Process) -> bool:
    """Say whether its ``/-/ready`` answers 200."""
    try:
        return process.get("/-/ready")[0] == 200
    except OSError:
        return False


def wait(condition: Callable[[], bool], what: str, pause: float = 0.02) -> None:
    """Wait until a condition holds.

    Raises:
        BenchError: it never does.
    """
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"waited in vain for {what}")
        time.sleep(pause)


def free_port() -> int:
    """Return a port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _listening(kind: type[Any], module: str, *arguments: str) -> Iterator[Any]:
    with _running([sys.executable, "-m", module, *arguments], None) as process:
        line = _pipe(process.stdout).readline().decode()
        if not line.startswith("listening "):
            raise BenchError(f"{module} did not start")
        yield kind(process, int(line.split()[1]), Path(os.devnull))


@contextlib.contextmanager
def _running(
    command: list[str], log: Path | None, stdin: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program; it is ended by its pid at the latest here. Without a log its standard output is a pipe."""
    path = os.pathsep.join(filter(None, (str(_TESTS), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path}
    with contextlib.ExitStack() as stack:
        out: int | IO[bytes] = stack.enter_context(log.open("ab")) if log else subprocess.PIPE
        errors = out if log else None
        process = subprocess.Popen(command, stdin=stdin, stdout=out, stderr=errors, env=environment)
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise BenchError("the process was started without a pipe")
    return pipe
