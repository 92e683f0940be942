"""The status page and `/api/v1/status`: one sentence first, then everything behind it, and the same as JSON."""

import json

import pytest
from bridge_rig import running
from waiting import until
from webhooks import alert, payload, resolved

from bridge.metrics import Point
from bridge.metrics.history import quantile
from bridge.web import WebOptions
from bridge.web.languages import language
from bridge.web.pages.plots import path, plots

PAGE = {"Accept": "text/html"}


async def data(rig):
    """Give the answer of the API."""
    status, text = await rig.get("/api/v1/status")
    assert status == 200, text
    return json.loads(text)["data"]


async def test_in_step_is_said_first_with_what_is_open(rig):
    """One sentence for people and the same for programs."""
    await rig.send(alert("A"), alert("B", severity="warning"))
    await until(lambda: rig.count("reported") == 2)

    async def is_said():
        found = await data(rig)
        return found["in_step"] and found["sentence"].startswith("AOM is in step: 2 alarms open")

    await until(is_said)
    status, text = await rig.get("/")
    assert status == 200
    assert "AOM is in step: 2 alarms open" in text
    assert (await data(rig))["open"] == {"Critical": 1, "Major": 0, "Minor": 1, "Info": 0}


async def test_what_waits_is_said_with_why_and_when_it_is_tried_next(rig):
    """The path shows it where it waits, and the sentence names the target, AOM's answer and the next try."""
    await rig.arm({"on": "report", "status": 503})
    await rig.send(alert("A"))

    async def is_shown():
        found = await data(rig)
        stages = {stage["name"]: stage["count"] for stage in found["stages"]}
        actions = {one["action"]: one for one in found["replica"]["targets"][0]["actions"]}
        return stages["waiting"] + stages["in_flight"] == 1 and actions["report"]["state"] == "failing"

    await until(is_shown)
    _, text = await rig.get("/")
    assert "reports: not accepted for" in text
    assert "503" in text


async def test_the_last_notifications_are_shown_also_refused_ones(rig):
    """When, from where, which receiver, what became of the alerts, the answer, and how long it took."""
    await rig.send(alert("A"), resolved(alert("B")))
    assert (await rig.post({"version": "9"}))[0] == 400
    assert (await rig.post(payload(alert("A")), "/webhook/nobody"))[0] == 404
    assert (await rig.post(payload(alert("A")), headers={"Origin": "http://evil.example"}))[0] == 403
    newest = (await data(rig))["replica"]["webhooks"]
    assert [one["status"] for one in newest] == [403, 404, 400, 200]
    kept = newest[-1]
    assert (kept["receiver"], kept["alerts"], kept["effects"]) == ("aom", 2, {"new": 1, "orphan": 1})
    assert kept["peer"] == "127.0.0.1"
    assert "version" in newest[2]["text"]
    _, text = await rig.get("/")
    assert "resolves without an alarm" in text


async def test_two_hundred_notifications_are_remembered_and_twenty_shown(rig):
    """A link shows them all."""
    for number in range(205):
        await rig.send(alert(f"A{number}"))
    assert len((await data(rig))["replica"]["webhooks"]) == 200
    _, text = await rig.get("/")
    assert text.count('data-label="Took"') == 20
    _, text = await rig.get("/?webhooks=all")
    assert text.count('data-label="Took"') == 200


async def test_a_ledger_that_cannot_be_read_is_said_and_the_rest_is_shown(rig, monkeypatch):
    """The page is needed most when something is broken: it answers 200 with the reason."""
    from bridge.errors import LedgerUnavailableError  # noqa: PLC0415 - of this test alone

    async def broken(*_):
        raise LedgerUnavailableError("the disk is full")

    await rig.send(alert("A"))
    monkeypatch.setattr(rig.app.ledger.records, "status", broken)
    status, text = await rig.get("/")
    assert status == 200
    assert "the ledger cannot be read: the disk is full" in text
    assert "1 new" in text


async def test_it_refreshes_itself_unless_the_address_says_otherwise(rig):
    """By HTTP's header, every five seconds; pages with forms only on order."""
    for address, seconds in {
        "/": "5",
        "/?refresh=0": None,
        "/?refresh=30": "30",
        "/?refresh=nonsense": "5",
        "/alarms": None,
        "/alarms?refresh=7": "7",
        "/playground": None,
    }.items():
        async with rig.session.get(rig.app.url + address) as response:
            assert (response.status, response.headers.get("Refresh")) == (200, seconds), address


async def test_the_language_is_the_browsers_or_that_of_the_link(rig):
    """Links keep a language that the address asks for, and no other."""
    _, text = await rig.get("/", headers={"Accept-Language": "zh-CN,zh;q=0.9"})
    assert '<html lang="zh">' in text
    assert "AOM 与 Alertmanager 一致" in text
    assert 'href="alarms"' in text
    _, text = await rig.get("/?lang=zh")
    assert 'href="alarms?lang=zh"' in text


async def test_the_admin_address_alone_has_the_pages(tmp_path):
    """With an address of its own for people, the other one serves webhooks and probes."""
    options = WebOptions(admin_address=("127.0.0.1", 0))
    async with running(tmp_path / "l.db", web_options=options) as rig:
        for address in ("/", "/alarms", "/playground", "/config", "/style.css", "/api/v1/status"):
            assert (await rig.get(address))[0] == 200
            async with rig.session.get(rig.app.url + address) as response:
                assert response.status == 404


async def test_an_error_is_a_page_for_a_browser_and_a_line_for_a_program(rig):
    """Both say what is wrong; the page leads back."""
    status, text = await rig.get("/nothing", headers=PAGE)
    assert status == 404
    assert "There is no such page" in text
    assert 'href="./"' in text
    status, text = await rig.get("/nothing")
    assert (status, text) == (404, "not found: /nothing; Alertmanager posts to /webhook\n")
    async with rig.session.post(rig.app.url + "/alarms", headers=PAGE) as response:
        assert response.status == 405
        assert response.headers["Allow"] == "GET, HEAD"


async def test_the_stylesheet_and_the_icon_are_ours(rig):
    """They come from the package, may be cached, and no page may load anything else."""
    for name, kind in {"style.css": "text/css", "icon.svg": "image/svg+xml"}.items():
        async with rig.session.get(f"{rig.app.url}/{name}") as response:
            assert response.status == 200
            assert response.content_type == kind
            assert "max-age" in response.headers["Cache-Control"]
            assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_a_quantile_is_that_of_prometheus():
    """Linear within a bucket, the bucket's lower bound for the last one, none of an empty histogram."""
    buckets = {0.1: 10.0, 0.5: 20.0, 1.0: 20.0, float("inf"): 20.0}
    assert quantile(0.5, buckets) == pytest.approx(0.1)
    assert quantile(0.75, buckets) == pytest.approx(0.3)
    assert quantile(0.99, {0.1: 0.0, float("inf"): 4.0}) == pytest.approx(0.1)
    assert quantile(0.5, {0.1: 0.0, float("inf"): 0.0}) is None
    assert quantile(0.5, {}) is None


def test_a_plot_leaves_a_gap_where_a_value_is_missing():
    """A minute without a delivery has no delay, and is not drawn as 0."""
    assert path(iter([(0.0, 1.0), (0.5, None), (1.0, 2.0)]), 2.0) == "M0.0 32.0M240.0 4.0"


def test_plots_describe_themselves_to_those_who_cannot_see_them():
    """The newest and the highest value stand in words; without points the plot says so."""
    now = 1_800_000_000_000
    points = [Point(now - 30_000, 60.0, 30.0, 5, 0.25, 12.0), Point(now, 20.0, 10.0, 2, None, None)]
    webhooks, _, waiting, delay = plots(points, now, language("en"))
    assert webhooks.description == "Webhooks answered over the last hour: now 20 per minute, at most 60 per minute."
    assert waiting.now == "2"
    assert delay.now == "p50 none, p99 none"
    assert delay.description.endswith("at most 12 s.")
    assert plots([], now, language("en"))[0].lines == []
