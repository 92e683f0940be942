"""One source in step: what a whole bridge does with the answers of a peer that the test sets."""

import json

import pytest
from bridge_rig import running
from http_server import serving_routes
from reloading import reloading
from stand_in_peer import StandInPeer
from waiting import until
from webhooks import alert

from bridge.clock import MINUTE, system_clock

SETTINGS = "alertmanagers: [{{urls: ['{url}'], receivers: [aom], interval: 1s, settle: 1s, missing_after: 1s}}]"
DROP = "mapping: {rules: [{name: noise, match: [alertname=Noise], drop: true}]}"


@pytest.fixture
async def peer():
    """A peer that lists nothing yet, with its address."""
    one = StandInPeer()
    async with serving_routes(*one.routes()) as url:
        one.url = url
        yield one


def bridge(folder, peer, more=""):
    """Run a bridge that is held in step with the peer."""
    return running(folder / "l.db", more=SETTINGS.format(url=peer.url) + "\n" + more)


async def has_rounds(rig, count):
    """Say whether there were so many rounds with an answer."""
    counts = [await rig.metric("aom_bridge_reconcile_rounds_total", outcome=one) for one in ("complete", "incomplete")]
    return sum(counts) >= count


async def rounds(rig, count):
    """Wait for some more rounds."""
    begin = await rig.metric("aom_bridge_reconcile_rounds_total", outcome="complete")
    await until(lambda: has_rounds(rig, begin + count))


async def test_an_alert_whose_webhook_was_lost_is_raised_and_counted(tmp_path, peer):
    """Other webhooks of its receiver do come, so this one was lost; where none comes, none is lost."""
    async with bridge(tmp_path, peer) as rig:
        peer.names = {"First"}
        await until(lambda: rig.active() == ["First"])
        assert await rig.metric("aom_bridge_lost_webhooks_total") == 0
        await rig.send(alert("Told"))
        peer.names = {"First", "Told"}
        await rounds(rig, 2)
        peer.names = {"First", "Told", "Lost"}
        await until(lambda: rig.active() == ["First", "Lost", "Told"])
        assert await rig.metric("aom_bridge_lost_webhooks_total") == 1
        assert await rig.metric("aom_bridge_reconciled_total", kind="missing") == 2


async def test_what_new_rules_no_longer_drop_is_raised_as_remapped(tmp_path, peer):
    """It is dropped as long as the rules say so, and raised after a reload, which is no lost webhook."""
    peer.names = {"Noise", "Other"}
    in_step = SETTINGS.format(url=peer.url)
    async with reloading(tmp_path, more=f"{in_step}\n{DROP}") as rig:
        await until(lambda: rig.active() == ["Other"])
        await rounds(rig, 2)
        assert rig.active() == ["Other"]
        rig.write(more=in_step)
        assert (await rig.reload())[0] == 200
        await until(lambda: rig.active() == ["Noise", "Other"])
        _, text = await rig.get("/api/v1/alarms")
        causes = {one["event"]["metadata"]["event_name"]: one["opened_by"] for one in json.loads(text)["data"]}
        assert causes == {"Noise": "remapped", "Other": "missing"}
        assert await rig.metric("aom_bridge_reconciled_total", kind="remapped") == 1
        assert await rig.metric("aom_bridge_lost_webhooks_total") == 0


async def test_a_notice_is_said_once_and_counted_while_it_is_true(tmp_path, peer, capfd):
    """Not in each round; that it is over is said, too, in the same words."""
    async with bridge(tmp_path, peer) as rig:
        peer.ahead = -10 * MINUTE
        await until(lambda: notices(rig, "clock", 1))
        await rounds(rig, 3)
        peer.ahead = 0
        await until(lambda: notices(rig, "clock", 0))
    output = capfd.readouterr().out
    assert output.count("the peer's clock is 10m") == 2
    assert output.count("this is no longer true: the peer's clock is 10m") == 1


async def test_a_peer_that_does_not_answer_ends_no_notice(tmp_path, peer, capfd):
    """What is known of a peer's configuration is not over because the peer cannot be asked."""
    peer.config = peer.config.replace("url: <secret>", "url: <secret>, max_alerts: 5")
    async with reloading(tmp_path, more=SETTINGS.format(url=peer.url)) as rig:
        await until(lambda: notices(rig, "truncates", 1))
        peer.is_up = False
        await until(lambda: failed_rounds(rig, 3))
        assert await notices(rig, "truncates", 1)
    assert "no longer true" not in capfd.readouterr().out


async def failed_rounds(rig, count):
    """Say whether so many rounds have ended without the peer's answer."""
    return await rig.metric("aom_bridge_reconcile_rounds_total", outcome="failed") >= count


async def test_what_loses_alerts_is_said_at_the_start_and_after_their_reload(tmp_path, peer, capfd):
    """Once each, with the line of their configuration; the timeout is that of the bridge's own configuration."""
    peer.config = peer.config.replace("url: <secret>", "url: http://aom-bridge:9876/webhok, max_alerts: 5")
    async with reloading(tmp_path, more=SETTINGS.format(url=peer.url)) as rig:
        await until(lambda: notices(rig, "truncates", 1))
        await until(lambda: notices(rig, "wrong_path", 1))
        await rounds(rig, 3)
        peer.config = peer.config.replace("max_alerts: 5", "max_alerts: 0, send_resolved: false")
        peer.config = peer.config.replace("webhok", "webhook")
        await until(lambda: notices(rig, "no_resolves", 1))
        await until(lambda: notices(rig, "truncates", 0))
        await until(lambda: notices(rig, "wrong_path", 0))
        rig.write(more=SETTINGS.format(url=peer.url), target="alarm_timeout: 7h")
        assert (await rig.reload())[0] == 200
        await until(lambda: notices(rig, "rare_repeats", 1))
        await rounds(rig, 2)
    output = capfd.readouterr().out
    assert output.replace("no longer true: the webhook of aom leaves out", "").count("leaves out all but 5 alerts") == 1
    assert output.count("the webhook of aom does not end in /webhook or") == 2
    assert output.count("sends no resolved alerts") == 1
    assert output.count("the repeat_interval of aom is 4h") == 1
    assert "line 3 of Alertmanager's configuration" in output


async def notices(rig, kind, count):
    """Say whether so many notices of a kind are true now."""
    return await rig.metric("aom_bridge_alertmanager_notices", kind=kind) == count


@pytest.mark.parametrize(("early", "count"), [(0, 1), (1_000, 0)], ids=["silent", "resolved"])
async def test_a_resolve_that_alertmanager_invented_is_told_as_expired(tmp_path, peer, capfd, early, count):
    """It ends when the last post was no longer valid; a resolve that somebody sent ends earlier."""
    peer.names = {"Silent"}
    async with bridge(tmp_path, peer) as rig:
        await rig.send(alert("Silent"))
        await rounds(rig, 3)
        peer.posted_at = system_clock()
        await rounds(rig, 2)
        peer.names = set()
        await rig.send({**alert("Silent", ends_at=peer.posted_at + peer.validity - early)})
        await rounds(rig, 2)
        assert await rig.metric("aom_bridge_expired_alerts_total") == count
    assert capfd.readouterr().out.count("alerts expired") == count
