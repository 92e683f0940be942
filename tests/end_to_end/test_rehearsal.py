"""AOM ends up with the truth, whatever crashes in between: the real process, killed at random in a storm.

The small size runs always. `AOM_BRIDGE_REHEARSAL=full` runs 2,000 alerts and 20 kills with every setting of the
emulator; `AOM_BRIDGE_REHEARSAL_SEED` chooses other seeds, or repeats the one that a failure names.
"""

import os

import pytest
from rehearsal import Plan, rehearse

pytestmark = pytest.mark.real

IS_FULL = os.environ.get("AOM_BRIDGE_REHEARSAL") == "full"
SEED = int(os.environ.get("AOM_BRIDGE_REHEARSAL_SEED", "1"))

SWITCHES = {
    "assigned": ({}, ""),
    "strict": ({"unknown_id": 400, "relation_values": "one"}, ""),
    "every-repeat": ({"relation_values": "one"}, "reassert_after: 0s"),
    "supplied": ({"ids": "supplied", "unknown_id": 400}, ""),
    "by-id": ({"ids": "supplied", "unknown_id": 400}, "clear_by: id"),
    "same-id": ({"same_alarm": "id"}, ""),
    "same-id-by-id": ({"ids": "supplied", "same_alarm": "id", "list_lag_ms": 800}, "clear_by: id"),
    "lag": ({"list_lag_ms": 500}, ""),
}
"""What AOM may be like, and how the bridge is set for it."""


@pytest.mark.skipif(not IS_FULL, reason="`make rehearsal` runs it")  # CI has 15 min; the two replicas below are there
@pytest.mark.parametrize("name", ["assigned", "by-id"])
async def test_kills_in_a_storm(tmp_path, name):
    """After four `kill -9` in a storm with a faulty AOM, AOM's open alarms are the firing alerts, each exactly once."""
    options, target = SWITCHES[name]
    await rehearse(Plan(seed=SEED, options=options, target=target), tmp_path)


@pytest.mark.timeout(240)
async def test_kills_of_two_replicas_in_a_storm(tmp_path, database):
    """The same with two replicas on one PostgreSQL, each killed by itself while the other goes on."""
    plan = Plan(seed=SEED, replicas=2, kills=20 if IS_FULL else 3, alerts=500 if IS_FULL else 60)
    await rehearse(plan, tmp_path, ledger=database)


@pytest.mark.skipif(not IS_FULL, reason="`make rehearsal` runs it")  # longer than CI may take; the small size is above
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", SWITCHES)
async def test_many_kills_in_a_large_storm(tmp_path, name):
    """The same with 2,000 alerts and twenty kills, whatever AOM is like."""
    options, target = SWITCHES[name]
    plan = Plan(
        seed=SEED,
        alerts=2_000,
        kills=20,
        life=2.0,
        changes_per_second=400,
        connections=16,
        options=options,
        target=target,
    )
    await rehearse(plan, tmp_path)
