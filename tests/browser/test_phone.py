"""``/alarms`` on a phone: the alarms are on its first screen, and the filters that are folded up can be reached."""

import pytest
import pytest_asyncio
from pages_world import empty_world
from webhooks import alert

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="session")]

PHONE = {"width": 400, "height": 850}
DESK = {"width": 1280, "height": 800}
FOLDED = ("target", "source", "since", "until", "order")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory):
    """A bridge with two alarms."""
    async with empty_world(tmp_path_factory.mktemp("phone")) as made:
        await made.post(alert("First"), alert("Second"))
        await made.id_of("Second", "reported")
        yield made


@pytest.mark.parametrize("query", ["", "?lang=zh", "?target=&since=&order=newest", "?since=12h"])
async def test_the_first_alarm_is_on_the_first_screen_of_a_phone(browser, world, query):
    """In each language, and where filters are set; the first one is there as a whole where none is."""
    async with browser.open(f"{world.url}/alarms{query}", java_script_enabled=False) as opened:
        await opened.page.set_viewport_size(PHONE)
        box = await opened.page.locator("tbody tr").first.bounding_box()
        assert box["y"] < PHONE["height"]
        is_folded = await opened.page.locator("details.more").get_attribute("open") is None
        assert is_folded == ("12h" not in query)
        assert box["y"] + box["height"] < PHONE["height"] or not is_folded


async def test_each_filter_can_be_reached_by_the_keyboard_in_its_order(browser, world):
    """On a phone after the summary is opened, on a desk without one."""
    async with browser.open(f"{world.url}/alarms", java_script_enabled=False) as opened:
        page = opened.page
        shown = ["filter", "text", "event_name", "state", "severity"]
        await page.set_viewport_size(DESK)
        assert not await page.locator("details.more > summary").is_visible()
        assert await tabbed(page) == [*shown, *FOLDED]
        await page.set_viewport_size(PHONE)
        assert await tabbed(page) == shown
        await page.locator("details.more > summary").press("Enter")
        assert await tabbed(page) == [*shown, *FOLDED]


async def tabbed(page):
    """Give the names of the form's fields in the order in which the tabulator reaches them."""
    await page.locator("#filter").focus()
    names = []
    while (name := await focused(page)) != "BUTTON":
        names += [name] if name != "SUMMARY" else []
        await page.keyboard.press("Tab")
    return names


async def focused(page):
    """Give the name of the field that has the focus, or else its element."""
    return await page.evaluate("document.activeElement.name || document.activeElement.tagName")
