"""``/playground`` as people use it: what alerts become, what is wrong with edited rules, and a link for a colleague."""

import json

import pytest
import pytest_asyncio
from pages_world import CHINESE, SCRIPT
from playground_texts import WRONG_RULES
from webhooks import alert, payload

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="session")]

PODS = "rules:\n  - {name: pods, match: ['pod!=\"\"'], set: {resource_type: my-pod}}\n"

DEPTH = 8
LOOPS = "".join(f"{{% for n{number} in labels %}}" for number in range(DEPTH)) + "{% endfor %}" * DEPTH
ENDLESS = f'rules:\n  - name: endless\n    set:\n      resource_type: "{LOOPS}x"\n'
MANY_LABELS = {f"label{number}": "x" for number in range(60)}


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser, pages_world):
    """An empty playground in a browser without scripts; nothing may fail in it."""
    async with browser.open(f"{pages_world.url}/playground", java_script_enabled=False) as opened:
        yield opened.page
        assert opened.problems == []
        assert opened.foreign == []


async def tried(page, webhook=None, mapping=None):
    """Fill the form and try it; give the text of the page."""
    if webhook is not None:
        await page.locator("#webhook").fill(webhook)
    if mapping is not None:
        await page.locator("#mapping").fill(mapping)
    await page.get_by_role("button", name="Try it").click()
    return await page.get_by_role("main").inner_text()


async def test_an_alert_is_told_rule_by_rule(page, pages_world):
    """The page says which rules match, what each field is and where it is from; nothing is kept."""
    before = len(await pages_world.alarms())
    text = await tried(page, json.dumps(payload(alert("DiskTooFull", pod="p"), alert(CHINESE))))
    assert "Alert 1: DiskTooFull" in text
    assert f"Alert 2: {CHINESE}" in text
    assert "rule disks: matches" in text
    assert 'rule guiyang: no match: region="cn-southwest-2" does not hold' in text
    assert len(await pages_world.alarms()) == before


async def test_an_edited_rule_shows_the_difference(page):
    """Old and new value stand beside each other, for the alarms of the ledger."""
    text = await tried(page, mapping="rules:\n  - {name: all, set: {resource_type: changed}}\n")
    assert "alarms would become something else" in text
    assert await page.locator("#changes ~ .card del.removed").first.is_visible()
    assert "changed" in await page.locator("#changes ~ .card ins.added").all_inner_texts()


async def test_a_mistake_is_told_with_its_line(page):
    """A key that is not known is named with its line, the line itself, and the fix; what was typed stays."""
    await tried(page, mapping=WRONG_RULES)
    told = await page.get_by_role("alert").inner_text()
    assert "line 4" in told
    assert "sett: {resource_type: pod}" in told
    assert "Fix: " in told
    assert (await page.locator("#mapping").input_value()).splitlines() == WRONG_RULES.splitlines()


@pytest.mark.parametrize("webhook", ["{", "[1]", '"text"', "\u202e", "[" * 50_000, '{"alerts": [{}]}'])
async def test_a_broken_webhook_is_a_sentence(page, webhook):
    """What is no webhook is told in one sentence, whatever it is."""
    await tried(page, webhook)
    assert len(await page.get_by_role("alert").inner_text()) > 20


async def test_a_template_without_an_end_is_a_sentence(page):
    """It is refused before it runs, with its line and the fix."""
    await tried(page, json.dumps(payload(alert("A", **MANY_LABELS))), ENDLESS)
    told = await page.get_by_role("alert").inner_text()
    assert "line 4" in told
    assert "has a loop within a loop. Fix: use one loop." in told


async def test_a_link_shows_the_same_to_a_colleague(browser, page):
    """The address holds both fields; in another browser it shows what it showed here."""
    await tried(page, json.dumps(payload(alert("Linked", pod="p"))), PODS)
    address = await page.get_by_role("link", name="Link to this").evaluate("one => one.href")
    async with browser.open(address) as other:
        text = await other.page.get_by_role("main").inner_text()
        assert "Alert 1: Linked" in text
        assert "rule pods: matches" in text
        assert "my-pod" in text
        assert (await other.page.locator("#mapping").input_value()).splitlines() == PODS.splitlines()
        assert other.problems == []


async def test_what_is_too_long_for_an_address_is_said(page):
    """A link that proxies would refuse is not offered."""
    text = await tried(page, json.dumps(payload(*(alert("Long", number=str(number)) for number in range(30)))))
    assert "Too long for an address" in text
    assert await page.get_by_role("link", name="Link to this").count() == 0


async def test_a_kept_alert_is_taken_from_its_page(browser, pages_world):
    """From the page of an alarm one link leads to its mapping, tried already, by today's rules; all values are text."""
    async with browser.open(pages_world.address("{bridge}/alarms/{hostile}"), for_axe=True) as opened:
        await opened.page.get_by_role("link", name="Try its mapping in the playground").click()
        text = await opened.page.get_by_role("main").inner_text()
        assert f"Alert 1: {SCRIPT}" in text
        assert SCRIPT in await opened.page.locator("#webhook").input_value()
        assert opened.problems == []
        assert await opened.page.locator("main script, main img").count() == 0


async def test_the_way_back_to_todays_rules_is_a_link(page):
    """One link empties the form, and shows the rules in use."""
    await tried(page, mapping=WRONG_RULES)
    await page.get_by_role("link", name="Today's rules").click()
    assert "name: disks" in await page.locator("#mapping").input_value()
    assert await page.locator("#webhook").input_value() == ""
