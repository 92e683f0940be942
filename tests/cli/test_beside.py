"""Commands that look beside a running bridge, where its configuration cannot be read."""

import pytest
from command_line import command

HINT = "--url http://127.0.0.1:9876 asks the running bridge, and reads no file"
LOOKS = (["status"], ["diff"], ["alarms", "list"], ["alarms", "show", "x"], ["alarms", "clear", "x"])


@pytest.mark.parametrize("words", LOOKS, ids=" ".join)
async def test_a_broken_configuration_leaves_a_way_to_look(tmp_path, monkeypatch, words):
    """After its mistakes one line says how the running bridge is asked; so too where there is no file."""
    monkeypatch.delenv("AOM_BRIDGE_URL", raising=False)
    monkeypatch.delenv("AOM_BRIDGE_CONFIG_FILE", raising=False)
    monkeypatch.chdir(tmp_path)
    code, _, err = await command(*words)
    assert (code, HINT in err) == (2, True)
    (tmp_path / "bridge.yaml").write_text("targets: {default: {}}\n")
    code, out, err = await command(*words)
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == f"aom-bridge: to look all the same: {HINT}"
    assert err.splitlines()[0].startswith("bridge.yaml:1:")


async def test_a_command_that_needs_the_file_gets_no_such_advice(tmp_path):
    """Only the file's mistakes are told."""
    (tmp_path / "bridge.yaml").write_text("targets: {default: {}}\n")
    _, _, err = await command("check-config", str(tmp_path / "bridge.yaml"))
    assert "--url" not in err
