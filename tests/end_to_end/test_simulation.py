"""AOM ends up with the truth in thousands of random hours: real bridges on a virtual clock, a seed for each.

The small size runs always, with short lives. `AOM_BRIDGE_REHEARSAL=full` runs ten seeds of each mode in full length;
`AOM_BRIDGE_SIMULATION_SEEDS=FIRST:BEFORE` runs others, or repeats the one that a failure names.
"""

import asyncio
import os

import pytest
from simulated_alertmanager import GROUP_INTERVAL
from simulation import LOOKUP_WAIT, MODES, SHORT_SECONDS, World, run_world, seeds_of, simulate

pytestmark = pytest.mark.slow

IS_FULL = os.environ.get("AOM_BRIDGE_REHEARSAL") == "full"
ASKED = os.environ.get("AOM_BRIDGE_SIMULATION_SEEDS")
SEEDS = seeds_of(ASKED or ("0:10" if IS_FULL else "0:3"))
SIZE = {} if ASKED or IS_FULL else {"seconds": SHORT_SECONDS, "alerts": 9}
PATIENT = pytest.mark.timeout(900)  # virtual time costs seconds of real time, unless the machine is busy
ON_SQLITE = [name for name, mode in MODES.items() if mode.replicas == 1]


@PATIENT
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("mode", ON_SQLITE)
def test_aom_ends_with_exactly_what_fires(tmp_path, mode, seed):
    """Whatever is late, lags, fails, is killed or steps back: AOM's open alarms are the alerts that fire, one each."""
    assert not (wrong := simulate(mode, seed, f"sqlite:///{tmp_path / 'ledger.db'}", **SIZE)), wrong


@pytest.mark.real
@PATIENT
@pytest.mark.parametrize("seed", SEEDS)
def test_aom_ends_with_exactly_what_fires_with_two_replicas(database, seed):
    """The same with two replicas on one PostgreSQL, whose clocks differ."""
    assert not (wrong := simulate("replicas", seed, database, **SIZE)), wrong


def test_a_seed_gives_the_same_run_again(tmp_path):
    """A failure can be repeated: what happens depends on the seed alone, as far as the bridge does."""
    first, second = (simulate("lag", 1, f"sqlite:///{tmp_path / name}.db", seconds=20.0, tell=True) for name in "ab")
    assert first == second


class Flapping(World):
    """One outage at the beginning, and then fair weather in which every alert fires and resolves all the time."""

    async def run(self):
        (replica,) = self.replicas
        await replica.start()
        self._begin(*(peer.run() for group in self.groups for peer in group.peers), self._flap())
        await asyncio.sleep(10)
        self.aom.weather = "down"
        await asyncio.sleep(10)
        self.aom.weather = "calm"
        await asyncio.sleep(4 * LOOKUP_WAIT)
        looks, clears = self.aom.requests["active_alert"], self.aom.requests["clear"]
        await asyncio.sleep(4 * LOOKUP_WAIT)
        looks, clears = self.aom.requests["active_alert"] - looks, self.aom.requests["clear"] - clears
        await self._end(self._tasks)
        await replica.stop()
        return looks, clears

    async def _flap(self):
        while True:
            for one in self.alerts:
                one.resolve(self.now()) if one.is_firing else one.fire(self._chance("flaps"), self.now())
                self._changed(one)
            await asyncio.sleep(GROUP_INTERVAL)


def test_the_doubt_of_an_outage_ends_although_its_alert_flaps(tmp_path):
    """An alert that fires and resolves faster than `lookup_wait` costs a look at AOM's list for each clear, no more."""
    looks, clears = run_world(lambda: Flapping(MODES["lookup"], 1, f"sqlite:///{tmp_path / 'l.db'}", alerts=3))
    assert clears > 5
    assert looks <= 1.5 * clears
