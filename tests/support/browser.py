"""A real Chromium without a window: what a page looks like to people, and what it does that it should not.

In: addresses. Out: a `Page`, which keeps everything that goes wrong in the browser from the first byte on. Every page
has a context of its own: no cookie, no cache, and the server's Content-Security-Policy holds. Only pages that are
opened for axe-core are without the policy, since axe is a script.
"""

import os
from contextlib import asynccontextmanager
from itertools import product
from urllib.parse import urlsplit

import pytest_asyncio
from playwright.async_api import async_playwright
from programs import need, need_unpacked

DESKTOP, PHONE = 1280, 360
"""Widths in CSS pixels."""

WIDTHS = (DESKTOP, PHONE)
SCHEMES = ("light", "dark")
HEIGHT = 800
IS_FULL = os.environ.get("AOM_BRIDGE_REHEARSAL") == "full"
VIEWS = tuple(product(WIDTHS, SCHEMES)) if IS_FULL else ((DESKTOP, "light"), (PHONE, "dark"))
"""What axe looks at: each width and each scheme once, and in the rehearsal all together."""

_OVERFLOW = "Math.max(document.documentElement.scrollWidth, document.body.scrollWidth) - window.innerWidth"
_CLOSED = {"net::ERR_ABORTED"}
"""What Chromium says of a request that the page's own navigation has ended, or that was a download."""


class Page:
    """One page, opened in a context of its own.

    Attributes:
        page: Playwright's page, for locators, clicks and forms.
        response: the answer to the first request: `status`, `headers`, `text()`.
        problems: console errors and warnings, uncaught errors, dialogs, failed requests, broken answers: one line each.
        foreign: addresses of another origin that the page asked for.
    """

    def __init__(self, page, url, *, is_for_axe):
        self.page = page
        self.response = None
        self.problems = []
        self.foreign = []
        self._origin = urlsplit(url)[:2]
        self._is_for_axe = is_for_axe
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.problems.append(f"uncaught error: {error}"))
        page.on("dialog", self._dialog)
        page.on("request", self._request)
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)

    async def look(self, width, scheme):
        """Show the same page in a window of this width (CSS pixels), to a reader who prefers `light` or `dark`."""
        await self.page.set_viewport_size({"width": width, "height": HEIGHT})
        await self.page.emulate_media(color_scheme=scheme)

    async def overflow(self):
        """Give by how many CSS pixels the page is wider than the window, for each width; 0: no scrolling sideways."""
        found = {}
        for width in WIDTHS:
            await self.look(width, "light")
            found[width] = await self.page.evaluate(_OVERFLOW)
        return found

    async def links(self):
        """Give the addresses of all links and forms, resolved."""
        return await self.page.eval_on_selector_all("[href], [action]", "all => all.map(one => one.href || one.action)")

    async def axe(self):
        """Give what axe-core finds in the page as it is now, in each of `VIEWS`, one line for each element.

        The page must have been opened with ``for_axe=True``.
        """
        assert self._is_for_axe, "open the page with for_axe=True"
        if await self.page.evaluate("typeof axe === 'undefined'"):
            source = need_unpacked("axe/axe.min.js").read_text(encoding="utf-8")
            await self.page.evaluate(f"() => {{ {source} }}")
        lines = []
        for width, scheme in VIEWS:
            await self.look(width, scheme)
            found = await self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
            assert found["passes"], "axe has checked nothing"
            nodes = [(violation, node) for violation in found["violations"] for node in violation["nodes"]]
            lines += [f"{width} {scheme}: {_line(violation, node)}" for violation, node in nodes]
        return lines

    async def hold(self):
        """Never load the shown address again: a page that renews itself stays as it is. Forms and links work."""

        async def answer(route):
            asked = route.request
            is_again = asked.is_navigation_request() and (asked.method, asked.url) == ("GET", self.page.url)
            await (route.fulfill(status=204) if is_again else route.continue_())

        await self.page.route("**/*", answer)

    def _console(self, message):
        if message.type in ("error", "warning", "assert"):
            self.problems.append(f"console {message.type}: {message.text}")

    async def _dialog(self, dialog):
        self.problems.append(f"dialog: {dialog.message}")
        await dialog.dismiss()

    def _request(self, request):
        if urlsplit(request.url)[:2] != self._origin and not request.url.startswith(("data:", "blob:")):
            self.foreign.append(request.url)

    def _failed(self, request):
        if request.failure not in _CLOSED:
            self.problems.append(f"request failed: {request.method} {request.url}: {request.failure}")

    def _answered(self, response):
        if response.status >= 400 and not response.request.is_navigation_request():
            self.problems.append(f"answer {response.status}: {response.request.method} {response.url}")


def _line(violation, node):
    why = " ".join(node["failureSummary"].split())
    return f"{violation['id']} ({violation['impact']}): {' '.join(map(str, node['target']))}: {why}"


class Browser:
    """A running Chromium."""

    def __init__(self, chromium):
        self._chromium = chromium

    @asynccontextmanager
    async def open(self, url, *, for_axe=False, **context):
        """Open an address as a reader on a desk, in light, and wait until all of it is there; close it at the end.

        Args:
            url: the address.
            for_axe: without the Content-Security-Policy, and held.
            context: more of Playwright's `new_context`, such as `http_credentials`, `locale`, `java_script_enabled`.
        """
        made = await self._chromium.new_context(bypass_csp=for_axe, reduced_motion="reduce", **context)
        try:
            page = Page(await made.new_page(), url, is_for_axe=for_axe)
            await page.look(DESKTOP, "light")
            if for_axe:
                await page.hold()
            page.response = await page.page.goto(url, wait_until="load")
            yield page
        finally:
            await made.close()


@asynccontextmanager
async def chromium():
    """Run the system's Chromium without a window; root has no sandbox, since Chromium gives it none."""
    program = need("chromium")
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=program, chromium_sandbox=os.geteuid() != 0)
        try:
            yield Browser(launched)
        finally:
            await launched.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser():
    """One Chromium for all tests of a worker."""
    async with chromium() as running:
        yield running
