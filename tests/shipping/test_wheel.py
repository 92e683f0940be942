"""The wheel: what `python -m build` gives runs in an environment that has nothing else."""

import re
import subprocess
import sys
import venv
import zipfile

import pytest
from paths import ROOT

from bridge import __version__
from bridge.cli.config import EXAMPLES

pytestmark = pytest.mark.real


def run(*command, cwd, limit=100):
    """Run a program to its end; it must succeed. Give what it said."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=limit)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel, as a release does, with the build tools that are pinned here."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), cwd=ROOT)
    (made,) = folder.glob("*.whl")
    return made


def test_the_wheel_has_one_version_and_all_data(wheel):
    """Its name carries the code's version, which the changelog begins with; migrations and data files are in it."""
    assert wheel.name == f"aom_bridge-{__version__}-py3-none-any.whl"
    assert re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1] == __version__
    packed = set(zipfile.ZipFile(wheel).namelist())
    kept = {str(path.relative_to(ROOT)) for path in (ROOT / "bridge").rglob("*") if path.is_file()}
    assert {name for name in kept if "__pycache__" not in name} <= packed
    assert {f"bridge/config/examples/{name}.yaml" for name in EXAMPLES} <= packed
    assert any(name.endswith(".data/data/share/man/man1/aom-bridge.1") for name in packed)
    assert not any(name.startswith("tests/") for name in packed)


def test_the_wheel_shows_its_demo_in_an_empty_environment(wheel, tmp_path):
    """Installed beside the pinned dependencies and nothing else, `aom-bridge demo --once` ends with AOM right."""
    venv.create(tmp_path / "venv", with_pip=True)
    pip = [str(tmp_path / "venv/bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    run(*pip, "--require-hashes", "-r", str(ROOT / "requirements.lock"), cwd=tmp_path)
    run(*pip, "--no-deps", str(wheel), cwd=tmp_path)
    text = run(str(tmp_path / "venv/bin/aom-bridge"), "demo", "--once", cwd=tmp_path)
    assert "AOM's open alarms equal the firing alerts" in text
    printed = run(str(tmp_path / "venv/bin/aom-bridge"), "config", "init", "minimal", "-", cwd=tmp_path)
    assert printed == (ROOT / "config" / "minimal.yaml").read_text()
