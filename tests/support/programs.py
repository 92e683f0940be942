"""Programs that some tests need besides Python: Alertmanager, Prometheus, PostgreSQL.

`AOM_BRIDGE_ALERTMANAGER` names another Alertmanager than the installed one, such as a newer one.
"""

import os
import shutil

import pytest

OTHERS = {"prometheus-alertmanager": "AOM_BRIDGE_ALERTMANAGER"}


def need(program):
    """Give a real program's path; without it the test fails in CI and is skipped elsewhere, with the fix."""
    path = shutil.which(os.environ.get(OTHERS.get(program, ""), program))
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(f"{program} is not installed; apt-get install {program}")
        pytest.skip(f"{program} is not installed; apt-get install {program}")  # never in CI; all other tests still run
    return path
