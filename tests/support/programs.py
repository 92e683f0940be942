"""Programs that some tests need besides Python: Alertmanager, Prometheus, PostgreSQL, Chromium.

`AOM_BRIDGE_ALERTMANAGER` names another Alertmanager than the installed one, such as a newer one.
"""

import os
import shutil
import sys
from pathlib import Path

import pytest

OTHERS = {"prometheus-alertmanager": "AOM_BRIDGE_ALERTMANAGER"}


def need(program):
    """Give a real program's path; without it the test fails in CI and is skipped elsewhere, with the fix."""
    path = shutil.which(os.environ.get(OTHERS.get(program, ""), program))
    return path or _give_up(f"{program} is not installed; apt-get install {program}")


def need_unpacked(name):
    """Give the path of a file below `tools/`, which `make` has unpacked beside Python; without it as `need`."""
    path = Path(sys.prefix) / "tools" / name
    return path if path.exists() else _give_up(f"{name} is not unpacked; apt-get install npm, then make .venv/.tools")


def _give_up(text):
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)  # never in CI; all other tests still run
