"""People at the pages: by keyboard alone, in their language, and at night with something broken."""

from itertools import count

import pytest
import pytest_asyncio
from browser import IS_FULL
from cluster import Cluster
from emulated_aom import cloud
from full_disk import FileSizeLimit
from pages_world import PagesWorld, empty_world
from process import free_port, serving
from waiting import until
from webhooks import alert, post

pytestmark = [
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(not IS_FULL, reason="`make rehearsal` runs it"),  # CI has 15 min
]

OUTLINE = """one => {
  const style = getComputedStyle(one), place = one.getBoundingClientRect();
  const is_outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
  return is_outlined && place.bottom > 0 && place.right > 0;
}"""


async def sentence(page):
    """Give the first sentence of the overview."""
    return await page.get_by_role("heading", level=1).inner_text()


async def reload_until(page, is_right, limit=30):
    """Load a page again until its first sentence is right; give it."""

    async def loaded():
        await page.reload()
        said = await sentence(page)
        return said if is_right(said) else None

    return await until(loaded, limit)


async def tab_to(page, words):
    """Press Tab until what has the focus is called so; each stop on the way must be seen."""
    for _ in range(80):
        await page.keyboard.press("Tab")
        focus = page.locator(":focus")
        assert await focus.evaluate(OUTLINE), await focus.evaluate("one => one.outerHTML.slice(0, 200)")
        if words in (await focus.inner_text(), await focus.get_attribute("id")):
            return
    raise AssertionError(f"Tab never comes to {words}")


async def test_a_search_needs_the_keyboard_alone(browser, pages_world):
    """The first Tab skips to the content; the menu, the fields and the found alarm are reached by Tab and Enter."""
    async with browser.open(f"{pages_world.url}/?refresh=0", java_script_enabled=False) as opened:
        page, keys = opened.page, opened.page.keyboard
        await tab_to(page, "Skip to the content")
        await keys.press("Enter")
        await page.wait_for_url("**#content")
        await page.goto(f"{pages_world.url}/?refresh=0")
        await tab_to(page, "Alarms")
        await keys.press("Enter")
        await page.wait_for_url("**/alarms*")
        await tab_to(page, "filter")
        await keys.type('alertname="Latency"')
        await keys.press("Enter")
        await page.wait_for_url("**/alarms?filter=*")
        await tab_to(page, "Latency")
        await keys.press("Enter")
        await page.wait_for_url(pages_world.address("{bridge}/alarms/{rejected}"))
        assert opened.problems == []


async def test_a_change_needs_the_keyboard_alone(browser, pages_world):
    """The question has the focus next, so that one Tab and Enter confirm it."""
    await pages_world.post(alert("ByKeyboard"))
    own_id = await pages_world.id_of("ByKeyboard", "reported")
    async with browser.open(f"{pages_world.url}/alarms/{own_id}") as opened:
        page, keys = opened.page, opened.page.keyboard
        await tab_to(page, "Discard")
        await keys.press("Enter")
        await page.wait_for_url("**?confirm=discard#edit")
        await keys.press("Tab")
        assert await page.locator(":focus").inner_text() == "Discard"
        await keys.press("Enter")
        await page.get_by_role("status").wait_for()
        assert await pages_world.id_of("ByKeyboard", "discarded") == own_id


async def test_every_stop_of_the_keyboard_is_seen(browser, pages_world):
    """Whatever has the focus has an outline, on each page, and the keyboard is never caught."""
    for template in ("{bridge}/?refresh=0", "{bridge}/alarms/{hostile}", "{bridge}/playground", "{bridge}/config"):
        async with browser.open(pages_world.address(template)) as opened:
            await tab_to(opened.page, "Documentation")


async def test_the_browser_chooses_the_language_and_a_link_overrules_it(browser, pages_world):
    """By Accept-Language, by the link, and kept by every way on: menu, search, alarm, change, playground."""
    async with browser.open(f"{pages_world.url}/", locale="zh-CN") as opened:
        page = opened.page
        assert await page.locator("html").get_attribute("lang") == "zh"
        assert opened.response.headers["content-language"] == "zh"
        await page.get_by_role("link", name="English").click()
        assert await page.locator("html").get_attribute("lang") == "en"
        await page.get_by_role("link", name="Alarms", exact=True).click()
        await page.get_by_role("button", name="Search").click()
        await page.get_by_role("link", name="Latency").click()
        await page.get_by_role("link", name="Retry", exact=True).click()
        await page.get_by_role("button", name="Retry", exact=True).click()
        assert "Done: " in (await page.locator(".banner").inner_text())
        await page.get_by_role("link", name="Try its mapping in the playground").click()
        await page.get_by_role("button", name="Try it").click()
        assert await page.get_by_role("link", name="Configuration").is_visible()
        assert await page.locator("html").get_attribute("lang") == "en"
        assert opened.problems == []


async def test_the_overview_renews_itself_and_the_others_when_asked(browser, pages_world):
    """Only the overview has the header by default; a link stops it, another one starts it, and the address keeps it."""
    async with browser.open(f"{pages_world.url}/") as opened:
        page = opened.page
        assert opened.response.headers["refresh"] == "5"
        async with page.expect_response("**/?refresh=0") as waiting:
            await page.get_by_role("link", name="Stop refreshing").click()
        assert "refresh" not in (await waiting.value).headers
    for path in ("/alarms", "/config", f"/alarms/{pages_world.ids['reported']}"):
        async with browser.open(pages_world.url + path) as opened:
            assert "refresh" not in opened.response.headers
            async with opened.page.expect_response("**refresh=5") as waiting:
                await opened.page.get_by_role("link", name="Refresh every 5 s").click()
            assert (await waiting.value).headers["refresh"] == "5"
    async with browser.open(f"{pages_world.url}/playground?refresh=5") as opened:
        assert await opened.page.get_by_role("link", name="Refresh every").count() == 0


@pytest_asyncio.fixture(loop_scope="session")
async def quiet(tmp_path):
    """A bridge without alarms."""
    async with empty_world(tmp_path) as world:
        yield world


async def test_an_outage_of_aom_is_the_first_sentence(browser, quiet):
    """How many wait, for how long, and AOM's own words; the link leads to them, and after the outage all is well."""
    await quiet.set_fault({"on": "report", "status": 503})
    await quiet.post(alert("Waits"), alert("WaitsToo"))
    async with browser.open(f"{quiet.url}/?refresh=0") as opened:
        page = opened.page
        said = await reload_until(page, lambda said: said.startswith("2 alarms have waited"))
        assert " for target default: 503 AOM.0503 service unavailable" in said
        assert "/runbooks/AomBridgeTargetUnavailable.md" in await page.get_by_text("What to do").get_attribute("href")
        await page.get_by_role("link", name="Show them").click()
        assert set(await page.locator("tbody tr td:nth-child(2)").all_inner_texts()) == {"Waits", "WaitsToo"}
        await page.get_by_role("link", name="Waits", exact=True).click()
        assert "503 AOM.0503 service unavailable" in await page.get_by_role("main").inner_text()
        await page.get_by_role("link", name="Overview").click()
        await quiet.clear_faults()
        said = await reload_until(page, lambda said: said.startswith("AOM is in step: 2 alarms open"))


async def test_a_refusal_of_aom_leads_to_the_reason(browser, pages_world):
    """From the first sentence to the refused alarm, with AOM's answer and its trace id, are two links."""
    async with browser.open(f"{pages_world.url}/?refresh=0") as opened:
        page = opened.page
        item = page.locator(".banner li", has_text="AOM has refused")
        await reload_until(page, lambda said: "target guiyang" in said)
        await item.get_by_role("link", name="Show them").click()
        await page.get_by_role("link", name="Latency").click()
        assert "AOM refused the report for good: 400" in await page.locator("ol.timeline").inner_text()


async def test_a_full_disk_is_the_first_sentence(browser, tmp_path):
    """While webhooks get 503 the overview says so and why, and with room again all is well."""
    (tmp_path / "disk").mkdir()
    disk = FileSizeLimit(tmp_path / "disk")
    async with cloud() as aom, serving(tmp_path, aom.url, disk.folder / "ledger.db") as (process, url):
        world = PagesWorld(process, url, aom)
        await world.post(alert("Kept"))
        await world.id_of("Kept", "reported")
        disk.fill(process.process.pid)

        names = (f"Lost{number}" for number in count())

        async def fails():
            return await post(url, *(alert(next(names), text="x" * 500) for _ in range(50))) == 503

        await until(fails)
        async with browser.open(f"{url}/?refresh=0") as opened:
            said = await sentence(opened.page)
            assert said.startswith("the newest webhook of source default was answered with 503")
            assert "/runbooks/AomBridgeWebhooksFailing.md" in await opened.page.get_by_text(
                "What to do"
            ).first.get_attribute("href")
            disk.relieve(process.process.pid)
            await until(lambda: is_kept(url))
            await opened.page.goto(f"{url}/?refresh=0")
            await reload_until(opened.page, lambda said: said.startswith("AOM is in step"))


async def is_kept(url):
    """Say whether a webhook is kept."""
    return await post(url, alert("Kept")) == 200


async def test_a_peer_that_is_down_is_the_first_sentence(browser, tmp_path):
    """The sentence names the peer and what does not happen meanwhile; the source's row says why."""
    missing = f"http://127.0.0.1:{free_port()}"
    cluster = Cluster(tmp_path, hosts=("127.0.0.1",))
    more = f'alertmanagers: [{{urls: ["{cluster.urls[0]}", "{missing}"], interval: 1s}}]'
    async with cloud() as aom, serving(tmp_path, aom.url, more=more) as (_, url):
        cluster.configure(url)
        try:
            await cluster.start()
            await cluster.fire("Fires")
            async with browser.open(f"{url}/?refresh=0") as opened:
                said = await reload_until(opened.page, lambda said: "peer" in said)
                row = opened.page.get_by_role("region", name="Sources").locator("tbody tr")
                assert f"{missing}: no valid answer" in await row.inner_text()
                assert f"{cluster.urls[0]}: answers, version" in await row.inner_text()
                assert "nothing is cleared by absence meanwhile" in said
                runbook = await opened.page.get_by_text("What to do").first.get_attribute("href")
                assert "/runbooks/AomBridgeNotCovered.md" in runbook
        finally:
            await cluster.stop()
