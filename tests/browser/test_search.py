"""``/alarms`` as people search it: filters, order, pages, exports; each search is an address, and needs no script."""

import csv
import io
import json

import aiohttp
import pytest
import pytest_asyncio
from browser import IS_FULL
from pages_world import FAR, POISON, empty_world
from waiting import until
from webhooks import alert, resolved

from bridge.clock import system_clock

pytestmark = [
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(not IS_FULL, reason="`make rehearsal` runs it"),  # CI has 15 min
]

MANY = 101
"""Two pages of 50 and one more."""

FORMULAS = {"equals": "=1+1", "plus": "+1", "minus": "-1", "at": "@SUM(A1)"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory):
    """A bridge with three pages of alarms, and some that differ from them in one thing each."""
    async with empty_world(tmp_path_factory.mktemp("search")) as made:
        many = [alert("Many", severity="info", instance=f"m-{number:03}") for number in range(MANY)]
        await made.post(*many)
        await made.post(alert("Elsewhere", severity="warning"), source="staging")
        await made.post(alert("Distant", **FAR), alert("Latency", service=POISON))
        gone = alert("Gone", severity="error", team="shop", starts_at=system_clock() - 7_200_000)
        await made.post(gone)
        await made.id_of("Gone", "reported")
        await made.post(resolved(gone))
        await made.post(*(alert(text, kind=kind, instance=text) for kind, text in FORMULAS.items()))
        await made.id_of("Gone", "cleared")
        await made.id_of("Latency", "rejected")
        await made.id_of("Distant", "report_due", "unavailable")
        await until(lambda: only_one_waits(made), 60)
        yield made


async def only_one_waits(made):
    """Say whether all but the alarm of the target that is down have been sent."""
    return sum(one["state"] in ("report_due", "clear_due") for one in await made.alarms()) == 1


async def events(page):
    """Give the event names that the page lists, in their order."""
    return await page.locator("tbody tr td:nth-child(2)").all_inner_texts()


async def search(page, world, **fields):
    """Fill the form of the page anew and send it."""
    await page.goto(f"{world.url}/alarms")
    for name, value in fields.items():
        field = page.locator(f"form [name={name}]")
        is_choice = await field.evaluate("one => one.tagName === 'SELECT'")
        await (field.select_option(value) if is_choice else field.fill(value))
    await page.get_by_role("button", name="Search").click()


FILTERS = [
    ({"filter": 'alertname="Latency"'}, {"Latency"}),
    ({"filter": 'alertname=~"El.*|Ga.*", alertname!="Gone"'}, {"Elsewhere"}),
    ({"filter": "team=shop"}, {"Gone"}),
    ({"state": "rejected"}, {"Latency"}),
    ({"state": "waiting"}, {"Distant"}),
    ({"state": "cleared"}, {"Gone"}),
    ({"state": "finished"}, {"Gone", "Latency"}),
    ({"severity": "Minor"}, {"Elsewhere"}),
    ({"severity": "Major"}, {"Gone"}),
    ({"target": "guiyang"}, {"Distant"}),
    ({"source": "staging"}, {"Elsewhere"}),
    ({"text": "m-007"}, {"Many"}),
    ({"event_name": "Elsewhere"}, {"Elsewhere"}),
    ({"event_name": "Elsew"}, set()),
    ({"since": "1h", "severity": "Minor"}, {"Elsewhere"}),
    ({"until": "1h"}, set()),
    ({"since": "99999999999999d", "severity": "Minor"}, {"Elsewhere"}),
    ({"since": "0001-01-01T00:00+23:00", "severity": "Minor"}, {"Elsewhere"}),
    ({"until": "9999-12-31T23:59-23:00", "severity": "Minor"}, {"Elsewhere"}),
    ({"since": "2026-01-01T00:00", "source": "staging"}, {"Elsewhere"}),
    ({"state": "open", "severity": "Critical", "target": "default", "text": "SUM"}, {"@SUM(A1)"}),
]


async def test_each_filter_finds_what_it_names(browser, world):
    """Matchers, state, severity, target, source, event name, text and times, alone and together, without a script."""
    async with browser.open(f"{world.url}/alarms", java_script_enabled=False) as opened:
        for fields, expected in FILTERS:
            await search(opened.page, world, **fields)
            assert set(await events(opened.page)) == expected, fields
            for name, value in fields.items():
                assert await opened.page.locator(f"form [name={name}]").input_value() == value
        assert opened.problems == []


async def test_a_search_is_an_address(browser, world):
    """What one reader has found, another one sees at the same address, and its exports hold the same."""
    async with browser.open(f"{world.url}/alarms") as opened:
        await search(opened.page, world, source="staging", order="oldest")
        address = opened.page.url
        export = await opened.page.get_by_role("link", name="JSON").evaluate("one => one.href")
    async with browser.open(address) as opened:
        assert await events(opened.page) == ["Elsewhere"]
        assert await opened.page.locator("form [name=order]").input_value() == "oldest"
    async with aiohttp.ClientSession() as session, session.get(export) as response:
        assert [one["labels"]["alertname"] for one in (await response.json())["data"]] == ["Elsewhere"]


async def test_pages_follow_one_another_without_a_gap(browser, world):
    """Fifty alarms on a page, each alarm on one page, and the first page is one link away."""
    async with browser.open(f"{world.url}/alarms?event_name=Many", java_script_enabled=False) as opened:
        page, seen, sizes = opened.page, [], []
        assert await page.get_by_role("link", name="First page").count() == 0
        for _ in range(3):
            found = await page.locator("tbody tr td:nth-child(3)").all_inner_texts()
            seen += found
            sizes.append(len(found))
            if sizes[-1] == 50:
                await page.get_by_role("link", name="Next page").click()
        assert sizes == [50, 50, 1]
        assert sorted(seen) == [f"m-{number:03}" for number in range(MANY)]
        assert await page.get_by_role("link", name="Next page").count() == 0
        await page.get_by_role("link", name="First page").click()
        assert await page.locator("tbody tr td:nth-child(3)").all_inner_texts() == seen[:50]


async def test_the_order_is_the_one_that_is_chosen(browser, world):
    """The newest first, the oldest first, or the worst first, over all pages."""
    async with browser.open(f"{world.url}/alarms") as opened:
        page = opened.page
        for order, first in (("newest", set(FORMULAS.values())), ("oldest", {"Many"})):
            await search(page, world, order=order)
            assert (await events(page))[0] in first
        await search(page, world, order="worst")
        listed = await page.locator("tbody tr td:nth-child(1)").all_inner_texts()
        assert listed[:8] == ["Critical"] * 6 + ["Major", "Minor"]
        assert set(listed[8:]) == {"Info"}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("state=zzz", "no state is called 'zzz'"),
        ("severity=zzz", "no severity is called 'zzz'"),
        ("since=yesterday", "since: 'yesterday' is no duration and no time"),
        ("order=zzz", "no order is called 'zzz'"),
        ("page=zzz", ""),
        ("filter=a%3D~%22(%22", "filter: "),
        ("since=0001-01-01T00:00%2B23:00%2Bx", "since: "),
    ],
)
async def test_a_wrong_filter_is_a_sentence_above_the_form(browser, world, query, words):
    """The status is 400, the form stays as it was filled in, and the sentence names the field."""
    async with browser.open(f"{world.url}/alarms?{query}") as opened:
        assert opened.response.status == 400
        assert words in await opened.page.get_by_role("alert").inner_text()
        assert await opened.page.get_by_role("button", name="Search").is_visible()


async def test_no_cell_of_the_csv_is_a_formula(browser, world):
    """What begins like a formula is text to a spreadsheet, in each column; every alarm is there once."""
    async with browser.open(f"{world.url}/alarms") as opened:
        async with opened.page.expect_download() as waiting:
            await opened.page.get_by_role("link", name="CSV").click()
        download = await waiting.value
        assert download.suggested_filename == "alarms.csv"
        text = (await download.path()).read_bytes().decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == MANY + 4 + len(FORMULAS)
    assert not [cell for row in rows for cell in row.values() if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]
    assert {"'" + text for text in FORMULAS.values()} <= {row["event_name"] for row in rows}
    assert {json.loads(row["labels"])["alertname"] for row in rows} >= set(FORMULAS.values())
