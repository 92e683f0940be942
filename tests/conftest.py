"""The fixtures that tests of several folders share, and the order in which test modules run."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

# Else each process that a test starts compiles the whole bridge anew.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

SUPPORT = Path(__file__).parent / "support"
pytest.register_assert_rewrite(*(path.stem for path in SUPPORT.glob("*.py")))

from bridge_rig import running  # noqa: E402 - pytest rewrites only what is imported after the line above
from postgres import postgres_server  # noqa: E402 - pytest rewrites only what is imported after the line above

# A machine that others use as well may be slow at any example.
hypothesis_settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("house")

LONG = (
    "end_to_end/test_in_step_peers.py",
    "end_to_end/test_in_step_healed.py",
    "end_to_end/test_in_step_replicas.py",
    "end_to_end/test_in_step_clocks.py",
    "end_to_end/test_in_step_routes.py",
    "end_to_end/test_in_step_unharmed.py",
    "end_to_end/test_in_step_addresses.py",
    "end_to_end/test_lost_ledger.py",
    "end_to_end/test_rollout.py",
    "end_to_end/test_alerts_about_the_bridge.py",
    "end_to_end/test_endurance.py",
    "end_to_end/test_heartbeats.py",
    "cli/test_main.py",
    "cli/test_alarms.py",
    "cli/test_demo.py",
    "end_to_end/test_rehearsal.py",
    "end_to_end/test_replica_processes.py",
    "ledger/test_writer_process.py",
    "security/test_hostile_requests.py",
    "security/test_fuzz.py",
    "ledger/test_edits.py",
    "end_to_end/test_sidecars.py",
    "end_to_end/test_simulation.py",
    "end_to_end/test_ledger_unwritable.py",
    "browser/test_edits.py",
    "ledger/test_ledger_model.py",
    "reconcile/test_ping.py",
    "shipping/test_wheel.py",
    "shipping/test_benchmark.py",
)
"""Modules that take longest, since they run real processes: a worker that gets one last works on alone."""


def pytest_collection_modifyitems(items):
    """Begin with the modules that take longest."""
    tests = Path(__file__).parent
    places = {tests / name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path, len(LONG)))


@pytest.fixture
async def rig(tmp_path):
    """A bridge with the default switches of the emulator."""
    async with running(tmp_path / "ledger.db") as made:
        yield made


@pytest.fixture(scope="session")
def postgres():
    """One PostgreSQL server for all tests."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def database(postgres):
    """The address of an empty PostgreSQL database."""
    name = postgres.create()
    yield postgres.url(name)
    postgres.drop(name)
