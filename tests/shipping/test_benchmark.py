"""The benchmark works; how fast anything is, no test says."""

import os
import subprocess
import sys

import pytest
from paths import TESTS

pytestmark = pytest.mark.real

FIGURES = (
    "durable acceptance, 1 alert",
    "durable acceptance, 50 alerts",
    "delivered end to end, 1 alert",
    "delivered end to end, 50 alerts",
    "p99 of the answer, 1 alert",
)


def test_the_benchmark_measures_acceptance_and_delivery(tmp_path):
    """A small run ends well, and its table has every figure of acceptance and delivery, measured, with no error."""
    options = ["--small", "--only=acceptance", "--rounds=1", f"--folder={tmp_path}", f"--output={tmp_path / 'out.md'}"]
    path = os.pathsep.join(filter(None, (str(TESTS), str(TESTS / "support"), os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-m", "bench", *options],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "out.md").read_text()
    assert done.stdout == table
    assert "error" not in table
    for figure in FIGURES:
        cells = next(line for line in table.splitlines() if line.startswith(f"| {figure}")).split("|")
        assert cells[5].strip().endswith("×"), cells
