"""Everything that may happen to Alertmanager, the bridge and AOM, at random; at the end AOM must hold the truth.

The small size runs always. `make endurance SECONDS=3600 SEED=1` runs for as long as is wanted.
"""

import os

import pytest
from endurance import Plan, endure

pytestmark = pytest.mark.real

SEED = int(os.environ.get("AOM_BRIDGE_REHEARSAL_SEED", "2"))


@pytest.mark.timeout(400)
async def test_whatever_happens_for_a_while_aom_holds_what_fires(tmp_path):
    """Whatever alerts, people, crashes and a faulty AOM do at random, AOM ends with what fires, and then with none."""
    await endure(Plan(seed=SEED, seconds=18, alerts=8), tmp_path)
