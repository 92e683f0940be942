"""The bridge calls an address outside only while its whole chain works."""

import pytest
from aiohttp import web
from bridge_rig import running
from http_server import serving_routes
from stand_in_peer import StandInPeer
from waiting import until
from webhooks import alert


class Watcher:
    """A service outside that counts the calls."""

    def __init__(self):
        self.calls, self.status = 0, 200

    def routes(self):
        return [web.get("/secret-path", self._call)]

    async def _call(self, _request):
        self.calls += 1
        return web.Response(status=self.status)


@pytest.fixture
async def watcher():
    """The service, with its address."""
    one = Watcher()
    async with serving_routes(*one.routes()) as url:
        one.url = f"{url}/secret-path"
        yield one


def ping(watcher):
    """Give the section."""
    return f"ping: {{url: '{watcher.url}', interval: 1s}}"


async def called(watcher, count):
    """Wait for some more calls."""
    begin = watcher.calls
    await until(lambda: watcher.calls >= begin + count)


async def test_the_address_is_called_while_all_is_well(tmp_path, watcher, capfd):
    """Each interval, without webhooks, too; its failures are said, and the address is in no line and no page."""
    async with running(tmp_path / "l.db", more=ping(watcher)) as rig:
        await called(watcher, 2)
        await until(lambda: was_called(rig))
        watcher.status = 404
        await called(watcher, 2)
        _, shown = await rig.get("/api/v1/status/config")
    output = capfd.readouterr().out
    assert "it answered 404" in output
    assert "secret-path" not in output + shown


async def was_called(rig):
    """Say whether the metric shows a call."""
    return await rig.metric("aom_bridge_last_ping_timestamp_seconds") > 0


async def test_no_call_is_made_while_a_target_takes_no_alarm(tmp_path, watcher, capfd):
    """The reason is said once; when the target takes alarms again the calls go on."""
    async with running(tmp_path / "l.db", more=ping(watcher)) as rig:
        await called(watcher, 1)
        await rig.arm({"on": "report", "status": 503})
        await rig.send(alert("A"))
        await until(lambda: "no ping is sent" in printed(capfd))
        before = watcher.calls
        await rig.disarm()
        await called(watcher, 1)
        assert rig.active() == ["A"]
        assert before >= 1


_OUTPUT = []


def printed(capfd):
    """Give all that was printed."""
    _OUTPUT.append(capfd.readouterr().out)
    return "".join(_OUTPUT)


async def test_no_call_is_made_before_every_peer_has_answered(tmp_path, watcher):
    """A source that is not covered may hide what has ended."""
    peer = StandInPeer()
    peer.is_up = False
    async with serving_routes(*peer.routes()) as url:
        more = f"alertmanagers: [{{urls: ['{url}'], receivers: [aom], interval: 1s}}]\n{ping(watcher)}"
        async with running(tmp_path / "l.db", more=more) as rig:
            await until(lambda: has_failed(rig, 3))
            assert watcher.calls == 0
            peer.is_up = True
            await called(watcher, 1)


async def has_failed(rig, count):
    """Say whether so many rounds had no answer."""
    return await rig.metric("aom_bridge_reconcile_rounds_total", outcome="failed") >= count
