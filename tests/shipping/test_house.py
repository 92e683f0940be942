"""The house itself: imports go one way, files stay small, and no machine's path is in it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from paths import ROOT, TESTS

MODULES = sorted((ROOT / "bridge").rglob("*.py"))


def test_imports_go_one_way():
    """The contracts of import-linter hold: layers, the emulator alone, SQL in the ledger only, pure rooms pure."""
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_seen_at_a_glance(module):
    """No file is over 400 lines, and each begins with what it is for."""
    text = module.read_text()
    assert text.startswith('"""')
    assert len(text.splitlines()) <= 400


def test_the_lock_files_pin_and_hash_everything():
    """Every dependency is pinned with hashes, and no registry is named."""
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        for line in text.splitlines():
            assert line.startswith("    --hash=sha256:") or "==" in line, line


@pytest.mark.parametrize("name", ["docs/guarantees.md", "SECURITY.md"])
def test_every_promise_names_a_test_that_exists(name):
    """Each test that the guarantees and the threat model name is there, and each row but the physical one names one."""
    text = (ROOT / name).read_text(encoding="utf-8")
    there = {found for file in TESTS.rglob("test_*.py") for found in re.findall(r"def (test_\w+)", file.read_text())}
    assert set(re.findall(r"`(test_\w+)`", text)) <= there
    heads = ("| Situation", "| An attacker could", "| ---")
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith(heads)]
    assert [row for row in rows if "`test_" not in row and "by construction" not in row] == []
