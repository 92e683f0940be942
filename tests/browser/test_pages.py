"""Every page in a real browser: nothing fails in it, it asks no other site, and everyone can read it."""

import pytest
from pages_world import PAGES

pytestmark = pytest.mark.real

OF_THE_BRIDGE = [name for name, template in PAGES.items() if template.startswith("{bridge}")]
each_page = pytest.mark.parametrize("name", PAGES)


@each_page
async def test_a_page_loads_without_a_problem_and_asks_no_other_site(browser, pages_world, name):
    """The console stays empty, every request is answered, and none goes to another origin."""
    async with browser.open(pages_world.address(PAGES[name])) as page:
        assert page.response.status == 200
        assert page.problems == []
        assert page.foreign == []


@each_page
async def test_no_value_runs_as_a_script_even_without_the_policy(browser, pages_world, name):
    """What webhooks and AOM send is text to a browser without the policy, too, and no link leads but to the web."""
    async with browser.open(pages_world.address(PAGES[name]), for_axe=True) as page:
        assert page.problems == []
        assert page.foreign == []
        assert [link for link in await page.links() if not link.startswith(("http://", "https://"))] == []


@each_page
async def test_axe_finds_nothing(browser, pages_world, name):
    """A page meets the rules of accessibility, in light and dark, on a phone and on a desk."""
    async with browser.open(pages_world.address(PAGES[name]), for_axe=True) as page:
        assert await page.axe() == []


@each_page
async def test_a_page_does_not_scroll_sideways(browser, pages_world, name):
    """On a phone as on a desk the page is as wide as the window, whatever the labels hold."""
    async with browser.open(pages_world.address(PAGES[name])) as page:
        assert await page.overflow() == {1280: 0, 360: 0}


@pytest.mark.parametrize("name", OF_THE_BRIDGE)
async def test_a_page_of_the_bridge_may_load_nothing_by_default(browser, pages_world, name):
    """The Content-Security-Policy of each page begins from nothing."""
    async with browser.open(pages_world.address(PAGES[name])) as page:
        assert "default-src 'none'" in page.response.headers["content-security-policy"]
