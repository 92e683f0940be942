"""The rehearsal: real bridges killed with SIGKILL in a storm while AOM misbehaves; at the end AOM must hold the truth.

One seed decides the storm, the faults and the moments of the kills. The machinery takes the ledger's address and a
number of bridges, which share it; each is killed and started again by itself.
"""

import asyncio
import contextlib
import json
import random
import socket
import time
from collections import Counter
from dataclasses import dataclass, field

import aiohttp
from process import bridge_command, run, started
from storm import Storm
from waiting import until

from bridge.emulator import Emulator, Options

CONFIG = """
targets:
  default:
    endpoint: {aom}
    project_id: p1
    auth: {{token: {{value: emulator-token}}}}
    rate_limit: 500
    lookup_wait: 2s
    {target}
store: {{url: "{ledger}", lease: 10s}}
delivery: {{retry_min: 50ms, retry_max: 400ms, batch_wait: 20ms, shutdown_timeout: 2s}}
"""

FAULTS = (
    {"status": 500},
    {"status": 502},
    {"status": 503},
    {"status": 504},
    {"status": 401},
    {"status": 403},
    {"status": 429, "headers": {"Retry-After": "1"}},
    {"reset": True},
    {"reset": True, "after": True},
    {"outage": True},
    {"outage": True, "after": True},
    {"half": True},
    {"half": True, "after": True},
    {"hang": True},
    {"on": "report", "hang": True},
    {"on": "clear", "hang": True},
    {"latency_ms": 100},
    {"latency_ms": 700},
    {"latency_ms": 1_500},
    {"on": "list", "status": 200, "error_msg": "a page that is none"},
    {"on": "list", "status": 503},
)
"""What AOM and the network do; refusals of good events are not among them, for those end an alarm by right."""

_EXPECTED_ANSWERS = {200, 503, "connection", "timeout", "hung up"}
_CONVERGENCE_SECONDS = 60.0
_START_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One rehearsal: what its seed decides over, and how large it is.

    ``life``: how long a bridge lives from readiness to its kill, in seconds on average.
    """

    seed: int
    alerts: int = 60
    kills: int = 4
    life: float = 1.5
    changes_per_second: int = 150
    connections: int = 8
    replicas: int = 1
    options: dict = field(default_factory=dict)
    target: str = ""


class Replica:
    """One bridge that is killed and started again; its address stays."""

    def __init__(self, folder, number, config):
        self.address = f"127.0.0.1:{_quiet_port()}"
        self.url = f"http://{self.address}"
        self.file = folder / f"bridge{number}.yaml"
        self.file.write_text(config)
        self.log = folder / f"bridge{number}.log"
        self.killed = 0
        self._command = bridge_command("serve", f"--config.file={self.file}", f"--web.listen-address={self.address}")

    async def live(self, lives, aim):
        """Run from kill to kill; of each life it is given whether it gets ready first, its length, the pause after."""
        for gets_ready, length, pause in lives:
            with self.life() as process:
                if gets_ready:
                    await until(lambda one=process: self._is_ready(one), limit=_START_SECONDS)
                await asyncio.sleep(length)
                if gets_ready:
                    await aim()
                self._check(process)
                process.kill()
                self.killed += 1
            await asyncio.sleep(pause)

    def life(self):
        """Run the process; a context manager."""
        return started(self.log, *self._command)

    async def _is_ready(self, process):
        self._check(process)
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with aiohttp.ClientSession() as session, session.get(f"{self.url}/-/ready") as response:
                return response.status == 200
        return False

    @staticmethod
    def _check(process):
        code = process.process.poll()
        assert code is None, f"the bridge ended by itself with {code}:\n{process.output[-3_000:]}"

    async def series(self, session, name, **labels):
        """Give the sum of a metric's series with these labels; None while there is no answer."""
        try:
            async with session.get(f"{self.url}/metrics") as response:
                lines = (await response.text()).splitlines()
        except (aiohttp.ClientError, OSError):
            return None
        pairs = (line.rpartition(" ") for line in lines if line.partition("{")[0].partition(" ")[0] == name)
        return sum(float(value) for key, _, value in pairs if all(f'{k}="{v}"' in key for k, v in labels.items()))


class Rehearsal:
    """One run of a plan.

    Args:
        plan: what is done.
        folder: for configurations and logs.
        ledger: the ledger's address; by default a SQLite file in the folder.
    """

    def __init__(self, plan, folder, ledger=None):
        self.plan = plan
        self.random = random.Random(plan.seed)  # noqa: S311 - a rehearsal must be repeatable, not secret
        self.emulator = Emulator(Options(port=0, **plan.options))
        self._folder = folder
        self._ledger = ledger or f"sqlite:///{folder / 'ledger.db'}"
        self._armed = Counter()

    async def run(self):
        """Rehearse; raises AssertionError that names the seed and shows each alert that ended wrong."""
        await self.emulator.start()
        try:
            await self._run()
        except* AssertionError as errors:
            texts = "\n".join(str(error) for error in _leaves(errors))
            raise AssertionError(f"{self.plan}\nfaults: {dict(self._armed)}\n{texts}") from None
        finally:
            await self.emulator.stop()

    async def _run(self):
        plan = self.plan
        config = CONFIG.format(aom=self.emulator.url, ledger=self._ledger, target=plan.target)
        replicas = [Replica(self._folder, number, config) for number in range(plan.replicas)]
        storm = Storm(random.Random(plan.seed), plan.alerts, lambda: [one.url for one in replicas])  # noqa: S311
        with contextlib.ExitStack() as lives:
            async with asyncio.TaskGroup() as tasks:
                telling = tasks.create_task(storm.tell(plan.connections))
                faults = tasks.create_task(self._misbehave())
                tasks.create_task(storm.rage(plan.changes_per_second))
                await asyncio.gather(*(tasks.create_task(one.live(self._lives(), self._aim)) for one in replicas))
                for one in replicas:
                    lives.enter_context(one.life())
                await asyncio.sleep(self.random.uniform(0, 2 * plan.life))
                storm.calm()
                faults.cancel()
                await self._order("DELETE", None)
                async with asyncio.timeout(_CONVERGENCE_SECONDS):
                    await telling
            await self._verify(storm, replicas)

    def _lives(self):
        """Decide about each life: most get ready, some are killed while they start."""
        for _ in range(self.plan.kills):
            if self.random.random() < 0.2:
                yield False, self.random.uniform(0, 1), 0
            else:
                yield True, self.random.uniform(0, 2 * self.plan.life), self.random.uniform(0, 0.3)

    async def _aim(self):
        """Let half of the kills wait for the next request to AOM, so that they fall between it and the settle."""
        if self.random.random() < 0.5:
            return
        before = self._requests()
        for _ in range(1_000):
            if self._requests() != before:
                break
            await asyncio.sleep(0.001)
        await asyncio.sleep(self.random.choice((0, 0.002, 0.01, 0.03)))

    def _requests(self):
        counts = self.emulator.snapshot(0)["counts"]
        return counts["report"] + counts["clear"] + counts["list"]

    async def _misbehave(self):
        while True:
            orders = [self._fault() for _ in range(self.random.choice((0, 0, 1, 1, 2)))]
            await self._order("POST", [order for some in orders for order in some])
            await asyncio.sleep(self.random.uniform(0.1, 1.5))
            if self.random.random() < 0.8:  # else they are still there when the next ones come
                await self._order("DELETE", None)

    def _fault(self):
        """Give the orders of one fault; half of the requests that hang are lost, and half are taken late."""
        order = dict(self.random.choice(FAULTS))
        order.setdefault("on", self.random.choice(("any", "report", "clear", "list")))
        if self.random.random() < 0.7:
            order["count"] = self.random.randint(1, 10)
        self._armed[json.dumps({key: value for key, value in order.items() if key not in ("count", "headers")})] += 1
        if "hang" not in order or self.random.random() < 0.5:
            return [order]
        return [order, {**{key: order[key] for key in ("on", "count") if key in order}, "reset": True}]

    async def _order(self, method, orders):
        url = f"{self.emulator.url}/emulator/faults"
        async with aiohttp.ClientSession() as session, session.request(method, url, json=orders) as response:
            assert response.status in (200, 204), await response.text()

    async def _verify(self, storm, replicas):
        """Wait until AOM holds the truth and the ledger waits for nothing, then look at what must never happen."""
        deadline = time.monotonic() + _CONVERGENCE_SECONDS
        async with aiohttp.ClientSession() as session:
            while not await self._has_converged(storm, replicas, session):
                if time.monotonic() > deadline:
                    raise AssertionError(await self._differences(storm, replicas, session))
                await asyncio.sleep(0.1)
            for state in ("rejected", "discarded", "expired"):
                assert await replicas[0].series(session, "aom_bridge_alarms", state=state) == 0, state
        snapshot = self.emulator.snapshot()
        assert snapshot["violations"] == []
        assert set(storm.answers) <= _EXPECTED_ANSWERS, storm.answers
        assert min(storm.answers[200], snapshot["counts"]["report"], snapshot["counts"]["clear"]) > self.plan.kills
        assert [one.killed for one in replicas] == [self.plan.kills] * self.plan.replicas
        for one in replicas:
            text = one.log.read_text(errors="replace")
            assert "Traceback" not in text, text[text.index("Traceback") - 500 :][:3_000]

    async def _has_converged(self, storm, replicas, session):
        for one in replicas:
            age = await one.series(session, "aom_bridge_oldest_due_age_seconds")
            due = [await one.series(session, "aom_bridge_alarms", state=s) for s in ("report_due", "clear_due")]
            if age != 0 or due != [0, 0]:
                return False
        return self._held() == Counter(storm.firing)

    def _held(self):
        active = self.emulator.snapshot()["active"]
        return Counter(event["metadata"]["alert_fingerprint"] for event in active)

    async def _differences(self, storm, replicas, session):
        """Show each alert that ended wrong: the truth, AOM's entries, the ledger's rows and how it came so."""
        snapshot, held = self.emulator.snapshot(), self._held()
        command = bridge_command(
            "alarms", "list", "--all-states", f"--config.file={replicas[0].file}", "--limit=1000000", "-o", "json"
        )
        _, out, err = await run(*command)
        rows = json.loads(out) if out else [err]
        undone = [row["fingerprint"] for row in rows if row["state"] in ("report_due", "clear_due") or "due_at" in row]
        age = await replicas[0].series(session, "aom_bridge_oldest_due_age_seconds")
        wrong = [one for one in storm.alerts if held[one.fingerprint] != one.is_firing or one.fingerprint in undone]
        text = [f"{len(wrong)} alert(s) ended wrong; answers: {dict(storm.answers)}; oldest due: {age} s"]
        for one in wrong[:3]:
            truth = "fires" if one.is_firing else "resolved"
            text += [f"== {one.fingerprint}: {truth}, and AOM has {held[one.fingerprint]} open"]
            for name in ("active", "history"):
                mine = [e for e in snapshot[name] if e["metadata"]["alert_fingerprint"] == one.fingerprint]
                keys = ("id", "supplied_id", "starts_at", "ends_at", "arrives_at")
                text += [f"   AOM {name}: " + str({key: event[key] for key in keys}) for event in mine[-4:]]
            text += [f"   row: {_short(row)}" for row in rows if row["fingerprint"] == one.fingerprint][:6]
            text += [f"   {note}" for note in one.notes]
        return "\n".join(text)


async def rehearse(plan, folder, ledger=None):
    """Run one plan."""
    await Rehearsal(plan, folder, ledger).run()


def _short(row):
    left_out = ("event", "labels", "group", "source", "fingerprint", "target", "rule", "severity", "event_type")
    return {key: value for key, value in row.items() if key not in left_out}


def _leaves(group):
    for error in group.exceptions:
        yield from _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]


def _quiet_port():
    """Give a port below those that the system gives to outgoing connections: it must still be free after a kill."""
    chance = random.SystemRandom()
    while True:
        port = chance.randint(12_000, 30_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
