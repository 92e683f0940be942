"""Every link of the pages leads somewhere: from the start, in each language, and behind a path of a proxy."""

from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from browser import IS_FULL
from http_server import serving_routes
from links import walk

pytestmark = [
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(not IS_FULL, reason="`make rehearsal` runs it"),  # CI has 15 min
]

PREFIX = "/tools/aom"


@asynccontextmanager
async def behind_a_path(url):
    """Serve a bridge below a path, as a reverse proxy that leaves the Host as it is; give the new address."""

    async def forward(request):
        path = request.rel_url.raw_path.removeprefix(PREFIX)
        target = f"{url}{path}" + (f"?{request.rel_url.raw_query_string}" if request.query_string else "")
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method, target, headers=request.headers, data=await request.read(), allow_redirects=False
            ) as answer,
        ):
            headers = {name: text for name, text in answer.headers.items() if name not in ("Transfer-Encoding", "Date")}
            return web.Response(body=await answer.read(), status=answer.status, headers=headers)

    async with serving_routes(web.route("*", PREFIX + "{path:/.*}", forward)) as outside:
        yield outside + PREFIX


def broken(visits):
    """Give what does not answer, and fragments that name no place in their page."""
    lost = [f"{one.status} {one.address} from {one.referrer}" for one in visits if one.status >= 400]
    places = [(one, name) for one in visits for name in one.fragments if name and name not in one.ids]
    return lost + [f"#{name} is not in {one.address}" for one, name in places]


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_every_link_leads_somewhere_and_keeps_the_language(pages_world, language):
    """All that can be reached from the start answers, each fragment names a place, and no link loses the language."""
    visits = await walk(f"{pages_world.url}/?lang={language}", languages=(language,))
    assert len(visits) > 60
    assert broken(visits) == []
    assert {one.language for one in visits} == {language, ""}
    pages = {one.address.partition("?")[0] for one in visits}
    expected = ["/", "/alarms", "/playground", "/config", "/metrics", "/api/v1/alarms.csv", "/api/v1/alarms.json"]
    assert {pages_world.url + path for path in expected} <= pages
    assert {f"{pages_world.url}/alarms/{one}" for one in pages_world.ids.values()} <= pages


async def test_every_link_leads_somewhere_behind_a_path(pages_world):
    """A reverse proxy may show the bridge below a path: no link, style or icon leads out of it."""
    async with behind_a_path(pages_world.url) as outside:
        visits = await walk(f"{outside}/", most=120)
        assert len(visits) > 60
        assert broken(visits) == []


@pytest.mark.parametrize("path", ["/nothing", "/alarms/", "/alarms/x/y", "/alarms/x%2Fy", "/a/b/c/"])
async def test_an_error_page_is_whole_at_any_depth_behind_a_path(browser, pages_world, path):
    """The page of a wrong address has its style and its way back, however many slashes the address has."""
    async with behind_a_path(pages_world.url) as outside, browser.open(outside + path) as page:
        assert page.response.status == 404
        assert [line for line in page.problems if "status of 404" not in line] == []
        await page.page.get_by_role("main").get_by_role("link").click()
        await page.page.wait_for_url(f"{outside}/")
        assert await page.page.get_by_role("heading", level=1).is_visible()
