"""A whole bridge that audits the emulated AOM's own list: what it mends, and what it leaves alone."""

import pytest
from audits import audited, audits, clear_by_hand, differences, listed, push, reconciled, report_late, rows
from http_server import serving_routes
from official_sdk import SDK_WARNINGS
from stand_in_peer import StandInPeer
from waiting import until
from webhooks import alert, resolved

pytestmark = pytest.mark.filterwarnings(SDK_WARNINGS)


@pytest.fixture
async def peer():
    """A peer that lists nothing yet, with its address."""
    one = StandInPeer()
    async with serving_routes(*one.routes()) as url:
        one.url = url
        yield one


@pytest.mark.parametrize("clear_by", ["lookup", "id"])
async def test_a_report_that_aom_applies_after_the_clear_is_found_and_cleared(tmp_path, clear_by):
    """It is a ghost: the alarm is over, and AOM shows it open."""
    ids = {"options": {"ids": "supplied"}} if clear_by == "id" else {}
    async with audited(tmp_path / "l.db", target=f"clear_by: {clear_by}", **ids) as rig:
        one = alert("Late")
        await rig.send(one)
        await until(lambda: rig.active() == ["Late"])
        await rig.send(resolved(one))
        await until(lambda: rig.cleared() == ["Late"])
        if clear_by == "id":
            event = listed(rig, "Late", "history")
            again = {name: event[name] for name in ("id", "starts_at", "metadata")}
            await push(rig, {**again, "timeout": 86_400_000, "annotations": {}})
        else:
            await report_late(rig, "Late")
        assert rig.active() == ["Late"]
        await until(lambda: rig.cleared() == ["Late", "Late"])
        assert rig.active() == []
        assert await reconciled(rig, "ghost") == 1


async def test_an_alarm_that_comes_again_and_again_is_another_bridges(tmp_path, capfd):
    """Two bridges on one source must not clear each other's alarms for ever; both say so, once."""
    async with audited(tmp_path / "l.db") as rig:
        one = alert("Shared")
        await rig.send(one)
        await until(lambda: rig.active() == ["Shared"])
        await rig.send(resolved(one))
        for times in (1, 2):
            await until(lambda: rig.cleared() == ["Shared"] * times)  # noqa: B023 - it is called at once
            await report_late(rig, "Shared")
        await until(lambda: rig.cleared() == ["Shared"] * 3)
        await report_late(rig, "Shared")
        await until(lambda: differences_are(rig, "foreign", 1))
        await audits(rig, 3)
        assert rig.active() == ["Shared"]
    assert capfd.readouterr().out.count("Is another bridge using the source?") == 1


async def differences_are(rig, kind, count):
    """Say whether so many alarms differ in this way now."""
    return await differences(rig, kind) == count


async def test_an_alarm_of_another_bridge_is_told_and_left(tmp_path, capfd):
    """The ledger has never heard of it."""
    async with audited(tmp_path / "l.db") as rig:
        await rig.send(alert("Own"))
        await until(lambda: rig.active() == ["Own"])
        event = listed(rig, "Own")
        metadata = {**event["metadata"], "event_name": "Foreign", "alert_fingerprint": "0123456789abcdef"}
        await push(rig, {"starts_at": event["starts_at"], "timeout": 86_400_000, "metadata": metadata})
        await until(lambda: differences_are(rig, "foreign", 1))
        await audits(rig, 2)
        assert rig.active() == ["Foreign", "Own"]
    assert capfd.readouterr().out.count("Is another bridge using the source?") == 1


async def test_an_alarm_that_was_cleared_in_the_console_is_reported_again_while_it_fires(tmp_path, peer):
    """As long as Alertmanager shows its alert active; one that it does not show waits for its webhook."""
    peer.names = {"Fires"}
    async with audited(tmp_path / "l.db", peer=peer) as rig:
        await rig.send(alert("Fires"))
        await until(lambda: rig.active() == ["Fires"])
        await clear_by_hand(rig, "Fires")
        assert rig.active() == []
        await until(lambda: rig.active() == ["Fires"])
        assert await reconciled(rig, "cleared_elsewhere") == 1
        await rig.send(resolved(alert("Fires"), after=90_000))
        peer.names = set()
        await until(lambda: rig.active() == [])


async def test_many_alarms_that_were_cleared_at_once_are_reported_again_after_the_brake(tmp_path, peer, capfd):
    """They wait until the same have been missing once more; then all of them go, and nothing is braked any longer."""
    peer.names = {f"Fires{number}" for number in range(8)}
    async with audited(tmp_path / "l.db", peer=peer) as rig:
        await rig.send(*map(alert, sorted(peer.names)))
        await until(lambda: rig.active() == sorted(peer.names))
        for name in peer.names:
            await clear_by_hand(rig, name)
        await until(lambda: braked_are(rig, 8))
        assert rig.active() == []
        await until(lambda: rig.active() == sorted(peer.names))
        await until(lambda: braked_are(rig, 0))
        assert await reconciled(rig, "cleared_elsewhere") == 8
    assert capfd.readouterr().out.count("they wait until another look shows the same") == 1


async def braked_are(rig, count):
    """Say whether the brake holds back so many changes now."""
    return await rig.metric("aom_bridge_audit_braked", target="default") == count


async def test_without_alertmanager_the_next_firing_reports_what_was_cleared_in_the_console(tmp_path):
    """However young AOM's last acceptance is."""
    one = alert("Fires")
    async with audited(tmp_path / "l.db") as rig:
        await rig.send(one)
        await until(lambda: rig.active() == ["Fires"])
        await clear_by_hand(rig, "Fires")
        await until(lambda: has_reconciled(rig, "cleared_elsewhere"))
        assert rig.active() == []
        await rig.send(one)
        await until(lambda: rig.active() == ["Fires"])


async def has_reconciled(rig, kind):
    """Say whether alarms were changed for this reason."""
    return await reconciled(rig, kind) > 0


async def test_what_was_cleared_in_the_console_stays_so_where_that_is_accepted(tmp_path, peer):
    """`cleared_elsewhere: accept`: the alarm ends, and what the API shows does not raise it again."""
    peer.names = {"Fires"}
    async with audited(tmp_path / "l.db", peer=peer, target="cleared_elsewhere: accept") as rig:
        await rig.send(alert("Fires"))
        await until(lambda: rig.active() == ["Fires"])
        await clear_by_hand(rig, "Fires")
        await until(lambda: has_reconciled(rig, "cleared_elsewhere"))
        await audits(rig, 3)
        assert rig.active() == []
        row = (await rows(rig))["Fires"]
        assert (row["state"], row["ended_by"]) == ("cleared", "elsewhere")


async def test_of_two_alarms_of_an_alert_that_fires_the_older_one_is_cleared(tmp_path):
    """A report that was applied twice under other metadata is a second alarm in AOM."""
    async with audited(tmp_path / "l.db") as rig:
        await rig.send(alert("Twice"))
        await until(lambda: rig.active() == ["Twice"])
        event = listed(rig, "Twice")
        metadata = {**event["metadata"], "resource_id": "other"}
        await push(rig, {"starts_at": event["starts_at"] - 60_000, "timeout": 86_400_000, "metadata": metadata})
        await until(lambda: rig.active() == ["Twice"])
        assert listed(rig, "Twice")["id"] == event["id"]


async def test_a_list_that_shows_nothing_of_ours_decides_nothing(tmp_path, capfd):
    """Or its history: each open alarm would count as cleared in the console."""
    async with audited(tmp_path / "l.db", target="cleared_elsewhere: accept", options={"list_lag_ms": 600_000}) as rig:
        await rig.send(alert("Held"))
        await until(lambda: rig.active() == ["Held"])
        await audits(rig, 4, "blind")
        assert rig.count("reported") == 1
    assert "shows nothing of what AOM has accepted" in capfd.readouterr().out


@pytest.mark.parametrize("status", [403, 404])
async def test_where_alarms_may_not_be_counted_the_list_is_read_at_each_audit(tmp_path, capfd, status):
    """The right to list may come without that to count, and a region may not know counts; nothing is said of it."""
    async with audited(tmp_path / "l.db") as rig:
        await rig.arm({"on": "statistic", "status": status, "error_code": "APIGW.0302"})
        await rig.send(alert("Held"))
        await until(lambda: rig.active() == ["Held"])
        await audits(rig, 7)
        assert rig.aom()["counts"]["statistic"] >= 5
        await rig.disarm()
    assert "AOM's list can" not in capfd.readouterr().out


@pytest.mark.parametrize("clear_by", ["lookup", "id"])
async def test_a_lost_ledger_heals_and_nothing_blinks(tmp_path, peer, clear_by):
    """What AOM holds and still fires is taken over; what does not fire is cleared; what is missing is raised."""
    ids = {"ids": "supplied" if clear_by == "id" else "assigned"}
    peer.names = {"Stays", "Over"}
    target = f"clear_by: {clear_by}"
    async with audited(tmp_path / "old.db", peer=peer, target=target, options=ids) as rig:
        emulator = rig.emulator
        await rig.send(alert("Stays"), alert("Over"))
        await until(lambda: rig.active() == ["Over", "Stays"])
        held = {name: listed(rig, name)["id"] for name in ("Stays", "Over")}
        await rig.app.stop()
        peer.names = {"Stays", "New"}
        more = {"peer": peer, "target": f"{target}\naudit_adopt: true", "emulator": emulator}
        async with audited(tmp_path / "new.db", **more) as again:
            await until(lambda: again.active() == ["New", "Stays"], 30)
            assert again.cleared() == ["Over"]
            assert listed(again, "Stays")["id"] == held["Stays"]
            counts = again.aom()["counts"]
            assert counts["events_reported"] == 3
            kept = await rows(again)
            assert (kept["Stays"]["state"], kept["Stays"]["opened_by"]) == ("reported", "adopted")
            peer.names = {"New"}
            await again.send(resolved(alert("Stays"), after=90_000))
            await until(lambda: again.active() == ["New"])
            assert again.aom()["violations"] == []


async def test_a_difference_that_is_over_is_no_longer_shown(tmp_path):
    """Its gauge goes back to 0, though nothing else differs."""
    async with audited(tmp_path / "l.db") as rig:
        await rig.send(alert("Own"))
        await until(lambda: rig.active() == ["Own"])
        event = listed(rig, "Own")
        metadata = {**event["metadata"], "event_name": "Foreign", "alert_fingerprint": "0123456789abcdef"}
        await push(rig, {"starts_at": event["starts_at"], "timeout": 86_400_000, "metadata": metadata})
        await until(lambda: differences_are(rig, "foreign", 1))
        await clear_by_hand(rig, "Foreign")
        await until(lambda: differences_are(rig, "foreign", 0))
