"""The loader: sends webhooks as fast as they are answered, over so many connections; a process of its own.

In: one line of JSON on standard input (`Spec`), then ``go``, and ``stop`` where it must end early. Out on standard
output: ``ready``, then one line of JSON (`Result`). All requests are built before ``ready``; it uses plain sockets and
epoll, so that the loader takes as little of the machine as it can.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import re
import resource
import select
import socket
import ssl
import sys
import time
from dataclasses import dataclass

from bench import alerts

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_IN, _OUT = select.EPOLLIN, select.EPOLLOUT
_PATIENCE = 120.0


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What to send.

    ``distinct``: so many different alerts, over and over; 0 is each one once. ``first``: the number of the first alert.
    ``ca_file``: speak TLS with whom it has signed. ``authorization``: the header, where one is wanted.
    """

    port: int
    connections: int
    requests: int
    alerts: int
    seed: str
    starts_at: int
    first: int = 0
    distinct: int = 0
    ca_file: str = ""
    authorization: str = ""


@dataclass(frozen=True, kw_only=True)
class Result:
    """How it went; times in seconds, ``begun`` and ``ended`` by the machine's monotonic clock."""

    begun: float
    ended: float
    answered: int
    refused: int
    failed: int
    p50: float
    p99: float
    longest: float
    cpu: float

    @property
    def seconds(self) -> float:
        """From the first request to the last answer."""
        return self.ended - self.begun


class _Client:
    """One connection."""

    __slots__ = ("begun", "received", "rest", "socket")

    def __init__(self, port: int, tls: ssl.SSLContext | None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="127.0.0.1")
        self.socket.settimeout(0)
        self.begun = 0.0
        self.received = b""
        self.rest: memoryview | None = None


class _Load:
    def __init__(self, spec: Spec, requests: list[bytes]) -> None:
        self._spec = spec
        self._requests = requests
        self._poll = select.epoll()
        self._poll.register(sys.stdin.fileno(), _IN)
        self._clients: dict[int, _Client] = {}
        tls = ssl.create_default_context(cafile=spec.ca_file) if spec.ca_file else None
        for _ in range(spec.connections):
            client = _Client(spec.port, tls)
            self._clients[client.socket.fileno()] = client
            self._poll.register(client.socket.fileno(), _IN)
        self._sent = 0
        self._most = spec.requests
        self._busy = 0
        self._refused = 0
        self._failed = 0
        self._latencies: list[float] = []

    def run(self) -> Result:
        cpu = _cpu()
        begun = time.monotonic()
        for client in self._clients.values():
            self._busy += 1
            self._next(client)
        while self._busy:
            events = self._poll.poll(_PATIENCE)
            if not events:
                self._failed += self._busy
                break
            for number, mask in events:
                self._on_event(number, mask)
        ended = time.monotonic()
        return self._result(begun, ended, _cpu() - cpu)

    def _on_event(self, number: int, mask: int) -> None:
        client = self._clients.get(number)
        if client is None:
            self._most = 0  # standard input: stop
            self._poll.unregister(number)
            return
        try:
            if client.rest is not None and mask & _OUT:
                self._send(client, client.rest)
            if mask & ~_OUT:
                self._read(client)
        except OSError:
            self._fail(client)

    def _next(self, client: _Client) -> None:
        if self._sent >= self._most:
            self._busy -= 1
            return
        request = self._requests[self._sent % len(self._requests)]
        self._sent += 1
        client.begun = time.monotonic()
        try:
            self._send(client, memoryview(request))
        except OSError:
            self._fail(client)

    def _send(self, client: _Client, data: memoryview) -> None:
        try:
            sent = client.socket.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            sent = 0
        was_waiting = client.rest is not None
        client.rest = data[sent:] if sent < len(data) else None
        if (client.rest is not None) != was_waiting:
            self._poll.modify(client.socket.fileno(), _IN | _OUT if client.rest is not None else _IN)

    def _read(self, client: _Client) -> None:
        try:
            data = client.socket.recv(65_536)
        except ssl.SSLWantReadError:
            return
        if not data:
            self._fail(client)
            return
        client.received += data
        head_ends = client.received.find(b"\r\n\r\n")
        if head_ends < 0:
            return
        found = _LENGTH.search(client.received, 0, head_ends + 2)
        if len(client.received) < head_ends + 4 + (int(found[1]) if found else 0):
            return
        self._latencies.append(time.monotonic() - client.begun)
        if not client.received.startswith(b"HTTP/1.1 200"):
            self._refused += 1
        client.received = b""
        self._next(client)

    def _fail(self, client: _Client) -> None:
        self._failed += 1
        self._busy -= 1
        del self._clients[client.socket.fileno()]
        client.socket.close()

    def _result(self, begun: float, ended: float, cpu: float) -> Result:
        ordered = sorted(self._latencies) or [0.0]
        return Result(
            begun=begun,
            ended=ended,
            answered=len(self._latencies),
            refused=self._refused,
            failed=self._failed,
            p50=ordered[len(ordered) // 2],
            p99=ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)],
            longest=ordered[-1],
            cpu=cpu,
        )


def _build(spec: Spec) -> list[bytes]:
    distinct = spec.distinct or spec.requests * spec.alerts
    requests = []
    for number in range(0, distinct, spec.alerts):
        body = alerts.body(spec.seed, spec.first + number, spec.alerts, spec.starts_at)
        head = f"POST /webhook HTTP/1.1\r\nHost: 127.0.0.1:{spec.port}\r\nUser-Agent: Alertmanager/bench\r\n"
        head += f"Authorization: {spec.authorization}\r\n" if spec.authorization else ""
        head += f"Content-Length: {len(body)}\r\nContent-Type: application/json\r\n\r\n"
        requests.append(head.encode() + body)
    return requests


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _main() -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    spec = Spec(**json.loads(sys.stdin.readline()))
    load = _Load(spec, _build(spec))
    gc.freeze()
    gc.disable()
    _say("ready")
    sys.stdin.readline()
    _say(json.dumps(dataclasses.asdict(load.run())))


if __name__ == "__main__":
    _main()
