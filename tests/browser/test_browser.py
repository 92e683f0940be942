"""The browser tells everything that goes wrong in a page: without that, tests that find nothing would prove nothing."""

from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from browser import VIEWS
from http_server import serving_routes

pytestmark = pytest.mark.real

HEAD = '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>t</title></head><body><main><h1>t</h1>'
STRICT = {"Content-Security-Policy": "default-src 'none'"}


@asynccontextmanager
async def page_of(browser, body, headers=None, **how):
    """Open a page with this body."""

    async def show(_request):
        return web.Response(text=f"{HEAD}{body}</main>", content_type="text/html", headers=headers)

    async with serving_routes(web.get("/", show)) as url, browser.open(url, **how) as page:
        yield page


PROBLEMS = {
    "error": ("<script>console.error('oh')</script>", "console error: oh"),
    "warning": ("<script>console.warn('hm')</script>", "console warning: hm"),
    "uncaught": ("<script>throw new Error('broken')</script>", "uncaught error: broken"),
    "dialog": ("<script>alert('seen')</script>", "dialog: seen"),
    "answer": ("<img src=/missing alt=x>", "answer 404: GET http://127.0.0.1"),
    "request": ("<img src=http://127.0.0.1:9/x alt=x>", "request failed: GET http://127.0.0.1:9/x: net::ERR_"),
}


@pytest.mark.parametrize("kind", PROBLEMS)
async def test_a_page_tells_each_kind_of_problem(browser, kind):
    """Console, uncaught errors, dialogs, failed requests and broken answers are told; a sound page tells nothing."""
    body, told = PROBLEMS[kind]
    async with page_of(browser, body) as page:
        assert [line for line in page.problems if line.startswith(told)], page.problems
    async with page_of(browser, "<p>sound</p>") as page:
        assert page.problems == []


async def test_a_page_tells_what_its_policy_forbids(browser):
    """A script that the Content-Security-Policy forbids does not run, and the console tells of it."""
    async with page_of(browser, "<script>alert('seen')</script>", STRICT) as page:
        (line,) = page.problems
        assert "Content Security Policy" in line


async def test_a_page_tells_of_requests_to_other_sites(browser):
    """Another port is another origin; the page's own address is none."""
    async with page_of(browser, "<img src=http://127.0.0.1:9/x alt=x>") as page:
        assert page.foreign == ["http://127.0.0.1:9/x"]


async def test_a_page_tells_how_far_it_scrolls_sideways(browser):
    """What is wider than the phone and narrower than the desk is told for the phone alone."""
    async with page_of(browser, '<div style="width:1000px">wide</div>') as page:
        found = await page.overflow()
    assert found[1280] == 0
    assert found[360] > 600


async def test_axe_tells_what_is_seen_in_one_scheme_only(browser):
    """Axe runs past the page's policy, and finds faint text where only a reader in the dark has it."""
    style = "<style>@media(prefers-color-scheme:dark){p{color:#777;background:#666}}</style>"
    async with page_of(browser, f"{style}<p>faint</p>", STRICT, for_axe=True) as page:
        found = await page.axe()
    dark = [f"{width} {scheme}: color-contrast" for width, scheme in VIEWS if scheme == "dark"]
    assert [line.split(" (")[0] for line in found] == dark


async def test_a_page_that_renews_itself_stays_for_axe(browser):
    """Where a page is held, axe never meets another one in its place; where it is not, it is loaded again."""
    for is_held in (True, False):
        async with page_of(browser, "<p>sound</p>", for_axe=is_held) as page:
            await page.page.evaluate("window.isSame = true")
            async with page.page.expect_event("requestfailed" if is_held else "load"):
                await page.page.evaluate("setTimeout(() => location.reload())")
            assert await page.page.evaluate("window.isSame === true") == is_held
