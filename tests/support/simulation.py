"""The simulation: real bridges on a virtual clock, between simulated Alertmanagers and a simulated AOM.

One seed decides which alerts fire and resolve, what becomes of every request, and when bridges are killed and clocks
step. When all that has ended, AOM's open alarms must be exactly the alerts that fire, and nothing may be left to do.
The bridge is the product as it is, from the webhook's handler to aiohttp's client; only sockets, threads and time are
not real. Try seeds with `python tests/support/simulation.py --modes=lookup,lag --seeds=0:100`.
"""

import argparse
import asyncio
import collections
import contextlib
import random
import sys
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from unittest import mock

import aiohttp
from postgres import postgres_server
from simulated_alertmanager import Alert, Group
from simulated_aom import Aom, Switches
from simulated_bridge import Replica
from simulated_wire import SimulatedConnector
from structlog.testing import capture_logs
from virtual_time import VirtualLoop

from bridge.clock import SharedClock
from bridge.ledger.storage.postgres import PostgresDatabase

EPOCH = 1_800_000_000_000
LOOKUP_WAIT, LEASE = 12.0, 16.0
ATTEMPT = LEASE / 2 / 3 - 0.5
"""How long the bridge waits for one answer, with that lease."""
SHORT_SECONDS = 40.0
"""How long alerts fire and resolve in the small size."""
SETTLING_SECONDS = 180.0
QUIET_SECONDS = 3 * LOOKUP_WAIT
"""What is in doubt is looked at after `lookup_wait`; so long after all is right, nothing is in doubt any more."""

_CLIMATES = (("calm", "calm", "calm", "rough"), ("calm", "calm", "rough", "rough", "rough", "down"))

CONFIG = """
targets:
  default:
    endpoint: http://aom.example
    project_id: p1
    auth: {{token: {{value: emulator-token}}}}
    lookup_wait: {lookup_wait}s
    reassert_after: 90s
    rate_limit: 50
    clear_by: {clear_by}
store: {{url: "{ledger}", lease: {lease}s}}
delivery: {{retry_min: 200ms, retry_max: 8s, batch_wait: 50ms, shutdown_timeout: 2s}}
"""


@dataclass(frozen=True, kw_only=True)
class Mode:
    """One kind of AOM, and how the bridge is set for it; what is left open here is the seed's.

    ``has_leftovers``: an alert that fires may have a second alarm, which goes with its own.
    """

    clear_by: str = "lookup"
    has_lag: bool = False
    one_value: bool = False
    has_leftovers: bool = False
    replicas: int = 1
    far_clocks: bool = False

    def of(self, chance):
        """Give the mode for one seed: of two replicas now and then the clocks are hours apart."""
        return replace(self, far_clocks=self.replicas > 1 and chance.random() < 0.3)

    def switches(self, chance):
        """Give what AOM is like for one seed: late and lag together stay below `lookup_wait`."""
        lag = chance.uniform(*chance.choice(((0.2, 5), (5, 10), (7, 10)))) if self.has_lag else 0.0
        made = Switches(
            ids=chance.choice(("assigned", "supplied")),
            same_alarm=chance.choice(("metadata", "id")),
            unknown_id=chance.choice((204, 400)),
            one_value=self.one_value,
            lag=lag,
            late=chance.uniform(0.5, LOOKUP_WAIT - 1 - lag),
            timeout_from=chance.choice(("arrival", "starts_at")),
            page=chance.choice((1_000, 1_000, 3)),
            empties=chance.random() < 0.2,
            odd=chance.random() < 0.1,
            proxies=chance.random() < 0.4,
            odd_starts=chance.random() < 0.3,
        )
        if self.clear_by == "id":
            return replace(made, ids="supplied", same_alarm="id", may_list=chance.random() < 0.7)
        return made


MODES = {
    "lookup": Mode(),
    "lag": Mode(has_lag=True),
    "by-id": Mode(clear_by="id", has_leftovers=True),
    "one-value": Mode(one_value=True),
    "replicas": Mode(replicas=2, has_lag=True),
}


class World:
    """Everything together, for one seed.

    Args:
        mode: the kind of AOM.
        seed: decides everything that chance decides.
        ledger: the address of an empty ledger.
        alerts: how many alerts there are.
        seconds: how long they fire and resolve.
    """

    def __init__(self, mode, seed, ledger, *, alerts=18, seconds=150.0):
        self._chance = partial(_chance, seed)
        self.seed, self.seconds = seed, seconds
        self.mode = mode = mode.of(self._chance("mode"))
        switches = mode.switches(self._chance("switches"))
        self.history = []
        self.aom = Aom(switches, self._chance("aom"), attempt=ATTEMPT, clock=self.now, note=self.note)
        config = CONFIG.format(ledger=ledger, clear_by=mode.clear_by, lookup_wait=int(LOOKUP_WAIT), lease=int(LEASE))
        self.replicas = [Replica(number, config, self.now, self.note) for number in range(mode.replicas)]
        kinds = ["without a start", "of long ago"] if switches.odd_starts else []
        kinds += ["plain"] * (alerts - len(kinds))
        self.alerts = [Alert(f"Alert{number}", kind) for number, kind in enumerate(kinds)]
        self.groups = self._grouped()
        self._tasks = []

    def now(self):
        """Give the true time."""
        return EPOCH + round(asyncio.get_running_loop().time() * 1000)

    def note(self, fingerprint, text):
        """Write a line into an alert's history, or into everybody's."""
        self.history.append((asyncio.get_running_loop().time(), fingerprint, text))

    def _grouped(self):
        chance, post = self._chance("alertmanagers"), self._poster()
        third = len(self.alerts) // 3
        parts = [self.alerts[:third], self.alerts[third : 2 * third], self.alerts[2 * third :]]
        return [Group(some, chance.choice((1, 2, 2)), chance, post, self.note) for some in parts]

    def _poster(self):
        chance, lock = self._chance("posts"), asyncio.Lock()

        async def post(body):
            # One after the other: else two replicas could keep two posts in one order and answer in another.
            async with lock:
                await asyncio.sleep(chance.uniform(0.001, 0.02))
                replica = chance.choice(self.replicas)
                if not replica.is_up:
                    return 502
                status = await replica.post(body)
                return None if chance.random() < 0.02 else status

        return post

    # What happens

    async def run(self):
        """Let it all happen, and give the text of what is wrong at the end; empty where all is right."""
        for replica in self.replicas:
            replica.skew = self._first_skew(replica)
            await replica.start()
        peers = [peer for group in self.groups for peer in group.peers]
        steps = (self._change, self._turn_weather, self._part_peers, self._step_clocks, self._hide_lists)
        self._begin(*(peer.run() for peer in peers))
        troubles = self._begin(*(step() for step in steps), *(self._kill(replica) for replica in self.replicas))
        await asyncio.sleep(self.seconds)
        await self._calm(troubles)
        wrong = await self._judged()
        await self._end(self._tasks)
        for replica in self.replicas:
            await replica.stop()
        return wrong

    def _begin(self, *coroutines):
        tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
        self._tasks += tasks
        return tasks

    async def _end(self, tasks):
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result

    async def _calm(self, troubles):
        """The truth stands still, faults end, every bridge runs: but of two, one may stay away for good."""
        await self._end(troubles)
        await asyncio.gather(*(replica.outage for replica in self.replicas if replica.outage is not None))
        self.aom.weather, self.aom.shows_nothing = "calm", False
        for group in self.groups:
            group.heal()
        away = self._chance("away")
        for replica in self.replicas[1:] if self.mode.replicas > 1 and away.random() < 0.3 else ():
            await replica.kill()
            self.replicas.remove(replica)
        self.note("", "all is calm, and the truth stands still")

    async def _change(self):
        """Change the truth; what goes wrong with an alert's last change is not mended by a later one."""
        chance = self._chance("truth")

        async def live(one):
            await asyncio.sleep(chance.uniform(0, 0.7) * self.seconds)
            for _ in range(chance.randint(1, 6)):
                one.resolve(self.now()) if one.is_firing else one.fire(chance, self.now())
                self._changed(one)
                pauses = chance.uniform(0.5, 8), chance.uniform(4, 12), chance.uniform(6, 40)
                await asyncio.sleep(chance.choice(pauses))

        async with asyncio.TaskGroup() as tasks:
            for one in self.alerts:
                tasks.create_task(live(one))

    async def _turn_weather(self):
        chance = self._chance("weather")
        climate = chance.choice(_CLIMATES)
        while True:
            self.aom.weather = chance.choice(climate)
            self.note("", f"AOM: {self.aom.weather}")
            await asyncio.sleep(chance.uniform(3, 25))

    async def _part_peers(self):
        chance = self._chance("gossip")
        while True:
            await asyncio.sleep(chance.uniform(20, 120))
            group = chance.choice(self.groups)
            group.part()
            await asyncio.sleep(chance.uniform(5, 20))
            group.heal()

    async def _hide_lists(self):
        chance = self._chance("lists")
        if self.aom.switches.empties:
            await asyncio.sleep(chance.uniform(0.1, 0.8) * self.seconds)
            self.aom.shows_nothing = True
            self.note("", "AOM's lists show nothing")
            await asyncio.sleep(chance.uniform(1, 3) * LOOKUP_WAIT)
            self.aom.shows_nothing = False
            self.note("", "AOM's lists show everything")

    async def _kill(self, replica):
        chance = self._chance(f"kills{replica.number}")
        while True:
            await asyncio.sleep(chance.expovariate(1 / 45))
            is_graceful, seconds = chance.random() < 0.2, chance.choice((chance.uniform(0, 1), chance.uniform(0.5, 10)))
            replica.outage = asyncio.create_task(replica.be_away(seconds, is_graceful=is_graceful))
            await asyncio.shield(replica.outage)

    # Clocks

    def _first_skew(self, replica):
        """A board boots with any time; the clocks of two replicas differ by a little, or by hours."""
        chance = self._chance(f"clock{replica.number}")
        if self.mode.replicas > 1 and not self.mode.far_clocks:
            return chance.choice((0, chance.randint(-500, 500)))
        return chance.choice((0, 0, chance.randint(0, 6 * 3_600_000), -chance.randint(0, 6 * 3_600_000)))

    async def _step_clocks(self):
        """Step back at any time; forward only where no wait is cut short by it: nothing late, nothing unlisted."""
        chance = self._chance("steps")
        if chance.random() < 0.4:
            return
        while True:
            await asyncio.sleep(chance.uniform(20, 100))
            step = chance.choice((-1, 1)) * chance.choice((chance.randint(0, 20_000), chance.randint(0, 6 * 3_600_000)))
            while step > 0 and not self.aom.is_settled():  # noqa: ASYNC110 - its time costs nothing
                await asyncio.sleep(0.3)
            for replica in self.replicas:
                replica.skew += step
            self.note("", f"the clocks step by {step / 1000:.3f} s")

    # What must be true at the end

    async def _judged(self):
        """Wait until all is right: so it must stay, and AOM be left in peace; in the end everything resolves."""
        if wrong := await self._never_right():
            return await self._told(wrong)
        await asyncio.sleep(QUIET_SECONDS)
        before = self.aom.requests["active_alert"]
        await asyncio.sleep(LOOKUP_WAIT)
        if wrong := await self._wrong():
            await asyncio.sleep(2)  # a repeat may just be on its way
            wrong = await self._wrong()
        if looks := self.aom.requests["active_alert"] - before:
            wrong[""] = f"{looks} looks at AOM's list although there is nothing to look for"
        if wrong:
            return await self._told(wrong)
        self.note("", "everything that fires resolves")
        for one in self.alerts:
            if one.is_firing:
                self._resolve(one)
        return await self._told(await self._never_right())

    def _changed(self, one):
        self.note(one.fingerprint, "THE ALERT FIRES" if one.is_firing else "THE ALERT RESOLVES")
        next(group for group in self.groups if one in group.alerts).changed(one)

    def _resolve(self, one):
        one.resolve(self.now())
        self._changed(one)

    async def _never_right(self):
        """Give what is still wrong after a long time; nothing as soon as nothing is."""
        loop = asyncio.get_running_loop()
        until = loop.time() + SETTLING_SECONDS
        while (wrong := await self._wrong()) and loop.time() < until:  # noqa: ASYNC110 - as above: virtual time
            await asyncio.sleep(2)
        return wrong

    async def _wrong(self):
        """Give what is wrong by fingerprint."""
        held = collections.Counter(alarm.fingerprint for alarm in self.aom.open())
        wrong = {}
        for one in self.alerts:
            count = (
                min(held[one.fingerprint], 1) if one.is_firing and self.mode.has_leftovers else held[one.fingerprint]
            )
            if count != one.is_firing:
                truth = "fires" if one.is_firing else "does not fire"
                wrong[one.fingerprint] = f"{one.name} {truth}, and AOM holds {held[one.fingerprint]} alarms of it"
        for fingerprint, state, *why in [] if wrong else await self.replicas[0].left():
            wrong[fingerprint] = f"{state} is still due: {why}"
        return wrong

    async def _told(self, wrong):
        lines = [f"seed {self.seed}: {self.aom.switches}"] if wrong else []
        for fingerprint, text in wrong.items():
            lines += ["", f"== {text} ({fingerprint})"]
            lines += [f"{at:9.3f} {line}" for at, whose, line in self.history if whose in ("", fingerprint)]
            for row in await self.replicas[0].rows(fingerprint):
                fields = {n: getattr(row, n) for n in row.__struct_fields__ if getattr(row, n) is not None}
                lines.append(f"   row {fields}")
        return "\n".join(lines)


def _chance(seed, name):
    """Give a source of chance of its own, so that one does not shift another."""
    return random.Random(f"{seed}-{name}")  # noqa: S311 - repeatable by intent


def simulate(mode, seed, ledger, *, tell=False, **size):
    """Run one seed; give the text of what is wrong at the end, empty where nothing is; ``tell``: of all, in any case.

    ``size``: as that of a `World`.
    """
    worlds = []

    def made():
        worlds.append(World(MODES[mode], seed, ledger, **size))
        return worlds[0]

    with capture_logs() as logs:
        wrong = run_world(made, seed)
    if tell:
        return "\n".join(map(str, worlds[0].history))
    said = collections.Counter(f"   logged {log['event']}" for log in logs if log["log_level"] in ("warning", "error"))
    return "\n".join([wrong, *(f"{line}, {count} times" for line, count in said.items())]) if wrong else ""


def run_world(made, seed=0):
    """Run a world on a virtual clock, and give what its `run` gives; ``made`` makes it once there is that clock."""

    async def run():
        world = made()
        connector = mock.patch.object(aiohttp, "TCPConnector", partial(SimulatedConnector, world.aom.connect))
        age = mock.patch.object(aiohttp.connector, "monotonic", asyncio.get_running_loop().time)
        shared = mock.patch.object(PostgresDatabase, "now", mock.Mock(side_effect=lambda _: world.now()))
        never_steps = partial(SharedClock, elapsed=lambda: int(asyncio.get_running_loop().time() * 1000))
        with connector, age, shared, mock.patch("bridge.app.app.SharedClock", never_steps):
            return await world.run()

    random.seed(seed)
    latency = _chance(seed, "latency")

    def delay():
        return latency.uniform(0.0005, 0.01) if latency.random() < 0.95 else latency.uniform(0.05, 0.6)

    with asyncio.Runner(loop_factory=partial(VirtualLoop, delay)) as runner:
        return runner.run(run())


@contextlib.contextmanager
def ledgers(mode):
    """Give what gives the address of an empty ledger for each seed: a file, or a database of a PostgreSQL server."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="aom-bridge-simulation-"))
        server = stack.enter_context(postgres_server()) if MODES[mode].replicas > 1 else None
        yield lambda seed: f"sqlite:///{folder}/{seed}.db" if server is None else server.url(server.create())


def main():
    """Run seeds of each mode; say which failed, and write what is to be known of each failure into a file."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--modes", default=",".join(MODES), help="of " + ", ".join(MODES))
    parser.add_argument("--seeds", default="0:10", type=seeds_of, help="FIRST:BEFORE, such as 0:100")
    parser.add_argument("--folder", default=".simulation", type=Path, help="where the failures are written to")
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    has_failed = False
    for mode in options.modes.split(","):
        failed = []
        with ledgers(mode) as ledger:
            for seed in options.seeds:
                if text := simulate(mode, seed, ledger(seed)):
                    (options.folder / f"{mode}-{seed}.txt").write_text(text + "\n")
                    failed.append(seed)
        has_failed = has_failed or bool(failed)
        print(f"{mode}: {len(options.seeds) - len(failed)} ok, failed: {failed}", flush=True)  # noqa: T201 - a command
    sys.exit(has_failed)


def seeds_of(text):
    """Read a range of seeds, FIRST:BEFORE."""
    first, _, before = text.partition(":")
    return range(int(first), int(before))


if __name__ == "__main__":
    main()
