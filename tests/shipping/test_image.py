"""The image without an engine: the Dockerfile's own steps in an empty folder, and the result run as its user."""

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from bridge_rig import settings_text
from dockerfile import DOCKERFILE, instructions
from paths import ROOT
from process import free_port
from programs import need
from waiting import PATIENCE

USER = 65532


@pytest.mark.real
def test_hadolint_finds_nothing_wrong():
    """The linter of Dockerfiles has nothing to say."""
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([program, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_runs_as_a_numeric_user_and_needs_no_shell():
    """A numeric user that is not root, and nothing at run time that a shell would have to read."""
    last = dict(instructions()[-1])
    assert last["USER"] == f"{USER}:{USER}"
    for word in ("ENTRYPOINT", "CMD"):
        assert isinstance(json.loads(last[word]), list)
    assert json.loads(last["HEALTHCHECK"].partition("CMD ")[2]) == ["aom-bridge", "healthcheck"]


def test_what_the_dockerfile_copies_reaches_the_engine():
    """.dockerignore lets through what is copied, and nothing else."""
    copied = {
        name
        for word, rest in instructions()[0]
        if word == "COPY"
        for name in rest.split()[:-1]
        if not name.startswith("--")
    }
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == let_through
    assert all((ROOT / name).exists() for name in copied)


def python():
    """Give an interpreter that every user may run: the tests' own may lie in somebody's home."""
    return need("/usr/bin/python3") if os.geteuid() == 0 else sys.executable


@pytest.fixture(scope="module")
def image():
    """Do what the build stage does, in a folder that everybody may read; give the installed tree."""
    with tempfile.TemporaryDirectory(prefix="aom-bridge-image-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        tree, source = folder / "opt", folder / "src"
        source.mkdir()
        for word, rest in instructions()[0]:
            if word == "COPY":
                for one in rest.split()[:-1]:
                    copy = shutil.copytree if (ROOT / one).is_dir() else shutil.copy
                    copy(ROOT / one, source / one)
            elif word == "RUN":
                step = rest.replace("/opt/aom-bridge", str(tree)).replace("python -m venv", f"{python()} -m venv")
                done = subprocess.run(
                    ["/bin/sh", "-euc", step], cwd=source, capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, f"{shlex.quote(step)}: {done.stderr}"
        shutil.rmtree(source)
        yield tree


@pytest.mark.real
def test_only_what_runs_is_installed(image):
    """No installer, no build tool and no byte code of theirs is left."""
    installed = {path.name.partition("-")[0] for path in image.glob("lib/python*/site-packages/*.dist-info")}
    assert "aom_bridge" in installed
    assert installed & {"pip", "hatchling", "editables", "pluggy", "pathspec", "trove_classifiers", "pytest"} == set()


def as_user():
    """Give Popen's arguments for the image's user, where we may choose."""
    return {"user": USER, "group": USER, "extra_groups": []} if os.geteuid() == 0 else {}


@pytest.mark.real
def test_the_installed_bridge_runs_as_its_user(image):
    """It starts as the image starts it, writes only beside its ledger, says that it is alive, and ends with SIGTERM."""
    with tempfile.TemporaryDirectory(prefix="aom-bridge-state-") as name:
        state = Path(name)
        config = state / "bridge.yaml"
        config.write_text(settings_text("http://127.0.0.1:9", state / "ledger.db"))
        if os.geteuid() == 0:
            shutil.chown(state, USER, USER)
        before = sorted(image.rglob("*"))
        variables = dict(
            pair.split("=", 1) for word, rest in instructions()[-1] if word == "ENV" for pair in rest.split()
        )
        env = {**variables, "PATH": f"{image}/bin:{os.environ['PATH']}", "AOM_BRIDGE_CONFIG_FILE": str(config)}
        port = free_port()
        command = [f"{image}/bin/aom-bridge", "serve", f"--web.listen-address=127.0.0.1:{port}"]
        with (state / "log").open("wb") as log:
            process = subprocess.Popen(command, env=env, cwd=state, stdout=log, stderr=log, **as_user())
        try:
            deadline = time.monotonic() + PATIENCE
            while (healthcheck := ask(image, port, env)).returncode != 0:
                assert process.poll() is None, (state / "log").read_text()
                assert time.monotonic() < deadline, healthcheck.stdout
                time.sleep(0.2)
            assert healthcheck.stdout == f"127.0.0.1:{port} answers 200\n"
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=15) == 0
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
        assert sorted(image.rglob("*")) == before
        assert ask(image, port, env).returncode == 1


def ask(image, port, env):
    """Run the image's health check."""
    command = [f"{image}/bin/aom-bridge", "healthcheck", f"127.0.0.1:{port}"]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, **as_user())
