"""The long run: everything that may happen to Alertmanager, the bridge and AOM, at random, for as long as is wanted.

One seed decides what happens, in which order, and the pauses between. From time to time nothing more happens: then
everything is made whole, and AOM's open alarms must become the alerts that fire, within the time that the rules allow.
Run it with `python tests/support/endurance.py --seed=1 --seconds=600`, or `make endurance SECONDS=600 SEED=1`.

The clock of one peer may be minutes off, as the bridges see it. The bridges' own clocks are not moved: they are real
processes, and nothing that the tests need can move the clock of one process alone. The simulation moves clocks.
"""

import argparse
import asyncio
import contextlib
import json
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import aiohttp
from endurance_story import Alert, Story
from endurance_world import HEALED_AFTER, FileLedger, ServerLedger, World
from postgres import postgres_server
from process import bridge_command, run
from waiting import until

PAUSES = (0.1, 0.3, 0.6, 1.0, 4.0)
ACTS_BETWEEN_QUIET = 30
STAYS_SECONDS = 3.0

FAULTS = (
    {"on": "any", "status": 503},
    {"on": "report", "status": 503},
    {"on": "clear", "status": 503},
    {"on": "list", "status": 503},
    {"on": "any", "latency_ms": 700},
    {"on": "report", "latency_ms": 2_500},
    {"on": "report", "latency_ms": 9_000},
)
"""What AOM does; the last two are reports that it applies late, maybe after the clear."""


INHIBITOR = "Inhibitor"
LABELS = (
    {"severity": "warning"},
    {"severity": "warning", "team": "moving"},
    {"severity": "warning"},
    {"severity": "inhibited"},
)
"""What the alerts are like in turn: some can go elsewhere, some can be inhibited."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One run.

    ``seconds``: without the quiet moments at its end. ``replicas``: how many bridges share the ledger. ``ahead``: how
    far the clock of the second peer is ahead. ``list_lag_ms``: of AOM. ``left_out``: the acts that may not happen.
    """

    seed: int
    seconds: float = 600.0
    alerts: int = 16
    replicas: int = 1
    ahead: timedelta = timedelta(0)
    list_lag_ms: int = 0
    left_out: tuple = ()


class Acts:
    """All that may happen, one at a time.

    Args:
        plan: what is done.
        world: what runs.
        story: where it is told.
    """

    def __init__(self, plan, world, story):
        self.world, self.story = world, story
        self._left_out = plan.left_out
        self._random = random.Random(plan.seed)  # noqa: S311 - a run must be repeatable, not secret

    async def act(self):
        """Do one of what can be done now, and pause."""
        acts = {name: weight for name, (weight, can) in self._possible().items() if can}
        name = self._random.choices(list(acts), list(acts.values()))[0]
        await getattr(self, name)()
        await asyncio.sleep(self._random.choice(PAUSES))

    def _possible(self):
        """Give each act with its weight, and whether it can be done now."""
        firing = self.named(is_firing=True)
        up = [one for one in self.world.bridges if one.up_since is not None]
        is_one = self.world.down is None
        acts = {
            "fire": (6, self.named(is_firing=False)),
            "resolve": (4, firing),
            "misbehave": (3, True),
            "behave": (2, True),
            "clear_by_hand": (2, firing),
            "kill_bridge": (2, up),
            "start_bridge": (5, len(up) < len(self.world.bridges)),
            "lose_ledger": (0.5, True),
            "silence": (2, is_one and self.silenced(is_silenced=False)),
            "unsilence": (2, is_one and self.silenced(is_silenced=True)),
            "stop_peer": (1, is_one),
            "start_peer": (5, not is_one),
            "move": (1, is_one),
            "restart_database": (1, self.world.ledger.can_restart),
        }
        return {name: act for name, act in acts.items() if name not in self._left_out}

    def named(self, *, is_firing):
        return [alert for alert in self.story.alerts.values() if alert.is_firing == is_firing]

    def silenced(self, *, is_silenced):
        return [alert for alert in self.story.alerts.values() if (alert.silence is not None) == is_silenced]

    def _some(self, alerts):
        """Choose one alert, sometimes many."""
        count = len(alerts) if self._random.random() < 0.05 else 1
        return self._random.sample(alerts, count)

    async def fire(self):
        for alert in self._some(self.named(is_firing=False)):
            await self.fire_one(alert)

    async def fire_one(self, alert):
        self.story.fired(alert)
        await self.world.cluster.fire(alert.name, **alert.labels)

    async def resolve(self):
        for alert in self._some(self.named(is_firing=True)):
            await self.resolve_one(alert)

    async def resolve_one(self, alert):
        self.story.resolved(alert)
        await self.world.cluster.resolve(alert.name)

    async def misbehave(self):
        fault = {**self._random.choice(FAULTS), "count": self._random.randint(1, 6)}
        self.story.happened("faults", f"AOM's next requests: {fault}")
        await self.world.arm(fault)

    async def behave(self):
        self.story.tell("AOM behaves again, and applies what was late")
        await self.world.disarm()

    async def clear_by_hand(self):
        alert = self._random.choice(self.named(is_firing=True))
        self.story.cleared_by_hand(alert)
        self.story.figures["cleared by hand"] += await self.world.clear_by_hand(alert.name)

    async def kill_bridge(self):
        bridge = self._random.choice([one for one in self.world.bridges if one.up_since is not None])
        self.story.happened("kills", f"{bridge.file.stem} is killed")
        await self.world.kill(bridge)

    async def start_bridge(self):
        bridge = self._random.choice([one for one in self.world.bridges if one.up_since is None])
        await bridge.start()
        self.story.tell(f"{bridge.file.stem} is ready")

    async def lose_ledger(self):
        self.story.happened("ledgers lost", "every bridge is killed, and the ledger is lost")
        await self.world.lose_ledger()
        self.story.ledger_lost()

    async def silence(self):
        alert = self._random.choice(self.silenced(is_silenced=False))
        self.story.note_suppression()
        alert.silence = await self.world.silence(alert.name)
        self.story.happened("silenced", "silenced", alert.name)

    async def unsilence(self):
        await self.unsilence_one(self._random.choice(self.silenced(is_silenced=True)))

    async def unsilence_one(self, alert):
        await self.world.cluster.expire(alert.silence)
        alert.silence = None
        self.story.tell("no longer silenced", alert.name)

    async def stop_peer(self):
        number, lose = self._random.randrange(2), self._random.random() < 0.5
        self.story.happened("peers killed", f"peer {number} is killed{' and loses its storage' if lose else ''}")
        self.world.stop_peer(number, lose=lose)

    async def start_peer(self):
        await self.world.start_peer()
        self.story.inhibitions_restarted()
        self.story.tell("the peer is there again")

    async def move(self):
        self.story.note_suppression()
        await self.world.move(away=not self.world.is_moved)
        self.story.inhibitions_restarted()
        self.story.note_suppression()
        where = "elsewhere" if self.world.is_moved else "to the bridge again"
        self.story.happened("moved", f"the alerts of the team go {where}")

    async def restart_database(self):
        self.story.happened("database restarts", "the database's server is restarted")
        await self.world.restart_database()


class Endurance:
    """One run of a plan.

    Args:
        plan: what is done.
        world: what runs.
    """

    def __init__(self, plan, world):
        self.plan, self.world = plan, world
        alerts = [Alert(f"A{number}", **LABELS[number % len(LABELS)]) for number in range(plan.alerts)]
        self.story = Story(world, [*alerts, Alert(INHIBITOR, severity="inhibitor")])
        self._acts = Acts(plan, world, self.story)

    async def run(self):
        """Run; raises AssertionError with the seed and the story of each alarm that is wrong. Gives the figures."""
        await self.world.start()
        self.story.start()
        deadline = time.monotonic() + self.plan.seconds
        try:
            while time.monotonic() < deadline:
                await self._act_until(deadline)
                await self._be_quiet()
            await self._end()
        except (AssertionError, OSError, aiohttp.ClientError) as error:
            raise AssertionError(f"{self.plan}\n{self.story.summary()}\n{error}") from error
        finally:
            await self.story.stop()
        return self.story.summary()

    async def _act_until(self, deadline):
        for _ in range(ACTS_BETWEEN_QUIET):
            if time.monotonic() < deadline:
                await self._acts.act()

    async def _be_quiet(self):
        """Make everything whole, and wait until AOM agrees and stays so."""
        self.story.happened("quiet moments", "everything is made whole")
        await self.world.make_whole()
        self.story.inhibitions_restarted()
        self.story.tell("all is whole")
        began = now = right_since = time.monotonic()
        while now - right_since < STAYS_SECONDS:
            if self.story.blinked or now - began > HEALED_AFTER:
                raise AssertionError(await self._what_is_wrong())
            await asyncio.sleep(0.1)
            now = time.monotonic()
            right_since = now if self.story.wrong() else right_since
        for one in self.world.bridges:
            await one.scrape()

    async def _end(self):
        """Let everything fire for the bridge, then resolve: AOM must hold exactly that."""
        await self._stop_suppressing()
        for alert in self._acts.named(is_firing=False):
            if alert.name != INHIBITOR:
                await self._acts.fire_one(alert)
        await self._be_quiet()
        for alert in self._acts.named(is_firing=True):
            await self._acts.resolve_one(alert)
        await self._be_quiet()
        assert self.world.open_alarms() == {}
        await self._check_the_rest()

    async def _stop_suppressing(self):
        await self.world.make_whole()
        for alert in self._acts.silenced(is_silenced=True):
            await self._acts.unsilence_one(alert)
        if self.world.is_moved:
            await self._acts.move()
        if self.story.alerts[INHIBITOR].is_firing:
            await self._acts.resolve_one(self.story.alerts[INHIBITOR])

    async def _check_the_rest(self):
        await until(self._has_nothing_due)
        assert self.world.aom.snapshot()["violations"] == []
        for one in self.world.bridges:
            assert "Traceback" not in one.log.read_text(errors="replace"), one.log
        assert self.story.figures["fired"] > 0

    async def _has_nothing_due(self):
        return not [row for row in await self._rows() if row["state"] in ("report_due", "clear_due")]

    async def _rows(self):
        words = (
            "alarms",
            "list",
            "--all-states",
            f"--config.file={self.world.bridges[0].file}",
            "--limit=100000",
            "-o",
            "json",
        )
        code, out, err = await run(*bridge_command(*words))
        assert code == 0, err
        return json.loads(out)

    async def _what_is_wrong(self):
        rows, texts = await self._rows(), [f"AOM must agree {HEALED_AFTER:.0f} s after all is whole, and does not:"]
        for alert in {*self.story.wrong(), *self.story.blinked}:
            own = [_short(row) for row in rows if row["labels"]["alertname"] == alert.name][:4]
            texts.append(self.story.text(alert, own))
        return "\n".join(texts)


def _short(row):
    left_out = ("event", "labels", "group", "source", "target", "rule", "severity", "event_type")
    return {key: value for key, value in row.items() if key not in left_out}


async def endure(plan, folder, ledger=None):
    """Run one plan; give its figures."""
    world = World(
        folder,
        ledger or FileLedger(folder),
        replicas=plan.replicas,
        ahead=plan.ahead,
        list_lag_ms=plan.list_lag_ms,
    )
    try:
        return await Endurance(plan, world).run()
    finally:
        await world.stop()


@contextlib.contextmanager
def ledger_of(database, folder):
    """Give the ledger that a command asks for."""
    if database == "sqlite":
        yield FileLedger(folder)
    else:
        with postgres_server() as server:
            yield ServerLedger(server)


def plan_of(options):
    """Give the plan that a command asks for; its seed decides what AOM and the clocks are like, too."""
    chance = random.Random(options.seed)  # noqa: S311 - a run must be repeatable, not secret
    return Plan(
        seed=options.seed,
        seconds=options.seconds,
        replicas=1 if options.database == "sqlite" else 2,
        ahead=timedelta(minutes=chance.choice((0, 0, 7, -7))),
        list_lag_ms=chance.choice((0, 0, 800)),
    )


def main():
    """Run one seed for some time; print its figures, or why it failed."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seed", default=1, type=int)
    parser.add_argument("--seconds", default=600.0, type=float)
    parser.add_argument("--database", default="sqlite", choices=("sqlite", "postgresql"))
    options = parser.parse_args()
    plan = plan_of(options)
    print(plan, flush=True)  # noqa: T201 - a command
    folder = Path(tempfile.mkdtemp(prefix="aom-bridge-endurance-"))
    with ledger_of(options.database, folder) as ledger:
        try:
            text = asyncio.run(endure(plan, folder, ledger))
        except AssertionError as error:
            sys.exit(f"{error}\nlogs: {folder}")
    print(text)  # noqa: T201 - a command


if __name__ == "__main__":
    main()
