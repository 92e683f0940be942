"""The pages in docs/: each is in their list, and every link of theirs leads somewhere."""

import re
from functools import cache

import pytest
from paths import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))


@cache
def anchors(page):
    """Give what a link can name within a page: its headings, as Markdown readers write them."""
    heads = re.findall(r"(?m)^#+ (.+)$", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_every_link_of_a_page_leads_somewhere(page):
    """Each link names a file that is there, and a heading of it."""
    for link in re.findall(r"(?<!!)\[[^\]]*\]\((?!http)([^)]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_in_the_list():
    """docs/README.md has one line for each page, and says who needs it when; runbooks are one line together."""
    listed = re.findall(r"(?m)^\| \[[^\]]+\]\(([^)]+)\) \| \S.* \|$", (DOCS / "README.md").read_text(encoding="utf-8"))
    assert len(listed) == len(set(listed))
    assert {page.name for page in DOCS.glob("*.md")} - {"README.md"} <= set(listed)
    assert "runbooks" in listed
