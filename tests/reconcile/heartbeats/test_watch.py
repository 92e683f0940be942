"""A whole bridge that watches heartbeats: the alarm in the emulated AOM when one stops, and its end."""

import json

import pytest
from bridge_rig import running
from http_server import serving_routes
from plain_words import is_chinese
from reloading import reloading
from stand_in_peer import StandInPeer
from waiting import until
from webhooks import alert, resolved

ONE = "{{name: main, match: [alertname=Watchdog], every: {every}, missing_after: {missing}{more}}}"


def heartbeats(*, every="1s", missing="2s", more=""):
    """Give the section with one heartbeat."""
    return f"heartbeats: [{ONE.format(every=every, missing=missing, more=more)}]"


def in_step(peer, **more):
    """Give the settings for a peer, and one heartbeat."""
    step = f"{{urls: ['{peer.url}'], receivers: [aom], interval: 1s, settle: 1s, missing_after: 1s}}"
    return f"alertmanagers: [{step}]\n{heartbeats(**more)}"


@pytest.fixture
async def peer():
    """A peer that lists nothing yet, with its address."""
    one = StandInPeer()
    async with serving_routes(*one.routes()) as url:
        one.url = url
        yield one


def resources(rig):
    """Give the resources of the heartbeat alarms that AOM holds open."""
    active = [event["metadata"] for event in rig.aom()["active"]]
    return sorted(one["resource_id"] for one in active if one["event_name"] == "HeartbeatMissing")


async def state(rig, name):
    """Give how many switches are in a state."""
    return await rig.metric("aom_bridge_heartbeat_state", heartbeat="main", state=name)


async def test_a_heartbeat_that_stops_raises_an_alarm_which_its_next_sign_ends(tmp_path):
    """The alarm says what to look at, and its end says for how long it was missing; the sign itself is no alarm."""
    async with running(tmp_path / "l.db", more=heartbeats()) as rig:
        assert await rig.send(alert("Watchdog")) == "1 heartbeat"
        await until(lambda: resources(rig) == ["main"])
        (event,) = rig.aom()["active"]
        assert (event["metadata"]["event_severity"], event["metadata"]["resource_type"]) == ("Critical", "heartbeat")
        assert event["annotations"]["message"].startswith("Heartbeat main is missing: its last sign came at ")
        assert 'the alerts with alertname="Watchdog"' in event["annotations"]["message"]
        assert "Prometheus does not send its alert" in event["annotations"]["alarm_probableCause_en_us"]
        assert event["annotations"]["alarm_probableCause_zh_cn"].startswith("心跳 main 缺失：最近一次信号的时间为 ")
        assert all(is_chinese(text) for name, text in event["annotations"].items() if name.endswith("_zh_cn"))
        assert "does Prometheus run" in event["annotations"]["message"]
        assert await state(rig, "missing") == 1
        _, text = await rig.get("/api/v1/alarms")
        begin = json.loads(text)["data"][0]["starts_at"]
        await rig.send(alert("Watchdog"))
        await until(lambda: not rig.active())
        assert await rig.metric("aom_bridge_heartbeat_last_seen_timestamp_seconds", heartbeat="main") > 0
        _, text = await rig.get("/api/v1/alarms")
        (alarm,) = json.loads(text)["data"]
        assert (alarm["opened_by"], alarm["ended_by"]) == ("heartbeat", "heartbeat")
        assert alarm["event"]["annotations"]["message"].startswith("Heartbeat main is back since ")
        assert alarm["starts_at"] == begin


async def test_a_resolve_of_the_sign_raises_the_alarm_at_once(tmp_path):
    """Alertmanager tells that its sender is silent, long before `missing_after`."""
    async with running(tmp_path / "l.db", more=heartbeats(every="1h", missing="2h")) as rig:
        await rig.send(alert("Watchdog"))
        await rig.send(resolved(alert("Watchdog"), after=70_000))
        await until(lambda: resources(rig) == ["main"])
        annotations = rig.aom()["active"][0]["annotations"]
        assert "Alertmanager has told that its alert resolved" in annotations["message"]
        assert annotations["alarm_probableCause_zh_cn"].startswith("心跳 main 已停止；")


async def test_each_value_of_a_label_is_a_switch_which_an_operator_can_discard(tmp_path):
    """A cluster that is gone for good is forgotten with its alarm; it comes back with its next sign."""
    async with running(tmp_path / "l.db", more=heartbeats(more=", by: [cluster]")) as rig:
        await rig.send(alert("Watchdog", cluster="eu"), alert("Watchdog", cluster="us"))
        await until(lambda: resources(rig) == ["main/cluster=eu", "main/cluster=us"])
        fixes = [event["annotations"]["alarm_fix_suggestion_zh_cn"] for event in rig.aom()["active"]]
        assert all("如果它已永久停用，请执行：aom-bridge alarms clear " in fix and is_chinese(fix) for fix in fixes)
        _, text = await rig.get("/api/v1/alarms")
        gone = next(one["id"] for one in json.loads(text)["data"] if one["event"]["metadata"]["cluster"] == "eu")
        status, _ = await rig.post(b"", f"/api/v1/alarms/{gone}/discard")
        assert status == 200
        await until(lambda: has_states(rig, missing=1, late=0))
        await rig.send(alert("Watchdog", cluster="eu"))
        await until(lambda: has_states(rig, missing=2))
        await until(lambda: rig.count("reported") == 2)
        for name in ("eu", "us"):
            _, text = await rig.get("/api/v1/alarms")
            own = next(one["id"] for one in json.loads(text)["data"] if one["event"]["metadata"]["cluster"] == name)
            assert (await rig.post(b"", f"/api/v1/alarms/{own}/clear"))[0] == 200
        await until(lambda: has_states(rig, missing=0))


async def has_states(rig, **counts):
    """Say whether so many switches are in each state."""
    return all([await state(rig, name) == count for name, count in counts.items()])


async def test_a_bridge_that_restarts_keeps_the_alarm_and_says_nothing_new_for_a_while(tmp_path):
    """Its own start must not raise an alarm: it may have been the bridge that was away."""
    async with running(tmp_path / "l.db", more=heartbeats()) as rig:
        await rig.send(alert("Watchdog"))
        await until(lambda: resources(rig) == ["main"])
    async with running(tmp_path / "l.db", more=heartbeats(missing="1h")) as rig:
        await until(lambda: has_states(rig, late=1))
        assert rig.count("reported") == 1
        await rig.send(alert("Watchdog"))
        await until(lambda: rig.count("reported") == 0)
        await until(lambda: has_states(rig, late=1))
        assert rig.count("reported") == 0


async def test_a_heartbeat_that_is_paused_or_removed_ends_its_alarm(tmp_path):
    """By a reload; when it is expected again its time starts anew."""
    async with reloading(tmp_path, more=heartbeats()) as rig:
        await until(lambda: resources(rig) == ["main"])
        rig.write(more=heartbeats(more=", paused: true"))
        assert (await rig.reload())[0] == 200
        await until(lambda: not rig.active())
        _, text = await rig.get("/api/v1/alarms")
        assert "is paused by the configuration" in json.loads(text)["data"][0]["event"]["annotations"]["message"]
        rig.write(more=heartbeats())
        await rig.reload()
        await until(lambda: resources(rig) == ["main"])
        rig.write()
        await rig.reload()
        await until(lambda: not rig.active())
        assert await state(rig, "missing") is None


async def test_an_alarm_that_was_open_before_its_alert_became_a_sign_is_ended(tmp_path):
    """Though no webhook comes of it any more."""
    async with reloading(tmp_path) as rig:
        await rig.send(alert("Watchdog"), alert("Other"))
        await until(lambda: rig.active() == ["Other", "Watchdog"])
        rig.write(more=heartbeats(every="1h", missing="2h"))
        await rig.reload()
        await until(lambda: rig.active() == ["Other"])


async def test_signs_come_by_the_api_as_well(tmp_path, peer):
    """Alertmanager lists the alert in each round, and is not asked to send it."""
    peer.names = {"Watchdog", "Other"}
    async with running(tmp_path / "l.db", more=in_step(peer, every="4s", missing="6s")) as rig:
        await until(lambda: rig.active() == ["Other"])
        await until(lambda: has_states(rig, ok=1))
        peer.names = {"Other"}
        await until(lambda: resources(rig) == ["main"])
        assert rig.active() == ["HeartbeatMissing", "Other"]
        peer.names = {"Watchdog", "Other"}
        await until(lambda: rig.active() == ["Other"])


async def test_a_late_heartbeat_holds_back_clears_of_absent_alerts(tmp_path, peer):
    """Prometheus may be silent: what Alertmanager no longer lists may fire still; after `hold` it is cleared."""
    peer.validity = 12_000
    peer.names = {"Watchdog", "Stays", "Gone"}
    more = in_step(peer, every="4s", missing="1h", more=", hold: 1h")
    async with reloading(tmp_path, more=more) as rig:
        await until(lambda: rig.active() == ["Gone", "Stays"])
        await more_rounds(rig)
        peer.names = set()
        await until(lambda: is_waiting(rig, 2), 60)
        assert rig.active() == ["Gone", "Stays"]
        peer.names = {"Watchdog", "Stays"}
        await until(lambda: rig.active() == ["Stays"], 60)
        peer.names = set()
        await until(lambda: is_waiting(rig, 1), 60)
        rig.write(more=more.replace("hold: 1h", "hold: 1s"))
        await rig.reload()
        await until(lambda: not rig.active(), 60)


async def test_a_heartbeat_that_is_back_leaves_time_for_the_other_alerts_of_its_prometheus(tmp_path, peer):
    """They are posted later than its sign, by rules of their own: until then their absence says nothing."""
    peer.validity = 12_000
    peer.names = {"Watchdog", "Stays"}
    async with running(tmp_path / "l.db", more=in_step(peer, every="4s", missing="1h")) as rig:
        await until(lambda: rig.active() == ["Stays"])
        await more_rounds(rig)
        peer.names = set()
        await until(lambda: is_waiting(rig, 1), 60)
        peer.names = {"Watchdog"}
        await more_rounds(rig)
        assert rig.active() == ["Stays"]
        await until(lambda: not rig.active(), 60)


async def more_rounds(rig):
    """Wait until there have been three more complete rounds: two of them began since."""

    async def rounds():
        return await rig.metric("aom_bridge_reconcile_rounds_total", outcome="complete") or 0

    begin = await rounds()

    async def has_more():
        return await rounds() >= begin + 3

    await until(has_more, 60)


async def is_waiting(rig, count):
    """Say whether so many clears wait for a heartbeat."""
    known = await rig.app.ledger.open_alarms.differences("default")
    return sum(one.waits_for == "heartbeat" for one in known.values()) == count
