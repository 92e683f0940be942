"""`docs/configuration.md` lists every key of the configuration file, as the settings have it."""

import re

from paths import ROOT

from bridge.config.json_schema import schema
from bridge.config.reference_page import page

PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")


def rows(path):
    """Give the rows of the table below a heading: the key, and its other cells."""
    table = PAGE.partition(f"\n## {path}\n")[2].partition("\n## ")[0]
    cells = [re.split(r" \| ", line.strip("| ")) for line in table.splitlines() if line.startswith("| `")]
    return {cell[0].strip("`"): [text.strip() for text in cell[1:]] for cell in cells}


def test_the_page_is_made_from_the_settings():
    """The shipped page is what `make schema` writes now."""
    assert page() == PAGE


def test_each_key_has_its_kind_and_its_default():
    """A row says what a key takes, its default, and what it is for."""
    assert list(rows("The sections")) == list(schema()["properties"])
    assert rows("targets.NAME")["alarm_timeout"][:2] == ["a duration", "`5d`"]
    assert rows("targets.NAME")["clear_by"][:2] == ["`lookup` or `id`", "`lookup`"]
    assert rows("targets.NAME")["project_id"][:2] == ["text", "*needed*"]
    assert rows("mapping.rules[]")["continue"][:2] == ["`true` or `false`", "`false`"]
    assert rows("heartbeats[]")["match"][0] == "a list of matchers"


def test_each_link_to_a_section_leads_to_its_heading():
    """The page's own links are found where a Markdown reader puts the anchors of headings."""
    heads = {re.sub(r"[^a-z0-9_-]", "", head.lower()) for head in re.findall(r"^## (.*)$", PAGE, re.MULTILINE)}
    links = set(re.findall(r"\]\(#([^)]+)\)", PAGE))
    assert links
    assert links <= heads
