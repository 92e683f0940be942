"""Programs that some tests need besides Python: Alertmanager, Prometheus, PostgreSQL."""

import os
import shutil

import pytest


def need(program):
    """Give a real program's path; without it the test fails in CI and is skipped elsewhere, with the fix."""
    path = shutil.which(program)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(f"{program} is not installed; apt-get install {program}")
        pytest.skip(f"{program} is not installed; apt-get install {program}")  # never in CI; all other tests still run
    return path
