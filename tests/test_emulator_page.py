"""The emulator's page shows what is there to anybody, safely."""

from test_emulator import MINUTE, alarm, cleared, cloud


async def text_of(it):
    """Fetch the page."""
    async with it.session.get(it.emulator.url + "/") as response:
        assert response.content_type == "text/html"
        return await response.text()


async def test_the_page_shows_alarms_faults_and_violations():
    """The page shows active and cleared alarms with severity and age, armed faults and violations."""
    async with cloud(ids="supplied") as it:
        await it.report(alarm("CPU high", event_id="a", event_severity="Critical"), alarm("Disk full", event_id="b"))
        await it.clear(cleared("b", "Disk full"))
        await it.report(alarm(extra=""))
        await it.arm({"on": "token", "status": 503})
        it.clock.advance(90 * MINUTE)
        page = await text_of(it)
        active, past = page.split("<h2>Recently cleared")
        assert '<span class="severity Critical">Critical</span>' in active
        assert "CPU high" in active
        assert "1 h ago" in active
        assert "Prometheus / node / node-1" in active
        assert "it is high" in active
        assert "Disk full" in past
        assert "Disk full" not in active
        assert "&quot;status&quot;:503" in past
        assert "events[0].metadata.extra: has 0 characters" in past
        assert '<meta http-equiv="refresh" content="2">' in page


async def test_the_page_escapes_what_it_shows():
    """A script in a name, a message or a fault is shown as text and never runs."""
    async with cloud() as it:
        script = "<script>alert('x')</script>"
        await it.report(alarm(script, resource_id=script, annotations={"message": script, script: script}))
        await it.report(alarm(annotations={"message": {script: script}}))
        await it.report({"metadata": {script: ""}, "starts_at": 1}, project="%3Cscript%3E")
        await it.arm({"poison": script})
        page = await text_of(it)
        assert "<script" not in page
        assert page.count("&lt;script&gt;alert(") >= 5


async def test_the_page_has_at_most_200_rows_each():
    """Of many alarms the page shows the newest 200 and says how many there are."""
    async with cloud() as it:
        await it.report(*(alarm(f"alarm-{number:03d}-") for number in range(250)))
        page = await text_of(it)
        assert page.count("alarm-") == 200
        assert "newest 200 of 250" in page
        assert "alarm-249-" in page
        assert "alarm-049-" not in page


async def test_the_page_stands_absurd_times():
    """A time beyond the calendar does not break the page."""
    async with cloud(ids="supplied") as it:
        await it.report(alarm(event_id="a", starts_at=1))
        await it.clear(cleared("a", ends_at=10**18))
        assert "CPU high" in await text_of(it)
