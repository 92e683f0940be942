"""`aom-bridge completion`: what the shells get, and what a real bash makes of it."""

import subprocess

import pytest
from programs import need

from bridge.cli.completion import SHELLS
from bridge.cli.main import main


@pytest.fixture(params=SHELLS)
def script(request, capsys):
    """Give the name of a shell and its script."""
    assert main(["completion", request.param]) == 0
    return request.param, capsys.readouterr().out


def test_the_script_knows_every_command_and_option(script):
    """Commands, their options and the values that can be chosen are in the script of each shell."""
    _, text = script
    for name in ("check-alertmanager", "alarms", "discard", "listen-address", "logfmt", "report_due", "kubernetes"):
        assert name in text


@pytest.mark.real
def test_the_script_can_be_read_by_its_shell(script, tmp_path):
    """The shell itself finds no mistake in its script."""
    shell, text = script
    program = need(shell)
    file = tmp_path / "script"
    file.write_text(text)
    done = subprocess.run([program, "-n", str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.real
@pytest.mark.parametrize(
    ("line", "completed"),
    [
        ("aom-bridge check-c", ["check-config"]),
        ("aom-bridge alarms di", ["discard"]),
        ("aom-bridge serve --log.f", ["--log.format"]),
        ("aom-bridge config init ku", ["kubernetes"]),
        ("aom-bridge check-config bri", ["bridge.yaml"]),
    ],
)
def test_bash_completes_commands_options_values_and_files(capsys, tmp_path, line, completed):
    """What a user of bash gets after Tab."""
    (tmp_path / "bridge.yaml").touch()
    assert main(["completion", "bash"]) == 0
    words = line.split(" ")
    ask = f"COMP_WORDS=({line})\nCOMP_CWORD={len(words) - 1}\n_shtab_aom_bridge\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
    bash = capsys.readouterr().out + ask
    done = subprocess.run([need("bash")], input=bash, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == completed, done.stderr
