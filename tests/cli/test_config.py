"""`aom-bridge config`: examples to begin with, the schema, and where the configuration is found."""

import json

import pytest
from paths import ROOT

from bridge.cli.config import EXAMPLES
from bridge.cli.main import main
from bridge.cli.options import CONFIG_FILES, CONFIG_VARIABLE, find_config
from bridge.errors import BridgeError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Work in an empty folder, with no configuration named by the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(CONFIG_VARIABLE, raising=False)
    return tmp_path


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_written_as_it_is_shipped(folder, capsys, name):
    """`config init NAME` writes the file of `config/` and says what to set; `-` prints the same."""
    shipped = (ROOT / "config" / f"{name}.yaml").read_text()
    assert main(["config", "init", name]) == 0
    assert (folder / "bridge.yaml").read_text() == shipped
    said = capsys.readouterr()
    assert "AOM_PROJECT_ID" in said.out
    assert said.err == "Editors check the file against schema.json: aom-bridge config schema > schema.json\n"
    assert main(["config", "init", name, "-"]) == 0
    assert capsys.readouterr().out == shipped


def test_the_schema_is_named_beside_the_file_where_it_is_missing(folder, capsys):
    """The file's first comment names it; where it is there, nothing is said."""
    (folder / "a b").mkdir()
    assert main(["config", "init", "minimal", "a b/bridge.yaml"]) == 0
    assert capsys.readouterr().err.endswith("aom-bridge config schema > 'a b/schema.json'\n")
    (folder / "a b" / "schema.json").touch()
    assert main(["config", "init", "minimal", "a b/other.yaml"]) == 0
    assert capsys.readouterr().err == ""


def test_a_file_that_is_there_is_never_changed(folder, capsys):
    """A second `config init` ends with 1, names the file and a fix, and leaves the file as it is."""
    (folder / "bridge.yaml").write_text("mine")
    assert main(["config", "init"]) == 1
    assert "bridge.yaml is there already, and is not changed. Fix: " in capsys.readouterr().err
    assert (folder / "bridge.yaml").read_text() == "mine"


def test_the_schema_is_the_shipped_one(capsys):
    """`config schema` prints what `config/schema.json` holds."""
    assert main(["config", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((ROOT / "config" / "schema.json").read_text())


def test_the_configuration_is_found_in_its_order(folder, monkeypatch):
    """The variable comes first, then bridge.yaml, then config/bridge.yaml."""
    (folder / "config").mkdir()
    (folder / "config" / "bridge.yaml").touch()
    assert find_config() == "config/bridge.yaml"
    (folder / "bridge.yaml").touch()
    assert find_config() == "bridge.yaml"
    monkeypatch.setenv(CONFIG_VARIABLE, "named.yaml")
    assert find_config() == "named.yaml"


def test_where_none_is_found_the_tried_files_are_named(folder, capsys, monkeypatch):
    """A command without a configuration ends with 2, and says which files were tried and how to get one."""
    monkeypatch.setattr("bridge.cli.options.CONFIG_FILES", CONFIG_FILES[:2])
    assert main(["alarms", "list"]) == 2
    text = capsys.readouterr().err
    assert f"tried {folder}/bridge.yaml, {folder}/config/bridge.yaml. Fix: aom-bridge config init" in text
    with pytest.raises(BridgeError):
        find_config()


def test_a_ledger_beside_another_working_directory_is_doubted(folder, capsys):
    """A relative store.url is doubted where the file is elsewhere, with the file it means; an absolute one is not."""
    (folder / "etc").mkdir()
    for url, is_doubted in (("sqlite:///ledger.db", True), (f"sqlite:///{folder}/ledger.db", False)):
        text = "targets: {default: {endpoint: 'http://a', project_id: p, auth: {token: {value: t}}}}\n"
        for file in (folder / "etc" / "bridge.yaml", folder / "bridge.yaml"):
            file.write_text(f"{text}store: {{url: '{url}'}}\n")
            assert main(["check-config", str(file)]) == 0
            is_elsewhere = file.parent != folder
            told = f"store.url: it is relative to the working directory, where it is {folder}/ledger.db"
            assert (told in capsys.readouterr().err) == (is_doubted and is_elsewhere)
