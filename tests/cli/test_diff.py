"""`aom-bridge diff`: Alertmanager and the ledger side by side, with and without a running bridge."""

import json

import pytest
from audits import clear_by_hand, listed, push, report_late
from bridge_rig import running, settings_text
from command_line import command
from emulated_aom import arm, cloud
from http_server import serving_routes
from stand_in_peer import StandInPeer
from waiting import until
from webhooks import alert, resolved

from bridge.notification import fingerprint

pytestmark = pytest.mark.real

NO_DIFFERENCE = 0, "nothing differs\n", ""


async def diff(folder, url, *options, more="", aom="http://aom.example", target="audit: 0s"):
    """Run the command on a ledger; give its exit code and what it prints. By default AOM is not asked."""
    file = folder / "bridge.yaml"
    more += f"\nalertmanagers: [{{urls: ['{url}'], receivers: [aom]}}]" if url else ""
    file.write_text(settings_text(aom, folder / "l.db", more=more, target=target))
    return await command("diff", f"--config.file={file}", *options)


async def test_what_differs_is_shown_with_both_sides(tmp_path):
    """An alarm whose alert no peer lists, and an alert without an alarm; no bridge runs that would do anything."""
    async with running(tmp_path / "l.db") as rig:
        await rig.send(alert("Vanished"), alert("Both"))
    async with serving_routes(*StandInPeer("Missing").routes()) as url:
        code, out, err = await diff(tmp_path, url)
        assert code == 1
        assert "no running bridge compares it with its Alertmanager" in err
        heading, *lines = out.splitlines()
        assert heading.split() == ["DIFFERENCE", "AGE", "ALERT", "ALERTMANAGER", "LEDGER", "NEXT"]
        assert sorted(line.split()[2] for line in lines) == ["Both", "Missing", "Vanished"]
        assert all(line.endswith("  not known yet") for line in lines)
        code, out, _ = await diff(tmp_path, url, "-o", "wide")
        assert all(line.endswith("  no running bridge has told yet") for line in out.splitlines()[1:])
        code, out, _ = await diff(tmp_path, url, "-o", "json")
    rows = {row["difference"]: row for row in json.loads(out)}
    assert rows["missing"]["labels"] == {"alertname": "Missing", "severity": "critical"}
    assert rows["vanished"]["labels"] == {"alertname": "Vanished", "severity": "critical"}
    assert (rows["missing"]["alertmanager"], rows["vanished"]["alertmanager"]) == ("firing", "absent")
    assert rows["vanished"]["ledger"] in ("report_due", "reported")
    assert rows["missing"]["fingerprint"] == fingerprint({"alertname": "Missing", "severity": "critical"})
    assert code == 1


async def test_what_a_running_bridge_still_waits_for_is_no_failure(tmp_path):
    """The alert is listed as waiting, with its time, also from elsewhere; it ends with 0, since no time is up."""
    peer = StandInPeer("Missing")
    async with serving_routes(*peer.routes()) as url:
        more = f"alertmanagers: [{{urls: ['{url}'], receivers: [aom], interval: 1s, missing_after: 1h}}]"
        async with running(tmp_path / "l.db", more=more) as rig:
            await until(lambda: _has_rounds(rig, 2))
            code, out, err = await diff(tmp_path, url)
            elsewhere = await command("diff", f"--url={rig.app.url}")
            _, data, _ = await command("diff", f"--url={rig.app.url}", "-o", "json")
    assert (code, err) == (0, "")
    assert out.splitlines()[1].split()[-3:-1] == ["raised", "in"]
    assert elsewhere[0] == 0
    assert "raised in" in elsewhere[1]
    assert "AOM's list is not asked with --url" in elsewhere[2]
    (row,) = json.loads(data)
    assert (row["difference"], row["is_due"]) == ("missing", False)


async def _has_rounds(rig, count):
    return await rig.metric("aom_bridge_reconcile_rounds_total", outcome="complete") >= count


async def test_what_the_rules_drop_and_what_has_resolved_is_no_difference(tmp_path):
    """The running bridge raises neither; the command asks the rules and the ledger as it does."""
    drop = "mapping: {rules: [{name: noise, match: [alertname=Noise], drop: true}]}"
    async with running(tmp_path / "l.db") as rig:
        await rig.send(alert("Resolved"))
        await rig.send(resolved(alert("Resolved"), after=90_000))
    async with serving_routes(*StandInPeer("Noise", "Resolved").routes()) as url:
        assert await diff(tmp_path, url, more=drop) == NO_DIFFERENCE


async def test_equal_sides_are_no_difference(tmp_path):
    """It says so and ends with 0."""
    async with running(tmp_path / "l.db"):
        pass
    async with serving_routes(*StandInPeer().routes()) as url:
        assert await diff(tmp_path, url) == NO_DIFFERENCE


async def test_a_peer_that_does_not_answer_is_named(tmp_path):
    """Then nothing is known, and the exit code says so."""
    async with running(tmp_path / "l.db"):
        pass
    code, _, err = await diff(tmp_path, "http://127.0.0.1:9")
    assert code == 2
    assert "source default: http://127.0.0.1:9: " in err


async def test_an_alert_is_absent_only_where_every_peer_has_answered(tmp_path):
    """Of an alarm in AOM it is unknown whether Alertmanager lists its alert, while one peer gives no answer."""
    async with running(tmp_path / "l.db", target="audit: 0s") as rig:
        await rig.send(alert("Held"))
        await until(lambda: rig.active() == ["Held"])
        await push_foreign(rig, listed(rig, "Held"))
        aom = {"aom": rig.emulator.url, "target": "lookup_wait: 1s"}
        async with serving_routes(*StandInPeer("Held").routes()) as url:
            await until(lambda: _finds(tmp_path, url, *aom.values(), 1))
            assert await _foreign(tmp_path, url, **aom) == ["absent"]
            assert await _foreign(tmp_path, f"{url}', 'http://127.0.0.1:9", **aom) == ["unknown"]
        assert await _foreign(tmp_path, "http://127.0.0.1:9", **aom) == ["unknown"]


async def _foreign(folder, url, **aom):
    """Give what the command says of Alertmanager for each alarm of another bridge."""
    _, out, _ = await diff(folder, url, "-o", "json", **aom)
    return [row["alertmanager"] for row in json.loads(out) if row["difference"] == "foreign"]


async def push_foreign(rig, held):
    """Report an alarm that the ledger does not know, as another bridge on the same source does."""
    metadata = {**held["metadata"], "event_name": "Foreign", "alert_fingerprint": "ab" * 8}
    await push(rig, {"starts_at": held["starts_at"], "timeout": 86_400_000, "metadata": metadata})


async def test_what_loses_alerts_is_told_with_the_line_of_their_configuration(tmp_path):
    """It is no difference, so the exit code is 0."""
    async with running(tmp_path / "l.db"):
        pass
    peer = StandInPeer()
    peer.config = peer.config.replace("url: <secret>", "url: <secret>, send_resolved: false")
    async with serving_routes(*peer.routes()) as url:
        code, out, err = await diff(tmp_path, url)
    assert (code, out) == NO_DIFFERENCE[:2]
    assert "source default: receiver aom, line 3 of Alertmanager's configuration: the webhook of aom sends no" in err


async def test_a_late_heartbeat_is_told(tmp_path):
    """Clears of absent alerts may wait for it; it is no difference."""
    heartbeat = "heartbeats: [{name: main, match: [alertname=Watchdog], every: 1s, missing_after: 2s}]"
    async with running(tmp_path / "l.db"):
        pass
    async with serving_routes(*StandInPeer().routes()) as url:
        code, out, err = await diff(tmp_path, url, more=heartbeat)
    assert (code, out) == NO_DIFFERENCE[:2]
    assert "heartbeat main is missing: no sign of it has ever come" in err


async def test_without_an_alertmanager_the_ledger_and_aom_are_compared(tmp_path):
    """What to add is said."""
    async with running(tmp_path / "l.db", target="audit: 0s") as rig:
        await rig.send(alert("Held"))
        await until(lambda: rig.active() == ["Held"])
        code, out, err = await diff(tmp_path, "", aom=rig.emulator.url, target="")
        assert (code, out) == NO_DIFFERENCE[:2]
        assert "Fix: alertmanagers:" in err


async def test_aom_is_the_third_side(tmp_path):
    """An alarm that AOM holds though it is over, one that it lacks, and one of another bridge."""
    peer = StandInPeer("Lacking")
    async with serving_routes(*peer.routes()) as url, running(tmp_path / "l.db", target="audit: 0s") as rig:
        await rig.send(alert("Ghost"), alert("Lacking"))
        await until(lambda: rig.active() == ["Ghost", "Lacking"])
        await rig.send(resolved(alert("Ghost"), after=70_000))
        await until(lambda: rig.cleared() == ["Ghost"])
        await push_foreign(rig, listed(rig, "Lacking"))
        await report_late(rig, "Ghost")
        await clear_by_hand(rig, "Lacking")
        target = "lookup_wait: 1s"
        await until(lambda: _finds(tmp_path, url, rig.emulator.url, target, 3))
        code, out, err = await diff(tmp_path, url, "-o", "json", aom=rig.emulator.url, target=target)
    assert code == 1
    assert "no running bridge compares AOM's list" in err
    found = {row["difference"]: row for row in json.loads(out)}
    sides = {name: (row["alertmanager"], row.get("ledger"), row["aom"]) for name, row in found.items()}
    assert sides == {
        "ghost": ("absent", "cleared", "open"),
        "cleared_elsewhere": ("firing", "reported", "not open"),
        "foreign": ("absent", None, "open"),
    }
    assert found["ghost"]["labels"]["alertname"] == "Ghost"


async def _finds(folder, url, aom, target, count):
    _, out, _ = await diff(folder, url, "-o", "json", aom=aom, target=target)
    return len(json.loads(out)) == count


async def test_an_aom_that_cannot_be_asked_is_named_with_the_fix(tmp_path):
    """Then not everything is known, and the exit code says so."""
    async with running(tmp_path / "l.db"):
        pass
    async with serving_routes(*StandInPeer().routes()) as url, cloud() as aom:
        await arm(aom, {"on": "list", "status": 403})
        code, _, err = await diff(tmp_path, url, aom=aom.url, target="")
    assert code == 2
    assert "target default: " in err
    assert "Fix: give the user the IAM action aom:alarm:list" in err
