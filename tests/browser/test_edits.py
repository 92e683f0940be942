"""Changes by hand on an alarm's page: who may make them, what they do, and that no other site can ask for them."""

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from emulated_aom import cloud
from http_server import serving_routes
from links import BROWSER
from pages_world import SCRIPT, PagesWorld
from process import serving
from waiting import until
from web_clients import basic, hashed
from webhooks import alert, resolved

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="session")]

WEB = f"""
basic_auth_users:
  sender: {hashed("s")}
  reader: {hashed("r")}
  oncall: {hashed("n")}
  "{SCRIPT}": {hashed("h")}
rights:
  sender: [webhook, status]
  reader: [status]
  oncall: [status, admin]
  "{SCRIPT}": [status, admin]
"""
ONCALL = {"http_credentials": {"username": "oncall", "password": "n"}}
READER = {"http_credentials": {"username": "reader", "password": "r"}}
HOSTILE = {"http_credentials": {"username": SCRIPT, "password": "h"}}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory):
    """A bridge with users and rights."""
    folder = tmp_path_factory.mktemp("edits")
    (folder / "web.yml").write_text(WEB)
    arguments = [f"--web.config.file={folder / 'web.yml'}"]
    async with cloud() as aom, serving(folder, aom.url, arguments=arguments) as (process, url):
        world = PagesWorld(process, url, aom)
        world.headers = basic("sender", "s")
        yield world


async def refused(world, name):
    """Post an alert that AOM refuses once; give the id of its alarm and the address of its page."""
    await world.set_fault({"on": "report", "status": 400, "error_msg": "not today", "count": 1})
    await world.post(alert(name))
    own_id = await world.id_of(name, "rejected")
    return own_id, f"{world.url}/alarms/{own_id}"


async def change(page, edit):
    """Ask for a change, and confirm it."""
    await page.get_by_role("link", name=edit, exact=True).click()
    await page.get_by_role("button", name=edit, exact=True).click()


async def timeline(page):
    """Give the entries of the timeline."""
    return await page.locator("ol.timeline .what").all_inner_texts()


async def state(world, own_id):
    """Give the state of an alarm."""
    return next(row["state"] for row in await world.alarms() if row["id"] == own_id)


async def test_the_timeline_tells_the_whole_life(browser, pages_world):
    """From the firing to the accepted clear, in the order of time, each with what AOM said of it."""
    async with browser.open(pages_world.address("{bridge}/alarms/{cleared}")) as opened:
        told = await timeline(opened.page)
    fired, received, accepted, ended, cleared = told
    assert fired == "the alert began to fire"
    assert received.endswith("rule disks mapped it for target default")
    assert (accepted, ended, cleared) == (
        "AOM accepted the report",
        "the bridge received the resolve",
        "AOM accepted the clear",
    )
    async with browser.open(pages_world.address("{bridge}/alarms/{rejected}")) as opened:
        told = await timeline(opened.page)
    assert told[-1].startswith("AOM refused the report for good: 400 AOM.0400 parse eventParam failed (trace ")


async def test_one_with_the_right_retries_clears_and_discards(browser, world):
    """Each change is asked about, done, said, and stands in the timeline with who made it; no script is needed."""
    own_id, address = await refused(world, "Refused")
    async with browser.open(address, java_script_enabled=False, **ONCALL) as opened:
        page = opened.page
        await page.get_by_role("link", name="Retry", exact=True).click()
        assert "Retry this alarm?" in await page.get_by_role("main").inner_text()
        await page.get_by_role("link", name="Cancel").click()
        assert await state(world, own_id) == "rejected"
        await change(page, "Retry")
        assert "Done: " in await page.get_by_role("status").inner_text()
        assert [line for line in await timeline(page) if line.startswith("retried by oncall (page 127.0.0.1)")]
        await world.id_of("Refused", "reported")
        await change(page, "Clear")
        await world.id_of("Refused", "cleared")
        await page.goto(address)
        assert [line for line in await timeline(page) if line.startswith("cleared by oncall (page 127.0.0.1)")]
        assert await page.get_by_role("link", name="Discard", exact=True).count() == 0
        assert opened.problems == []
        await page.goto(f"{address}?confirm=discard")
        await page.get_by_role("button", name="Discard").click()
        assert "Not done: it is cleared already" in await page.get_by_role("alert").inner_text()
        assert opened.foreign == []
    assert "Refused" in {event["metadata"]["event_name"] for event in world.emulator.snapshot()["history"]}


async def test_a_discard_by_a_hostile_name_is_text(browser, world):
    """The name of a user is text in the timeline, and no change is made by a page that was only looked at."""
    own_id, address = await refused(world, "Hostile")
    async with browser.open(address, for_axe=True, **HOSTILE) as opened:
        await change(opened.page, "Discard")
        assert [line for line in await timeline(opened.page) if f"discarded by {SCRIPT} (page" in line]
        assert opened.problems == []
        assert await opened.axe() == []
        assert await state(world, own_id) == "discarded"


async def test_one_without_the_right_reads_a_sentence_and_changes_nothing(browser, world):
    """The page shows no button and says why; a form that is sent all the same gets 403, as a page."""
    own_id, address = await refused(world, "Reader")
    async with browser.open(f"{address}?confirm=retry", **READER) as opened:
        assert "You may read here" in await opened.page.get_by_role("main").inner_text()
        for name in ("Retry", "Clear", "Discard"):
            assert await opened.page.get_by_text(name, exact=True).count() == 0
        assert await opened.page.locator("form").count() == 0
    async with aiohttp.ClientSession(headers=BROWSER | basic("reader", "r")) as session:
        for edit in ("retry", "clear", "discard"):
            async with session.post(f"{address}/{edit}", allow_redirects=False) as answer:
                text = await answer.text()
                assert (answer.status, answer.content_type) == (403, "text/html")
                assert "You may not do this" in text
                assert "has no right" in text
    assert await state(world, own_id) == "rejected"


async def test_without_credentials_the_page_asks_to_log_in(world):
    """The answer is 401 with the challenge, and a page that says so: also of a form that is sent."""
    own_id, address = await refused(world, "LoggedOut")
    async with aiohttp.ClientSession(headers=BROWSER) as session:
        for method, path in (("GET", ""), ("POST", "/discard")):
            async with session.request(method, address + path) as answer:
                assert answer.status == 401
                assert answer.headers["WWW-Authenticate"].startswith("Basic")
                assert "Please log in" in await answer.text()
        assert await state(world, own_id) == "rejected"


async def test_a_page_of_another_site_changes_nothing(browser, world):
    """A form of another origin is refused though the reader is logged in, and the page of the refusal says why."""
    own_id, address = await refused(world, "Lured")

    async def lure(_request):
        form = f'<form method="post" action="{address}/discard"><button>You have won</button></form>'
        return web.Response(text=f"<!doctype html><title>t</title>{form}", content_type="text/html")

    async with serving_routes(web.get("/", lure)) as other, browser.open(address, **ONCALL) as opened:
        page = opened.page
        await page.goto(other)
        async with page.expect_navigation() as waiting:
            await page.get_by_role("button").click()
        answer = await waiting.value
        assert answer.status == 403
        assert "a page of another site sent this request" in await page.get_by_role("alert").inner_text()
    assert await state(world, own_id) == "rejected"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"X-Forwarded-For": "192.0.2.1"},
    ],
)
async def test_an_open_bridge_changes_nothing_for_others(pages_world, headers):
    """Without users only this machine changes alarms: no other origin, and nothing that came through a proxy."""
    address = pages_world.address("{bridge}/alarms/{rejected}/discard")
    async with aiohttp.ClientSession(headers=BROWSER | headers) as session, session.post(address) as answer:
        assert answer.status == 403
        assert answer.content_type == "text/html"
    assert await state(pages_world, pages_world.ids["rejected"]) == "rejected"


async def test_an_alarm_that_is_not_there_is_a_page(browser, pages_world):
    """Its page and its changes answer 404 with a sentence, not with an error of the bridge."""
    async with browser.open(f"{pages_world.url}/alarms/nothing") as opened:
        assert opened.response.status == 404
        assert "no alarm has this id" in await opened.page.get_by_role("alert").inner_text()
    async with aiohttp.ClientSession(headers=BROWSER) as session:
        for edit in ("retry", "clear", "discard"):
            async with session.post(f"{pages_world.url}/alarms/nothing/{edit}") as answer:
                assert (answer.status, answer.content_type) == (404, "text/html")


async def test_a_retry_of_what_aom_refuses_again_is_told_twice(browser, world):
    """Each refusal stays in the timeline, with the retry between them."""
    _, address = await refused(world, "Twice")
    await world.set_fault({"on": "report", "status": 400, "error_msg": "not now", "count": 1})
    async with browser.open(address, **ONCALL) as opened:
        await change(opened.page, "Retry")

        async def is_told():
            await opened.page.reload()
            return "not now" in (await timeline(opened.page))[-1]

        await until(is_told)
        refusals = [line for line in await timeline(opened.page) if line.startswith("AOM refused")]
        assert ["not today" in refusals[0], "not now" in refusals[1]] == [True, True]
        assert len(refusals) == 2


async def test_a_resolve_of_an_alarm_that_was_cleared_by_hand_ends_nothing_else(browser, world):
    """The page of an alarm lists the earlier ones of its alert, and leads to them."""
    one = alert("Again")
    await world.post(one)
    first = await world.id_of("Again", "reported")
    await world.post(resolved(one))
    await world.id_of("Again", "cleared")
    await world.post(one)
    second = await world.id_of("Again", "reported")
    async with browser.open(f"{world.url}/alarms/{second}", **ONCALL) as opened:
        await opened.page.get_by_role("region", name="Earlier alarms").get_by_role("link").click()
        assert opened.page.url.endswith(first)
