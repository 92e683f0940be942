"""The alerts that Alertmanager shows now, as text for people: bounded, and readable as pasted alerts."""

import asyncio
import json

import pytest
from aiohttp import web
from http_server import serving_routes
from process import free_port

from bridge.clock import system_clock
from bridge.mapping.playground.pasted import read_pasted
from bridge.reconcile import shown_now as module
from bridge.reconcile.peer import PeerError
from bridge.reconcile.settings import AlertmanagerSettings
from bridge.reconcile.shown_now import MAX_ALERTS, MAX_TEXT_BYTES, shown_now


def listed(name, **more):
    """Give an alert as Alertmanager lists it, with its keys in Alertmanager's order."""
    return {
        "annotations": {"summary": "s"},
        "endsAt": "2026-11-27T04:04:00.000Z",
        "fingerprint": "false",
        "receivers": [{"name": "aom.eu"}, {"name": "mail"}],
        "startsAt": "2026-11-27T03:00:00.500Z",
        "status": {"inhibitedBy": [], "silencedBy": [], "state": "active"},
        "updatedAt": "2026-11-27T04:00:00.000Z",
        "generatorURL": "http://prometheus",
        "labels": {"alertname": name},
        **more,
    }


def answering(*alerts):
    """Give a route that lists these alerts, compact as Alertmanager does."""

    async def answer(_request):
        return web.Response(text=json.dumps(alerts, separators=(",", ":")) + "\n", content_type="application/json")

    return web.get("/api/v2/alerts", answer)


async def shown(*urls):
    """Ask these peers."""
    return await shown_now(AlertmanagerSettings(urls=urls), system_clock)


async def test_what_is_shown_can_be_pasted():
    """The text holds labels, annotations, start, link and receiver, and is read as alerts that fire."""
    suppressed = listed("B", status={"inhibitedBy": [], "silencedBy": ["x"], "state": "suppressed"})
    async with serving_routes(answering(listed("A"), suppressed)) as url:
        text = await shown(url)
    first, second = read_pasted(text, "eu").alerts
    assert (first.alert.labels, first.alert.annotations) == ({"alertname": "A"}, {"summary": "s"})
    assert (first.alert.status, first.alert.generator_url) == ("firing", "http://prometheus")
    assert (first.alert.starts_at % 1000, first.group.receiver) == (500, r"aom\.eu")
    assert [one["status"]["state"] for one in json.loads(text)] == ["active", "suppressed"]
    assert second.alert.labels == {"alertname": "B"}


async def test_without_alerts_the_text_is_an_empty_list():
    """Nothing fires: the text is a list all the same."""
    async with serving_routes(answering()) as url:
        assert json.loads(await shown(url)) == []


async def test_of_many_alerts_the_first_are_shown():
    """At most 200, and no more bytes than may be pasted; of a long answer only the beginning is read."""
    async with serving_routes(answering(*(listed(f"A{number}") for number in range(20_000)))) as url:
        many = json.loads(await shown(url))
    assert [one["labels"]["alertname"] for one in many] == [f"A{number}" for number in range(MAX_ALERTS)]
    async with serving_routes(
        answering(*(listed(f"A{i}", annotations={"a": "x" * 50_000}) for i in range(100)))
    ) as url:
        text = await shown(url)
    assert 15 < len(json.loads(text)) < 25
    assert len(text.encode()) <= MAX_TEXT_BYTES


async def test_an_answer_without_end_is_not_read_to_its_end():
    """A peer that sends one alert for ever gives an error, and no more of it is held than the beginning."""

    async def endless(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'[{"annotations":{"a":"')
        while True:
            await response.write(b"x" * (1 << 16))

    async with serving_routes(web.get("/api/v2/alerts", endless)) as url:
        with pytest.raises(PeerError, match="this is no list of alerts"):
            await shown(url)


async def test_the_first_peer_that_answers_is_shown():
    """A peer that is down is passed over; if all are, the error names the last one."""
    gone = f"http://127.0.0.1:{free_port()}"
    async with serving_routes(answering(listed("A"))) as url:
        assert '"A"' in await shown(gone, url)
    with pytest.raises(PeerError, match=gone):
        await shown(gone)


async def test_a_silent_peer_is_not_waited_for(monkeypatch):
    """After some seconds the error says so."""
    monkeypatch.setattr(module, "_MAX_SECONDS", 0.2)
    silent = asyncio.Event()

    async def wait(_request):
        await silent.wait()
        return web.Response()

    async with serving_routes(web.get("/api/v2/alerts", wait)) as url:
        with pytest.raises(PeerError, match=r"no peer has answered within 0.2 s\. Fix: "):
            await shown(url)
        silent.set()


async def test_a_source_without_settings_is_told(rig):
    """A bridge without `alertmanagers` for a source says so."""
    with pytest.raises(Exception, match="alertmanagers has no entry for source 'default'"):
        await rig.app.parts.reconciler.shown_now("default")
