"""Rounds: what it costs to be held in step with an Alertmanager that lists many alerts, and how long webhooks wait.

Two bridges on copies of one ledger, in turn: one asks a peer, one does not. Every alert of the list has an open alarm.
A round begins with its first request and ends with its comparison, which a metric counts.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from bench import alerts, processes
from bench.loader import Spec
from bench.plan import Plan
from bench.processes import BenchError, Process, Sink
from bench.start import prepare
from bench.table import Findings, at_least, below, grid, spread

_SEED = "listed"
_EVERY = 0.02
_PAUSE = 0.05
_PATIENCE = 300.0
_MAX_PART = 0.1
_MAX_DISTINCT = 1_000
_MAX_REQUESTS = 10_000_000
_ASKING = 'alertmanagers: [{{urls: ["http://127.0.0.1:{port}"], interval: {interval}s}}]\n'
_ROUNDS = "aom_bridge_reconcile_rounds_total"
_TAKEN = 'aom_bridge_alerts_total{outcome="repeat",status="firing"}'


@dataclass(frozen=True, kw_only=True)
class Round:
    """One round: its begin, its answers and its end, by the monotonic clock."""

    begun: float
    answered: float
    ended: float

    @property
    def took(self) -> float:
        """Seconds from its first request to the end of its comparison."""
        return self.ended - self.begun


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One turn: a bridge with rounds, and one without.

    Times are seconds, waits of webhooks milliseconds, memory MB, ``part`` per cent of one core. The first round stores
    what it has learnt of every alert. Waits are counted until some seconds after the comparison, for what follows from
    it. Acceptance is counted in a pause (``outside``) and in the round after it (``inside``, which takes ``busy_took``)
    under one load, and by the bridge without rounds (``plain_accepted``). ``accepted`` follows from the first three: it
    is over such a round and the pause that follows it.
    """

    took: float
    asked: float
    pause: float
    cpu: float
    part: float
    p50: float
    p99: float
    longest: float
    first_took: float
    first_p50: float
    first_p99: float
    first_longest: float
    plain_p50: float
    plain_p99: float
    plain_longest: float
    memory: float
    plain_memory: float
    peak: float
    plain_peak: float
    accepted: float
    outside: float
    inside: float
    busy_took: float
    plain_accepted: float


_TITLES = {
    "took": "a round, s",
    "asked": "its requests, s",
    "pause": "the pause after it, s",
    "cpu": "CPU of a round, s",
    "part": "CPU of rounds, % of one core",
    "p50": "wait of webhooks during a round, median, ms",
    "p99": "wait of webhooks during a round, p99, ms",
    "longest": "wait of webhooks during a round, longest, ms",
    "first_took": "the first round, s",
    "first_p50": "wait of webhooks during the first round, median, ms",
    "first_p99": "wait of webhooks during the first round, p99, ms",
    "first_longest": "wait of webhooks during the first round, longest, ms",
    "plain_p50": "wait of webhooks without rounds, median, ms",
    "plain_p99": "wait of webhooks without rounds, p99, ms",
    "plain_longest": "wait of webhooks without rounds, longest, ms",
    "memory": "resident memory after three rounds, MB",
    "plain_memory": "resident memory without rounds, MB",
    "peak": "peak memory with rounds, MB",
    "plain_peak": "peak memory without rounds, MB",
    "accepted": "accepted over a round and the pause after it, alerts/s",
    "outside": "accepted in the pause, alerts/s",
    "inside": "accepted during a round, alerts/s",
    "busy_took": "that round, s",
    "plain_accepted": "accepted without rounds, alerts/s",
}


def measure(plan: Plan) -> Findings:
    """Measure each length of the list."""
    findings = Findings()
    with processes.sink() as sink:
        for count in plan.listed:
            turns = _turns(plan, sink, count)
            middle = {one.name: statistics.median(getattr(turn, one.name) for turn in turns) for one in fields(Turn)}
            title = f"{count:,} alerts listed"
            findings.rows += [
                below(f"longest wait of a webhook during a round, {title}", "ms", middle["longest"], 100),
                below(f"longest wait of a webhook during the first round, {title}", "ms", middle["first_longest"], 500),
                below(f"CPU of rounds, {title}", "% of a core", middle["part"], 10),
                at_least(
                    f"durable acceptance with rounds, {title}",
                    "alerts/s",
                    middle["accepted"],
                    middle["outside"],
                    0.95,
                ),
            ]
            lines = [(text, spread([getattr(turn, name) for turn in turns])) for name, text in _TITLES.items()]
            findings.details.append(grid((title, "median and range"), lines))
    return findings


def _turns(plan: Plan, sink: Sink, count: int) -> list[Turn]:
    starts_at = int(time.time() * 1000) - 60_000
    with tempfile.TemporaryDirectory(dir=plan.folder) as name, processes.peer(count, _SEED, starts_at) as peer:
        base = prepare(Path(name) / "base", sink, count, _SEED, starts_at)
        turn = _Measured(plan, sink, peer, count, starts_at)
        return [turn.run(base) for _ in range(plan.rounds)]


class _Measured:
    """Runs the turns for one length of the list.

    Args:
        plan: how much of everything.
        sink: stands for AOM.
        peer: stands for Alertmanager.
        count: how many alerts it lists.
        starts_at: since when they fire.
    """

    def __init__(self, plan: Plan, sink: Sink, peer: Process, count: int, starts_at: int) -> None:
        self._plan = plan
        self._sink = sink
        self._peer = peer
        self._count = count
        self._starts_at = starts_at

    def run(self, base: Path) -> Turn:
        """Run one turn."""
        with self._bridge(base, is_asking=False) as bridge:
            with self._posting(bridge) as plain_posts:
                time.sleep(self._plan.settle)
            plain = bridge.resident, bridge.peak
            plain_accepted = self._accepted(bridge, lambda: time.sleep(3 * self._plan.settle))
        before = _asked(self._peer)[0]
        with self._bridge(base, is_asking=True) as bridge:
            watch = _Watch(bridge, self._peer, before)
            with self._posting(bridge) as first_posts:
                first = watch.round(1)
                time.sleep(self._plan.settle)
            watch.begin(2)
            cpu = bridge.cpu
            quiet = watch.round(2)
            time.sleep(self._plan.settle / 10)
            cpu = bridge.cpu - cpu
            with self._posting(bridge) as posts:
                busy = watch.round(3)
                time.sleep(self._plan.settle)
            memory, peak = bridge.resident, bridge.peak
            rates: list[tuple[float, float, float]] = []
            self._accepted(bridge, lambda: rates.append(watch.rates(4)))
            outside, inside, busy_took = rates[0]
        pause, busy_pause = self._pause(quiet.took), self._pause(busy_took)
        return Turn(
            took=quiet.took,
            asked=quiet.answered - quiet.begun,
            pause=pause,
            cpu=cpu,
            part=100 * cpu / (pause + quiet.took),
            p50=self._wait(posts, 0.5, busy),
            p99=self._wait(posts, 0.99, busy),
            longest=self._wait(posts, 1, busy),
            first_took=first.took,
            first_p50=self._wait(first_posts, 0.5, first),
            first_p99=self._wait(first_posts, 0.99, first),
            first_longest=self._wait(first_posts, 1, first),
            plain_p50=self._wait(plain_posts, 0.5),
            plain_p99=self._wait(plain_posts, 0.99),
            plain_longest=self._wait(plain_posts, 1),
            memory=memory,
            plain_memory=plain[0],
            peak=peak,
            plain_peak=plain[1],
            accepted=(busy_pause * outside + busy_took * inside) / (busy_pause + busy_took),
            outside=outside,
            inside=inside,
            busy_took=busy_took,
            plain_accepted=plain_accepted,
        )

    def _pause(self, took: float) -> float:
        """Return the pause that the bridge makes after a round of so many seconds."""
        return max(self._plan.interval, took / _MAX_PART)

    @contextlib.contextmanager
    def _bridge(self, base: Path, *, is_asking: bool) -> Iterator[Process]:
        with tempfile.TemporaryDirectory(dir=self._plan.folder) as name:
            folder = Path(name)
            shutil.copyfile(base, processes.ledger_file(folder))
            asking = _ASKING.format(port=self._peer.port, interval=self._plan.interval) if is_asking else ""
            text = processes.config_text(folder, self._sink.port) + asking
            with processes.bridge(folder, self._sink.port, config=text) as bridge:
                yield bridge

    @contextlib.contextmanager
    def _posting(self, bridge: Process) -> Iterator[list[tuple[float, float]]]:
        """Post one webhook after the other, at most one in each time of `_EVERY`; give when each was sent and answered.

        They repeat one alert, so that nothing is reported, and the open alarms are those that the peer lists.
        """
        posts: list[tuple[float, float]] = []
        ending = threading.Event()
        body = alerts.body(_SEED, 0, 1, self._starts_at)

        def run() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", bridge.port, timeout=60)
            while not ending.wait(_EVERY):
                begun = time.monotonic()
                connection.request("POST", "/webhook", body)
                connection.getresponse().read()
                posts.append((begun, time.monotonic()))
            connection.close()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield posts
        finally:
            ending.set()
            thread.join()

    def _wait(self, posts: list[tuple[float, float]], part: float, one: Round | None = None) -> float:
        """Return a quantile of the waits of webhooks, of those that waited during a round or soon after it."""
        waits = sorted(
            (answered - sent) * 1000
            for sent, answered in posts
            if one is None or (answered >= one.begun and sent <= one.ended + self._plan.settle)
        )
        return waits[min(len(waits) - 1, int(len(waits) * part))]

    def _accepted(self, bridge: Process, during: Callable[[], object]) -> float:
        """Return how many alerts the bridge takes in a second, over as long as a call takes; they are repeats."""
        shape = self._plan.grouped
        spec = Spec(
            port=bridge.port,
            connections=shape.connections,
            requests=_MAX_REQUESTS,
            alerts=shape.alerts,
            seed=_SEED,
            starts_at=self._starts_at,
            distinct=min(_MAX_DISTINCT, self._count) // shape.alerts * shape.alerts,
        )
        with processes.loading(spec) as load:
            load.go()
            during()
            load.stop()
            result = load.result()
        return result.answered * shape.alerts / result.seconds


class _Watch:
    """Sees the rounds of one bridge.

    Args:
        bridge: the bridge.
        peer: whom it asks.
        before: how many rounds have asked the peer before this bridge was started.
    """

    def __init__(self, bridge: Process, peer: Process, before: int) -> None:
        self._bridge = bridge
        self._peer = peer
        self._before = before

    def begin(self, count: int) -> None:
        """Wait until this round has begun; the first has the number 1."""
        _wait(lambda: _asked(self._peer)[0] >= self._before + count, f"round {count}")

    def round(self, count: int) -> Round:
        """Wait until this round has ended."""
        self.begin(count)
        _wait(lambda: _asked(self._peer)[2] > _asked(self._peer)[1], f"the answers of round {count}")
        _, begun, answered = _asked(self._peer)
        _wait(lambda: _metric(self._bridge, _ROUNDS) >= count, f"the comparison of round {count}")
        return Round(begun=begun, answered=answered, ended=time.monotonic())

    def rates(self, count: int) -> tuple[float, float, float]:
        """Wait until this round has ended; return the alerts taken a second before and during it, and its seconds."""
        waited, first = time.monotonic(), _metric(self._bridge, _TAKEN)
        self.begin(count)
        begun, second = time.monotonic(), _metric(self._bridge, _TAKEN)
        took = self.round(count).took
        ended, third = time.monotonic(), _metric(self._bridge, _TAKEN)
        return (second - first) / (begun - waited), (third - second) / (ended - begun), took


def _asked(peer: Process) -> tuple[int, float, float]:
    """Return how many rounds have asked the peer, and when the last one began and was answered."""
    told = json.loads(peer.get("/round")[1])
    return told["number"], told["began"], told["answered"]


def _metric(bridge: Process, series: str) -> float:
    """Return the sum of a metric's series that begin like this."""
    lines = bridge.get("/metrics")[1].splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(series))


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"waited in vain for {what}")
        time.sleep(_PAUSE)
