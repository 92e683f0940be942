"""The documentation is a site as well: it is built from the pages in `docs/`, and every link and anchor is there."""

import shutil
import sys

import pytest
from paths import ROOT
from process import run

pytestmark = pytest.mark.real


async def built(folder):
    """Build the site of a copy of the documents; give the exit code and what was said."""
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "-f",
        str(folder / "mkdocs.yml"),
        "-d",
        str(folder / "site"),
    ]
    code, out, err = await run(*command, cwd=folder)
    return code, out + err


def copied(folder):
    """Copy what the site is built from."""
    shutil.copytree(ROOT / "docs", folder / "docs")
    settings = (ROOT / "mkdocs.yml").read_text()
    (folder / "mkdocs.yml").write_text(settings.replace("tests/support", f"{ROOT}/tests/support"))
    return folder


async def test_the_site_is_built_and_each_link_leads_somewhere(tmp_path):
    """Every page becomes one of the site; links to files outside `docs/` lead to the repository."""
    code, said = await built(copied(tmp_path))
    assert code == 0, said
    assert "unrecognized relative link" not in said
    text = (tmp_path / "site" / "index.html").read_text()
    assert "https://github.com/aom-bridge/aom-bridge/blob/main/config/bridge.yaml" in text


async def test_a_link_that_leads_nowhere_is_an_error(tmp_path):
    """The build says which page and which link."""
    page = copied(tmp_path) / "docs" / "aom.md"
    page.write_text(page.read_text() + "\n[lost](nowhere.md)\n")
    code, said = await built(tmp_path)
    assert (code, "nowhere.md" in said) == (1, True), said
