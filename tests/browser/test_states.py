"""Every state of every page, in a real browser: readable for everyone, whole on a phone and on paper, without scripts.

A state is an address, or what a form answers. The values in all of them are hostile.
"""

import json

import aiohttp
import pytest
from browser import IS_FULL
from links import BROWSER
from pages_world import HOSTILE_LABELS, LINK, SCRIPT
from playground_texts import WRONG_RULES
from webhooks import alert, payload

pytestmark = [
    pytest.mark.real,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(not IS_FULL, reason="`make rehearsal` runs it"),  # CI has 15 min
]

PAPER = 718
"""The width of A4 between usual margins, in CSS pixels."""

STATES = {
    "overview in Chinese": "{bridge}/?lang=zh&webhooks=all",
    "alarms, none found": "{bridge}/alarms?text=nothing",
    "alarms, all filters": "{bridge}/alarms?filter=service%3D~%22.%2A%22&state=open&severity=Critical&lang=zh",
    "alarms, wrong filter": "{bridge}/alarms?filter=a%3D~%22(%22",
    "alarms, hostile filter": "{bridge}/alarms?since=%22%3E%3Cimg%20src=x%20onerror=alert(1)%3E",
    "alarm, hostile": "{bridge}/alarms/{hostile}",
    "alarm, hostile and refused": "{bridge}/alarms/{hostile_rejected}?lang=zh",
    "alarm, waiting": "{bridge}/alarms/{waiting}",
    "alarm, a discard is asked about": "{bridge}/alarms/{waiting}?confirm=discard",
    "alarm, a retry is asked about": "{bridge}/alarms/{rejected}?confirm=retry&lang=zh",
    "alarm, a change was made": "{bridge}/alarms/{reported}?done=clear",
    "alarm, a change that there is not": "{bridge}/alarms/{reported}?done=%3Cscript%3Ealert(1)%3C/script%3E",
    "playground, empty": "{bridge}/playground",
    "playground, a hostile alert": "{bridge}/playground?alarm={hostile}",
    "playground, no such alarm": "{bridge}/playground?alarm=nothing",
    "playground, no such Alertmanager": "{bridge}/playground?listed=%3Cscript%3Ealert(1)%3C/script%3E",
    "configuration in Chinese": "{bridge}/config?lang=zh",
    "no such page": "{bridge}/%3Cscript%3Ealert(1)%3C/script%3E",
    "no such alarm": "{bridge}/alarms/%3Cscript%3Ealert(1)%3C/script%3E",
}
TRIALS = {
    "problems": {"mapping": WRONG_RULES},
    "difference": {
        "webhook": json.dumps(payload(alert(SCRIPT, **HOSTILE_LABELS), receiver=SCRIPT, externalURL=LINK)),
        "mapping": "rules:\n  - {name: all, set: {resource_type: '{{ labels.script }}'}}\n",
    },
    "broken webhook": {"webhook": SCRIPT},
}


async def check(opened):
    """Hold the page that is shown against all that every page promises."""
    page = opened.page
    assert [line for line in opened.problems if "the server responded with a status of 40" not in line] == []
    assert opened.foreign == []
    assert [link for link in await opened.links() if not link.startswith(("http://", "https://"))] == []
    assert await page.locator("script, iframe, object, embed, main img, [onerror], [onclick], [style]").count() == 0
    assert await opened.axe() == []
    assert await opened.overflow() == {1280: 0, 360: 0}
    await page.emulate_media(media="print", color_scheme="light")
    await page.set_viewport_size({"width": PAPER, "height": 1_000})
    cut = "all => all.filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.outerHTML.slice(0, 200))"
    assert await page.eval_on_selector_all("main, main .card, main pre", cut) == []
    assert await page.locator("main h1").is_visible()
    assert [
        one
        for one in await page.locator("main table, main .timeline, main .banner").all()
        if not await one.is_visible()
    ] == []


@pytest.mark.parametrize("name", STATES)
async def test_each_state_keeps_what_every_page_promises(browser, pages_world, name):
    """No script, no other site, nothing for axe, no scrolling sideways on a phone, nothing cut off on paper."""
    async with browser.open(pages_world.address(STATES[name]), for_axe=True) as opened:
        assert opened.response.status < 500
        await check(opened)


@pytest.mark.parametrize("name", TRIALS)
async def test_each_trial_keeps_what_every_page_promises(browser, pages_world, name):
    """The same of what the playground answers to its form."""
    async with browser.open(f"{pages_world.url}/playground", for_axe=True) as opened:
        for field, text in TRIALS[name].items():
            await opened.page.locator(f"#{field}").fill(text)
        await opened.page.get_by_role("button", name="Try it").click()
        await opened.page.locator("[role=alert], #result").first.wait_for()
        await check(opened)


async def test_every_answer_forbids_scripts_frames_and_caches(pages_world):
    """Pages, exports, files and errors have the policy; a form may only lead to the bridge itself."""
    async with aiohttp.ClientSession(headers=BROWSER) as session:
        for path in ("/", "/alarms", "/nothing", "/style.css", "/icon.svg", "/api/v1/alarms.csv", "/api/v1/status"):
            async with session.get(pages_world.url + path) as answer:
                policy = answer.headers["Content-Security-Policy"]
                assert policy.startswith("default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'"), (
                    path
                )
                assert "frame-ancestors 'none'" in policy
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
