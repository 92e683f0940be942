"""Pages over many alarms and over a huge one: they answer, and webhooks are answered meanwhile.

How long each answer takes and how large it is is printed, not judged: `pytest -s`.
"""

import asyncio
import csv
import io
import json
import time

import aiohttp
import pytest
import pytest_asyncio
from browser import IS_FULL
from links import BROWSER
from pages_world import empty_world
from webhooks import alert, post

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(not IS_FULL, reason="`make rehearsal` runs it"),  # CI has 15 min
]

ALARMS = 10_000
AT_ONCE = 1_000
LABELS, CHARACTERS = 1_000, 2_000
ADDRESSES = (
    "/?refresh=0",
    "/alarms",
    "/alarms?order=worst",
    "/alarms?filter=number%3D~%22.%2A99%22",
    "/alarms?text=n-99",
    "/alarms?state=open&severity=Minor&order=oldest",
    "/api/v1/status",
    "/config",
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(tmp_path_factory):
    """A bridge that holds many open alarms, which AOM does not take, and one alarm with 2 MB of labels."""
    async with empty_world(tmp_path_factory.mktemp("large")) as made:
        await made.set_fault({"on": "report", "status": 503})
        severities = ("critical", "warning", "info")
        for first in range(0, ALARMS, AT_ONCE):
            numbers = range(first, first + AT_ONCE)
            await made.post(
                *(alert("Many", severity=severities[n % 3], instance=f"n-{n}", number=str(n)) for n in numbers)
            )
        await made.post(alert("Huge", **{f"label{number:04}": "x" * CHARACTERS for number in range(LABELS)}))
        yield made


async def fetched(url, path):
    """Give the body of an answer, after a line about it; a webhook that comes meanwhile is kept."""
    async with aiohttp.ClientSession(headers=BROWSER) as session:
        begun = time.monotonic()

        async def read():
            async with session.get(url + path) as answer:
                body = await answer.read()
                assert answer.status == 200
                return body, time.monotonic() - begun

        async def keep():
            assert await post(url, alert("Meanwhile")) == 200
            return time.monotonic() - begun

        (body, took), kept = await asyncio.gather(read(), keep())
        print(f"{path}: {len(body):,} bytes in {took:.2f} s; a webhook beside it in {kept:.2f} s")  # noqa: T201 - figures for a reader
        return body.decode()


@pytest.mark.parametrize("path", ADDRESSES)
async def test_each_page_answers_over_ten_thousand_alarms(world, path):
    """A page is whole, and holds no more than a page; a webhook that comes meanwhile is kept."""
    text = await fetched(world.url, path)
    assert len(text) < 500_000
    assert path.startswith("/api") or text.rstrip().endswith("</html>")


async def test_an_export_is_complete(world):
    """Ten thousand alarms are in the CSV and in the JSON, each once."""
    rows = list(csv.DictReader(io.StringIO(await fetched(world.url, "/api/v1/alarms.csv?event_name=Many"), newline="")))
    assert {row["resource_id"] for row in rows} == {f"n-{number}" for number in range(ALARMS)}
    assert len(rows) == ALARMS
    found = json.loads(await fetched(world.url, "/api/v1/alarms.json?event_name=Many"))["data"]
    assert len({one["id"] for one in found}) == len(found) == ALARMS


async def test_a_huge_alarm_is_a_page(browser, world):
    """An alarm with 1,000 labels of 2,000 characters is shown whole, on a phone as well, and in the playground."""
    own_id = await world.id_of("Huge", "report_due")
    text = await fetched(world.url, f"/alarms/{own_id}")
    assert text.count("x" * CHARACTERS) >= LABELS
    await fetched(world.url, f"/playground?alarm={own_id}")
    async with browser.open(f"{world.url}/alarms/{own_id}") as opened:
        assert opened.problems == []
        assert await opened.overflow() == {1280: 0, 360: 0}
