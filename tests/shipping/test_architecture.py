"""docs/architecture.md and CONTRIBUTING.md name what is there: modules, tests, layers, states, threads."""

import re
import tomllib
from typing import get_args

import pytest
from paths import ROOT, TESTS

from bridge.ledger import STATES
from bridge.ledger.alarm import Phase

PAGES = ("docs/architecture.md", "CONTRIBUTING.md")
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
SOURCES = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "bridge").rglob("*.py"))


def paths(text):
    """Give each path within the repository that a text names in backticks, without what stands for any name."""
    named = re.findall(r"`((?:bridge|tests|config|docs|deploy)/[\w./*-]*)`", text)
    return [re.sub(r"[^/]*(NAME|\*)[^/]*$", "", path) for path in named]


def rows(text, heading):
    """Give the cells of each row of the first table below a heading."""
    lines = text.partition(f"## {heading}\n")[2].partition("\n## ")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return [row for row in cells if not row[0].startswith("---")][1:]


@pytest.mark.parametrize("page", PAGES)
def test_every_path_that_a_page_names_is_there(page):
    """Each module, folder and file that the page names exists."""
    named = paths((ROOT / page).read_text(encoding="utf-8"))
    assert [path for path in named if not (ROOT / path).exists()] == []
    assert len(named) > 20


@pytest.mark.parametrize("page", PAGES)
def test_every_test_that_a_page_names_is_there(page):
    """Each test that the page names exists."""
    there = {found for file in TESTS.rglob("*.py") for found in re.findall(r"def (test_\w+)", file.read_text())}
    assert set(re.findall(r"`(test_\w+)`", (ROOT / page).read_text(encoding="utf-8"))) <= there


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_somewhere(page):
    """Each link to a file of the project names one that is there, and a heading of it."""
    for link in re.findall(r"\]\((?!http)([^)]+)\)", (ROOT / page).read_text(encoding="utf-8")):
        path, _, heading = link.partition("#")
        target = (ROOT / page).parent / path
        assert target.exists(), link
        headings = re.findall(r"(?m)^#+ (.+)$", target.read_text(encoding="utf-8")) if heading else []
        assert not heading or heading in {one.lower().replace(" ", "-") for one in headings}, link


@pytest.mark.parametrize("row", rows(ARCHITECTURE, "Where to look for what"), ids=lambda row: row[0])
def test_a_name_to_look_for_is_in_its_module(row):
    """Each name of the table is defined or called in a module of its row."""
    modules = [ROOT / path for path in paths(row[1]) if path.endswith(".py")]
    text = "\n".join(module.read_text(encoding="utf-8") for module in modules)
    for name in re.findall(r"`([\w.]+)`", row[2]):
        for word in name.split("."):
            assert re.search(rf"(def|class) {word}\b|(?m:^){word}\b|\b{word}\(", text), f"{name} in {row[1]}"


def test_the_layers_are_those_of_the_contract():
    """The picture of the layers has the rows that import-linter checks."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["id"] == "house")
    assert "\n".join(["```", *layers, "```"]) in ARCHITECTURE


def test_each_package_has_its_row():
    """Each package of the bridge is in the table of packages, and each single module is named."""
    folders = {f"bridge/{path.parent.name}/" for path in (ROOT / "bridge").glob("*/__init__.py")}
    assert {path for row in rows(ARCHITECTURE, "The packages") for path in paths(row[0])} == folders
    modules = {f"bridge/{path.name}" for path in (ROOT / "bridge").glob("*.py") if not path.name.startswith("__")}
    assert modules <= set(paths(ARCHITECTURE))


def test_the_states_and_phases_are_those_of_the_code():
    """Each state is in its table with what `STATES` says of it, and each phase in its own, in the order of the code."""
    table = rows(ARCHITECTURE, "The states of an alarm")
    names = [row[0].strip("`") for row in table if row[0].startswith("`")]
    assert names == [*STATES, *get_args(Phase)]
    for row in table[: len(STATES)]:
        info = STATES[row[0].strip("`")]
        assert (row[1] != "", row[2][:3] == "yes", row[3] == "yes") == (
            info.action is not None,
            info.is_finished,
            info.may_be_held,
        ), row


def test_the_threads_are_those_of_the_code():
    """Each thread and process of the picture is started under its name, and the code starts no other by a name."""
    started = re.findall(r'ThreadPoolExecutor\(1, (?:thread_name_prefix=)?"([\w-]+)"', SOURCES)
    started += re.findall(r'threading\.Thread\([^)]*name="([\w-]+)"', SOURCES)
    assert set(re.findall(r"│ thread ([\w-]+)", ARCHITECTURE)) == set(started)
    assert 'name="ledger-writer"' in SOURCES
    assert "process: ledger-writer" in ARCHITECTURE
