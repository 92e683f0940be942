"""The demo's Alertmanager: the bridge's own reconciler reads its answers, and its webhooks are those of payload v4."""

from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from waiting import until

from bridge.clock import system_clock
from bridge.demo.alerts import in_groups, waves
from bridge.demo.stand_in_alertmanager import RECEIVER, StandInAlertmanager
from bridge.notification import parse
from bridge.reconcile.peer import Address, PeerClient, Wanted
from bridge.reconcile.settings import AlertmanagerSettings

WAVE = waves()["work"]
WATCHDOG = waves()["watchdog"]


class Bridge:
    """What the bridge would be: it keeps what it was posted, and answers each of these statuses once, then 200."""

    def __init__(self):
        self.posted = []
        self.statuses = []

    async def take(self, request):
        """Answer one webhook."""
        self.posted.append(parse(await request.read()))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)


@pytest.fixture
def bridge():
    """One that accepts every webhook until a test says otherwise."""
    return Bridge()


@asynccontextmanager
async def asking(url):
    """Give a function that asks the API as the reconciler does."""
    client = PeerClient(AlertmanagerSettings(urls=(url,)), system_clock)
    await client.start()
    try:
        yield lambda: client.ask(Address(url), Wanted(muting_of=frozenset({RECEIVER})))
    finally:
        await client.stop()


@pytest.fixture
async def alertmanager(bridge):
    """A started one that posts to the bridge."""
    application = web.Application()
    application.router.add_post("/webhook", bridge.take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    one = StandInAlertmanager(system_clock)
    await one.start()
    one.send_to(f"http://127.0.0.1:{runner.addresses[0][1]}/webhook", repeated=WATCHDOG)
    yield one
    await one.stop()
    await runner.cleanup()


async def test_an_alert_is_told_and_listed(alertmanager, bridge):
    """What fires is posted with its fingerprint, and the API lists it for the bridge's receiver."""
    for group in in_groups(WAVE):
        await alertmanager.fire(group)
    told = [one for notification in bridge.posted for one in notification.alerts]
    assert [(one.fingerprint, one.status) for one in told] == [(one.fingerprint, "firing") for one in WAVE]
    async with asking(alertmanager.url) as ask:
        answer = await ask()
    assert set(answer.alerts) == alertmanager.firing() == {one.fingerprint for one in WAVE}
    assert {one.receivers for one in answer.alerts.values()} == {(RECEIVER,)}
    assert not any(answer.muting.values())


async def test_a_resolve_under_a_silence_is_not_told(alertmanager, bridge):
    """A silenced alert is listed as suppressed, and its resolve is posted by no webhook; that of another one is."""
    silenced, other = in_groups(WAVE)
    await alertmanager.fire(silenced)
    await alertmanager.fire(other)
    alertmanager.silence(silenced)
    async with asking(alertmanager.url) as ask:
        listed = (await ask()).alerts
        assert [listed[one.fingerprint].is_suppressed for one in (*silenced, *other)] == [True, False]
        bridge.posted.clear()
        await alertmanager.resolve(silenced)
        assert bridge.posted == []
        await alertmanager.resolve(other)
        assert [one.status for one in bridge.posted[0].alerts] == ["resolved"]
        assert (await ask()).alerts == {}


async def test_a_webhook_is_posted_until_it_is_accepted(alertmanager, bridge):
    """A 503 is no answer to stop at: the same webhook comes again."""
    bridge.statuses = [503, 503]
    (group, _) = in_groups(WAVE)
    await alertmanager.fire(group)
    assert alertmanager.answers == {503: 2, 200: 1}
    assert alertmanager.posted == len(group)
    assert bridge.posted[0].alerts == bridge.posted[2].alerts


async def test_what_is_repeated_is_told_while_it_fires(alertmanager, bridge):
    """An alert that always fires is posted again and again; once it is lost nothing tells of it, not even a resolve."""
    await alertmanager.fire(WATCHDOG)
    await until(lambda: len(bridge.posted) > 1)
    assert alertmanager.answers == {200: 1}
    alertmanager.lose(WATCHDOG)
    async with asking(alertmanager.url) as ask:
        assert (await ask()).alerts == {}
    assert {one.status for notification in bridge.posted for one in notification.alerts} == {"firing"}
