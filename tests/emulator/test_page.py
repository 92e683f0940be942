"""The emulator's page shows what is there to anybody, safely."""

import pytest
from emulator_client import MINUTE, alarm, cleared, cloud


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
        assert "1 h 30 min ago" in active
        assert "Prometheus / node / node-1" in active
        assert "it is high" in active
        assert "Disk full" in past
        assert "Disk full" not in active
        assert "&#34;status&#34;:503" in past
        assert "events[0].metadata.extra: has 0 characters" in past


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


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9877", "127.0.0.1.evil.example", ""])
async def test_a_page_whose_name_was_turned_to_loopback_reads_and_breaks_nothing(host):
    """An emulator on loopback answers only to a Host that no name server can give, on every path."""
    async with cloud() as it:
        for method, path in (("GET", "/"), ("GET", "/emulator/state"), ("POST", "/emulator/reset")):
            async with it.session.request(method, it.emulator.url + path, headers={"Host": host}) as response:
                assert response.status == 403
        for own in ("localhost:9877", "[::1]:9877", "127.0.0.1"):
            async with it.session.get(it.emulator.url + "/", headers={"Host": own}) as response:
                assert response.status == 200
    async with cloud(host="0.0.0.0") as it:  # noqa: S104 - as in a composition of containers
        url = it.emulator.url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104 - as above
        async with it.session.get(url + "/", headers={"Host": "emulator:9877"}) as response:
            assert response.status == 200


async def test_a_page_of_another_site_breaks_nothing():
    """A browser that is on another site's page changes nothing in the emulator; its own page may."""
    async with cloud() as it:
        await it.report(alarm("CPU high"))
        for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 204)):
            headers = {"Sec-Fetch-Site": site}
            async with it.session.post(it.emulator.url + "/emulator/reset", headers=headers) as response:
                assert response.status == status
            assert len(it.emulator.snapshot()["active"]) == (status == 403)
