"""The Chinese pages keep in step with the English ones: the same parts, code, names and links."""

import re
from functools import cache
from typing import NamedTuple

import pytest
from paths import ROOT

from bridge.web.languages import language

DOCS = ROOT / "docs"
CHINESE_DOCS = DOCS / "zh"
PAIRS = {ROOT / "README.md": ROOT / "README.zh-CN.md"} | {
    DOCS / page.name: page for page in sorted(CHINESE_DOCS.rglob("*.md"))
}
"""Each English page that has a Chinese one, with it."""
ENGLISH_OF = {chinese: english for english, chinese in PAIRS.items()}

CODE_BLOCK = re.compile(r"(?ms)^ *```.*?^ *```$")
KINDS = {"heading": "#+ ", "list item": r" *(?:-|\d+\.) ", "image": "!", "rule": r"\| --- ", "table row": r"\| "}
CHINESE = re.compile("[\u4e00-\u9fff]")
NAMES = {"aom-bridge"}
"""Headings that are the same in every language."""

IDS = [str(page.relative_to(ROOT)) for page in PAIRS]
each_pair = pytest.mark.parametrize(("english", "chinese"), PAIRS.items(), ids=IDS)
each_chinese_page = pytest.mark.parametrize("chinese", PAIRS.values(), ids=IDS)


class Part(NamedTuple):
    """A heading, paragraph, list item, table row or image of a page, on one line."""

    kind: str
    text: str


def kind_of(line):
    """Give what begins with a line; a paragraph, or its next line, if it is nothing else."""
    return next((kind for kind, start in KINDS.items() if re.match(start, line)), "paragraph")


@cache
def parts(page):
    """Give the parts of a page in their order, without its code blocks."""
    found, continues = [], False
    for line in CODE_BLOCK.sub("", page.read_text(encoding="utf-8")).splitlines():
        kind = kind_of(line)
        if line.strip() and kind == "paragraph" and continues:
            found[-1] = Part(found[-1].kind, f"{found[-1].text} {line.strip()}")
        elif line.strip():
            found.append(Part(kind, line.strip()))
        continues = bool(line.strip()) and kind in {"paragraph", "list item"}
    return found


def headings(page):
    """Give the headings of a page: each one's level, and its text."""
    found = (re.fullmatch("(#+) (.+)", part.text) for part in parts(page) if part.kind == "heading")
    return [(len(heading[1]), heading[2]) for heading in found]


def place(page, link):
    """Give where a link of a page leads, as the English file and the number of its heading; addresses as they are."""
    if "://" in link:
        return link, None
    path, _, anchor = link.partition("#")
    file = (page.parent / path).resolve() if path else page
    anchors = [re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for _, text in headings(file)] if anchor else []
    return str(ENGLISH_OF.get(file, file)), anchors.index(anchor) if anchor else None


def places(page):
    """Give where the links and images of a page lead; the link to the page in the other language is left out."""
    text = " ".join(part.text for part in parts(page))
    found = {place(page, link) for link in re.findall(r"\]\(([^)]+)\)", text)}
    return found - {(str(ENGLISH_OF.get(page, page)), None)}


@each_pair
def test_a_chinese_page_has_the_headings_of_the_english_one(english, chinese):
    """Both have as many headings, of the same levels in the same order."""
    assert [level for level, _ in headings(chinese)] == [level for level, _ in headings(english)]


@each_pair
def test_a_chinese_page_has_the_parts_of_the_english_one(english, chinese):
    """Paragraphs, list items, table rows and images follow each other as on the English page: none is left out."""
    assert [part.kind for part in parts(chinese)] == [part.kind for part in parts(english)]


@each_pair
def test_a_chinese_page_has_the_code_of_the_english_one(english, chinese):
    """Each code block is the same, letter for letter."""
    code = [CODE_BLOCK.findall(page.read_text(encoding="utf-8")) for page in (english, chinese)]
    assert code[0] == code[1]


@each_pair
def test_a_chinese_part_names_what_the_english_one_names(english, chinese):
    """Each paragraph, list item and table row has the settings, commands and values of its English one."""
    for before, after in zip(parts(english), parts(chinese), strict=True):
        assert set(re.findall("`[^`]+`", after.text)) == set(re.findall("`[^`]+`", before.text)), after.text


@each_pair
def test_a_chinese_page_links_to_what_the_english_one_links_to(english, chinese):
    """The links lead to the same files and headings, or to their Chinese pages where there are such, and all exist."""
    for file, _ in (leads := places(chinese)):
        assert "://" in file or (ROOT / file).exists(), file
    assert leads == places(english)


@each_chinese_page
def test_a_link_of_a_chinese_page_stays_chinese(chinese):
    """No link leads to an English page that has a Chinese one, but the one to this page itself."""
    links = re.findall(r"\]\((?!http)([^)#]+)", " ".join(part.text for part in parts(chinese)))
    assert {(chinese.parent / link).resolve() for link in links} & (PAIRS.keys() - {ENGLISH_OF[chinese]}) == set()


@each_chinese_page
def test_a_chinese_page_is_chinese(chinese):
    """Each heading, paragraph, list item and table row has Chinese words, and no English sentence stayed in it."""
    for kind, text in parts(chinese):
        words = re.sub(r"`[^`]+`|\]\([^)]+\)", " ", text)
        assert kind == "rule" or CHINESE.search(words) or text.strip("# ") in NAMES, text
        assert not re.search(r"(?:[A-Za-z]+[ ,;]+){4}[A-Za-z]+", words), text


def test_every_chinese_page_is_found_from_the_readme():
    """The README leads to its Chinese one, that one to the list, and the list to each other Chinese page."""
    assert "](README.zh-CN.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "](docs/zh/README.md)" in (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")
    listed = re.findall(r"\]\(([\w-]+\.md)\)", (CHINESE_DOCS / "README.md").read_text(encoding="utf-8"))
    assert set(listed) == {page.name for page in CHINESE_DOCS.glob("*.md")} - {"README.md"}


@pytest.mark.parametrize(("code", "folder"), [("en", "docs"), ("zh", "docs/zh")])
def test_the_web_pages_lead_to_the_documentation_in_their_language(code, folder):
    """The foot of each web page links to a folder of this repository, whose list is in the language of the page."""
    assert language(code).texts["documents_start"].endswith(f"/tree/main/{folder}")
    assert (ROOT / folder / "README.md").exists()
