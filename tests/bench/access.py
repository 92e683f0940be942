"""The cost of access control: acceptance with TLS and a password or token beside the same without, in turn."""

from __future__ import annotations

import base64
import statistics
import tempfile
import time
from pathlib import Path

from certificates import Authority

from bench import processes
from bench.loader import Spec
from bench.plan import Plan, Shape
from bench.processes import Sink
from bench.table import Findings, at_most, grid, spread

_TOKEN = "a-token-of-enough-length"
_USER, _PASSWORD = "alice", "alice"
_HASH = "$2b$10$OW5sXfa9tBPFgpy3ON6yl.n.kHSI/vPoT7KHDftIYk2f3YP97Mgh2"
_WEB = """\
tls_server_config: {cert_file: server.pem, key_file: server.key}
"""
_WAYS = {
    "open": ("", ""),
    "TLS and a token": (f"{_WEB}bearer_tokens_file: tokens.yml\n", f"Bearer {_TOKEN}"),
    "TLS and a password": (
        f"{_WEB}basic_auth_users: {{{_USER}: {_HASH}}}\n",
        "Basic " + base64.b64encode(f"{_USER}:{_PASSWORD}".encode()).decode(),
    ),
}


def measure(plan: Plan) -> Findings:
    """Measure the CPU of one request, one alert in each, over connections that stay open."""
    costs: dict[str, list[float]] = {way: [] for way in _WAYS}
    rates: dict[str, list[float]] = {way: [] for way in _WAYS}
    with processes.sink() as sink:
        for turn in range(plan.rounds):
            for way in _WAYS:
                cost, rate = _round(plan, sink, way, f"{turn}")
                costs[way].append(cost)
                rates[way].append(rate)
    plain = statistics.median(costs["open"])
    rows = [
        at_most(f"CPU of a webhook with {way}", "ms", statistics.median(found), plain, 1.5)
        for way, found in costs.items()
        if way != "open"
    ]
    lines = [(way, spread(costs[way]), spread(rates[way])) for way in _WAYS]
    return Findings(rows=rows, details=[grid(("access", "CPU of a webhook, ms", "accepted, alerts/s"), lines)])


def _round(plan: Plan, sink: Sink, way: str, seed: str) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(dir=plan.folder) as name:
        folder = Path(name)
        text, authorization = _WAYS[way]
        arguments = []
        if text:
            Authority(folder)
            (folder / "web.yml").write_text(text)
            (folder / "tokens.yml").write_text(f"bench: {_TOKEN}\n")
            arguments = [f"--web.config.file={folder / 'web.yml'}"]
        with processes.bridge(folder, sink.port, arguments=arguments) as bridge:
            ca_file = str(folder / "ca.pem") if text else ""
            _load(plan.single, sink, bridge.port, f"w{seed}", ca_file, authorization, plan.single.requests // 4)
            cpu = bridge.cpu
            seconds = _load(plan.single, sink, bridge.port, seed, ca_file, authorization, plan.single.requests)
            return (bridge.cpu - cpu) * 1000 / plan.single.requests, plan.single.requests / seconds


def _load(shape: Shape, sink: Sink, port: int, seed: str, ca_file: str, authorization: str, requests: int) -> float:
    """Send so many webhooks and wait until all has come to the sink; give the seconds until the last answer."""
    sink.reset()
    spec = Spec(
        port=port,
        connections=shape.connections,
        requests=requests,
        alerts=1,
        seed=seed,
        starts_at=int(time.time() * 1000) - 60_000,
        ca_file=ca_file,
        authorization=authorization,
    )
    result = processes.load(spec)
    sink.wait_for(requests)
    return result.seconds
