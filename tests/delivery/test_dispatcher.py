"""Delivery with the real ledger, the real client and the emulated AOM: what goes out, and what AOM then holds."""

import asyncio
from itertools import pairwise

import pytest
import sqlalchemy as sa
from bridge_rig import running
from waiting import PATIENCE, until
from webhooks import alert, resolved

from bridge.clock import DAY, system_clock
from bridge.ledger import OfflineLedger
from bridge.ledger.history import By
from bridge.ledger.storage.schema import contents

MODES = [
    pytest.param("assigned", "lookup", id="assigned-lookup"),
    pytest.param("supplied", "lookup", id="supplied-lookup"),
    pytest.param("supplied", "id", id="supplied-id"),
]


@pytest.mark.parametrize(("ids", "clear_by"), MODES)
async def test_what_fires_is_reported_and_what_resolves_is_cleared(tmp_path, ids, clear_by):
    """AOM's open alarms equal the firing alerts, whether AOM keeps our ids or makes its own."""
    async with running(tmp_path / "l.db", options={"ids": ids}, target=f"clear_by: {clear_by}") as rig:
        disk, cpu, net = alert("Disk"), alert("Cpu", severity="warning"), alert("Net", severity="info")
        await rig.send(disk, cpu, net)
        await until(lambda: rig.active() == ["Cpu", "Disk", "Net"])
        severities = {e["metadata"]["event_name"]: e["metadata"]["event_severity"] for e in rig.aom()["active"]}
        assert severities == {"Disk": "Critical", "Cpu": "Minor", "Net": "Info"}
        await rig.send(resolved(disk), cpu, resolved(net))
        await until(lambda: rig.active() == ["Cpu"])
        assert rig.cleared() == ["Disk", "Net"]
        await until(lambda: rig.count("cleared") == 2)
        assert rig.aom()["violations"] == []


async def test_ids_that_are_not_kept_cannot_be_cleared_by_id(tmp_path):
    """`clear_by: id` trusts that AOM keeps our ids; where it does not, the alarm stays: why look-up is the default."""
    async with running(tmp_path / "l.db", target="clear_by: id") as rig:
        one = alert()
        await rig.send(one)
        await rig.send(resolved(one))
        await until(lambda: rig.count("cleared") == 1)
        assert rig.active() == ["DiskFull"]


async def test_a_storm_goes_out_in_batches(tmp_path):
    """A thousand alerts need few requests: up to 100 events in each, and none is lost."""
    async with running(tmp_path / "l.db", target="rate_limit: 1000") as rig:
        await rig.send(*(alert(instance=f"node-{i}") for i in range(1000)))
        await until(lambda: len(rig.aom()["active"]) == 1000)
        assert rig.aom()["counts"]["report"] <= 14


async def test_the_last_of_a_storm_do_not_wait_for_a_batch_that_never_fills(tmp_path):
    """`batch_wait` is waited only as long as more alarms come; the last ones go out at once, however long it is."""
    patient = "delivery: {batch_wait: 5m, shutdown_timeout: 2s}"
    async with running(tmp_path / "l.db", target="rate_limit: 1000", delivery=patient) as rig:
        await rig.send(*(alert(instance=f"node-{i}") for i in range(20)))
        await until(lambda: len(rig.aom()["active"]) == 20)
        await rig.send(*(alert(instance=f"last-{i}") for i in range(3)))
        await until(lambda: len(rig.aom()["active"]) == 23)


async def test_identical_events_of_two_alerts_never_merge(tmp_path):
    """Two alerts that map to the same six fields stay two alarms, and each clears alone."""
    more = "mapping: {labels: [], defaults: {event_name: same, resource_id: same}}"
    async with running(tmp_path / "l.db", more=more) as rig:
        one, two = alert(instance="1"), alert(instance="2")
        await rig.send(one, two)
        await until(lambda: rig.active() == ["same", "same"])
        await rig.send(resolved(one))
        await until(lambda: rig.cleared() == ["same"])
        assert rig.active() == ["same"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503},
        {"status": 500},
        {"status": 429, "headers": {"Retry-After": "1"}},
        {"reset": True},
        {"outage": True},
        {"half": True},
        {"status": 401},
        {"status": 403},
        {"status": 404},
    ],
    ids=str,
)
async def test_a_fault_of_aom_loses_nothing(tmp_path, fault):
    """Whatever AOM answers while it is in trouble, the alarm is kept, not rejected, and delivered afterwards."""
    async with running(tmp_path / "l.db", target="lookup_wait: 500ms") as rig:
        await rig.arm({"on": "report", **fault})
        one = alert()
        await rig.send(one)
        await until(lambda: _hits(rig) >= 1)
        assert rig.count("rejected") == 0
        await rig.disarm()
        await until(lambda: rig.active() == ["DiskFull"])
        await rig.arm({"on": "clear", "count": 2, **fault})
        await rig.send(resolved(one))
        await until(lambda: rig.cleared() == ["DiskFull"] and rig.count("cleared") == 1)


async def test_a_list_that_fails_delays_a_clear_and_loses_none(tmp_path):
    """While look-ups fail, a clear waits; it never counts as done."""
    async with running(tmp_path / "l.db", target="lookup_wait: 1ms") as rig:
        one = alert()
        await rig.send(one)
        await until(lambda: rig.active() == ["DiskFull"])
        await rig.arm({"on": "list", "status": 500})
        await rig.send(resolved(one))
        await until(lambda: _hits(rig) >= 2)
        assert rig.count("clear_due") == 1
        await rig.disarm()
        await until(lambda: rig.cleared() == ["DiskFull"])


async def test_reports_go_on_while_look_ups_are_forbidden(rig):
    """Credentials that may report but not list hold up clears, loudly, and no report."""
    one = alert("One")
    await rig.send(one)
    await until(lambda: rig.active() == ["One"])
    await rig.arm({"on": "list", "status": 403})
    await rig.send(resolved(one))
    await until(lambda: _are_forbidden(rig, 3))
    await rig.send(alert("Two"))
    await until(lambda: rig.active() == ["One", "Two"], 5.0)
    await rig.disarm()
    await until(lambda: rig.active() == ["Two"])


async def _are_forbidden(rig, count):
    return await rig.metric("aom_bridge_lookups_total", target="default", outcome="forbidden") >= count


@pytest.mark.slow
async def test_a_list_that_lags_is_not_taken_for_an_absent_alarm(tmp_path):
    """An alarm that the list does not show yet is looked up again until it does, then cleared."""
    async with running(tmp_path / "l.db", options={"list_lag_ms": 1_000}) as rig:
        one = alert()
        await rig.send(one)
        await rig.send(resolved(one))
        await until(lambda: rig.cleared() == ["DiskFull"])
        assert rig.aom()["counts"]["list"] >= 2


async def test_an_alarm_that_aom_no_longer_holds_is_finished(tmp_path):
    """A clear whose alarm AOM never shows is given up after `lookup_wait`, with the reason noted."""
    async with running(tmp_path / "l.db", target="lookup_wait: 300ms") as rig:
        await rig.send(resolved(alert("Ghost")))
        await until(lambda: rig.count("cleared") == 1)
        assert rig.active() == []


async def test_a_waiting_re_fire_ends_the_wait_for_an_unlisted_alarm(rig):
    """An orphan resolve that finds nothing does not hold up the next firing of its alert for `lookup_wait`."""
    one = alert("Flap")
    await rig.send(resolved(one))
    await rig.send({**one, "startsAt": alert(starts_at=system_clock())["startsAt"]})
    await until(lambda: rig.active() == ["Flap"])


@pytest.mark.slow
async def test_a_stale_entry_of_a_lagging_list_does_not_stand_for_the_new_alarm(tmp_path):
    """Fire, clear, fire and resolve again within the lag: what the list still shows of the first is not believed."""
    options = {"list_lag_ms": 700}
    async with running(tmp_path / "l.db", options=options, target="lookup_wait: 1500ms") as rig:
        first = alert("Flap")
        await rig.send(first)
        await rig.send(resolved(first))
        await until(lambda: rig.aom()["counts"]["events_cleared"] >= 1)
        second = {**first, "startsAt": alert(starts_at=system_clock() - 20_000)["startsAt"]}
        await rig.send(second)
        await until(lambda: rig.aom()["counts"]["events_reported"] >= 2)
        await rig.send(resolved(second, after=50_000))
        await until(lambda: rig.count("cleared") == 2)
        assert rig.active() == []


@pytest.mark.slow
@pytest.mark.parametrize("clear_by", ["lookup", "id"])
async def test_a_clear_that_is_repeated_is_no_poison(tmp_path, clear_by):
    """A clear that AOM took without our hearing of it is refused when repeated: it is finished, not rejected."""
    options = {"unknown_id": 400, "ids": "supplied"}
    target = f"clear_by: {clear_by}\nlookup_wait: 500ms"
    async with running(tmp_path / "l.db", options=options, target=target) as rig:
        alerts = [alert(instance=f"node-{i}") for i in range(5)]
        await rig.send(*alerts)
        await until(lambda: len(rig.active()) == 5)
        await rig.arm({"on": "clear", "reset": True, "after": True, "count": 2})
        await rig.send(*(resolved(one) for one in alerts))
        await until(lambda: rig.count("cleared") == 5)
        assert (rig.active(), rig.count("rejected")) == ([], 0)


async def test_a_later_start_never_shortens_an_alarms_life(tmp_path):
    """Where AOM counts `timeout` from the first start it was told, a re-report sends the time passed since then."""
    options = {"timeout_from": "starts_at", "repeat_restarts_timeout": True}
    async with running(tmp_path / "l.db", options=options) as rig:
        one = alert(starts_at=system_clock() - 9 * DAY)
        await rig.send(one)
        await until(lambda: rig.active() == ["DiskFull"])
        await rig.send({**one, "startsAt": alert(starts_at=system_clock() - 1_000)["startsAt"]})
        await until(lambda: rig.aom()["counts"]["events_reported"] == 2)
        assert rig.active() == ["DiskFull"]


@pytest.mark.slow
@pytest.mark.parametrize("unknown_id", [204, 400])
@pytest.mark.parametrize("relation_values", ["any", "one"])
@pytest.mark.parametrize("same_alarm", ["metadata", "id"])
async def test_clears_work_with_every_switch_of_the_list(tmp_path, unknown_id, relation_values, same_alarm):
    """However AOM filters and answers unknown ids, the right alarms are cleared, all of them."""
    options = {"unknown_id": unknown_id, "relation_values": relation_values, "same_alarm": same_alarm}
    async with running(tmp_path / "l.db", options=options, target="lookup_wait: 1s\nrate_limit: 500") as rig:
        alerts = [alert(instance=f"node-{i}") for i in range(12)]
        await rig.send(*alerts)
        await until(lambda: len(rig.active()) == 12)
        await rig.send(*(resolved(one) for one in alerts[:9]), *alerts[9:], resolved(alert("Ghost")))
        await until(lambda: len(rig.active()) == 3 and rig.count("cleared") == 10)
        assert len(rig.cleared()) == 9


async def test_a_bad_event_is_found_and_rejected_alone(tmp_path):
    """One event of a hundred that AOM refuses is rejected with AOM's words, in at most 14 extra requests."""
    async with running(tmp_path / "l.db", target="rate_limit: 1000") as rig:
        await rig.arm({"on": "report", "poison": "bitter"})
        alerts = [alert(instance=f"node-{i}") for i in range(99)]
        await rig.send(*alerts[:70], alert("Bitter", taste="bitter"), *alerts[70:])
        await until(lambda: len(rig.active()) == 99)
        assert rig.count("rejected") == 1
        assert await rig.metric("aom_bridge_rejected_total", reason="refused") == 1
        assert rig.aom()["counts"]["report"] <= 1 + 14


async def test_a_re_fire_during_an_outage_ends_with_one_open_alarm(tmp_path):
    """Fire, resolve and fire again while AOM is down: afterwards AOM has one cleared and one open alarm, in order."""
    async with running(tmp_path / "l.db") as rig:
        await rig.arm({"status": 503})
        one = alert()
        await rig.send(one)
        await rig.send(resolved(one))
        await rig.send({**one, "startsAt": alert(starts_at=system_clock() - 5_000)["startsAt"]})
        assert rig.count("report_due") == 2
        await rig.disarm()
        await until(lambda: rig.active() == ["DiskFull"] and rig.cleared() == ["DiskFull"])


async def test_an_old_alarm_is_found_by_its_start(tmp_path):
    """An alert that has been firing for ten days is looked up as far back as it began."""
    async with running(tmp_path / "l.db") as rig:
        one = alert(starts_at=system_clock() - 10 * DAY)
        await rig.send(one)
        await until(lambda: rig.active() == ["DiskFull"])
        await rig.send(resolved(one))
        await until(lambda: rig.cleared() == ["DiskFull"])


@pytest.mark.parametrize("start", ["1970-01-01T00:00:00Z", "future"])
async def test_odd_starts_are_reported_and_cleared(tmp_path, start):
    """An alert from 1970, or from an hour ahead, becomes an alarm that can be cleared."""
    async with running(tmp_path / "l.db") as rig:
        text = alert(starts_at=system_clock() + 3_600_000)["startsAt"] if start == "future" else start
        one = {**alert(), "startsAt": text}
        await rig.send(one)
        await until(lambda: rig.active() == ["DiskFull"])
        await rig.send({**one, "status": "resolved", "endsAt": alert(ends_at=system_clock() + 1)["endsAt"]})
        await until(lambda: rig.cleared() == ["DiskFull"])
        assert rig.aom()["violations"] == []


FAR = {
    "no AOM at its address": "endpoint: 'http://127.0.0.1:9', auth: {token: {value: emulator-token}}",
    "no token": "endpoint: '%s', auth: {token: {file: /no/such/file}}",
    "another token": "endpoint: '%s', auth: {token: {value: wrong}}",
    "no IAM": (
        "endpoint: '%s', auth: {password: {domain: d, user: u, password: p, iam_endpoint: 'http://127.0.0.1:9'}}"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("far", FAR.values(), ids=FAR.keys())
async def test_targets_do_not_wait_for_each_other(tmp_path, far):
    """A target that cannot be reached or has broken credentials delays nothing of the other one."""
    rule = "mapping: {rules: [{name: far, match: ['team=\"far\"'], target: far}]}"
    async with running(tmp_path / "outer.db") as outer:
        others = f"far: {{project_id: p2, {far.replace('%s', outer.emulator.url)}}}"
        async with running(tmp_path / "l.db", emulator=outer.emulator, others=others, more=rule) as rig:
            far, near = alert("Far", team="far"), alert("Near")
            await rig.send(far, near)
            await until(lambda: rig.active() == ["Near"])
            await rig.send(resolved(far), resolved(near))
            await until(lambda: rig.cleared() == ["Near"])
            assert rig.count("report_due", "far") == 1


@pytest.mark.slow
async def test_a_large_event_goes_out_in_requests_that_the_gateway_takes(tmp_path):
    """Events too large for one request of 12 MB together are split by bytes, not refused."""
    async with running(tmp_path / "l.db") as rig:
        notes = {f"n{i}": "数" * 16_000 for i in range(29)}
        await rig.send(*(alert(instance=f"node-{i}", annotations=notes) for i in range(20)))
        await until(lambda: len(rig.active()) == 20)
        assert rig.count("rejected") == 0


@pytest.mark.slow
async def test_a_stop_while_aom_hangs_puts_the_alarm_back(tmp_path):
    """A bridge that stops while a push hangs leaves the alarm due, and delivers it after the next start."""
    async with running(tmp_path / "l.db") as outer:
        async with asyncio.timeout(PATIENCE), running(tmp_path / "m.db", emulator=outer.emulator) as rig:
            await rig.arm({"on": "report", "hang": True})
            await rig.send(alert())
            await until(lambda: _hits(rig) >= 1)
        await outer.disarm()
        async with running(tmp_path / "m.db", emulator=outer.emulator) as rig:
            await until(lambda: rig.count("reported") == 1)
            assert rig.active() == ["DiskFull"]


async def test_the_rate_limit_of_a_target_is_kept(tmp_path):
    """Requests to one target stay within `rate_limit`, whatever waits."""
    async with running(tmp_path / "l.db", target="rate_limit: 5", more="") as rig:
        begun = asyncio.get_running_loop().time()
        for i in range(30):
            await rig.send(alert(instance=f"node-{i}"))
        await until(lambda: len(rig.active()) == 30)
        spent = asyncio.get_running_loop().time() - begun
        assert rig.aom()["counts"]["report"] <= 5 + 5 * spent + 1


async def test_an_event_is_reported_and_never_cleared(tmp_path):
    """`event_type: event` is reported once, and its resolve sends nothing."""
    more = "mapping: {defaults: {event_type: event}}"
    async with running(tmp_path / "l.db", more=more) as rig:
        one = alert()
        await rig.send(one)
        await until(lambda: rig.count("reported") == 1)
        await rig.send(resolved(one))
        await until(lambda: rig.count("cleared") == 1)
        counts = rig.aom()["counts"]
        assert (counts["report"], counts["clear"]) == (1, 0)
        assert await rig.metric("aom_bridge_lookups_total", target="default", outcome="accepted") == 0


def _hits(rig):
    """Count the requests that faults have hit: those AOM answered with a fault, or cut."""
    counts = rig.aom()["counts"]
    return counts["report"] + counts["list"] - counts["events_reported"]


async def test_a_target_that_refuses_everything_pauses_and_rejects_nothing(tmp_path):
    """Twenty refused alone in a row, none accepted between, are a fault: once it is mended, all are delivered."""
    async with running(tmp_path / "l.db", target="rate_limit: 1000") as rig:
        await rig.arm({"on": "report", "status": 400, "error_code": "AOM.04040001"})
        await rig.send(*(alert(instance=f"node-{i}") for i in range(60)))
        await until(lambda: rig.count("report_due") == 60 and rig.aom()["counts"]["report"] >= 20)
        for name in range(5):
            await rig.send(alert(f"Late{name}"))
        calls = rig.aom()["counts"]["report"]
        await until(lambda: rig.aom()["counts"]["report"] >= calls + 20)
        await until(lambda: rig.count("rejected") == 0)
        status, text = await rig.get("/api/v1/alarms?limit=1")
        assert status == 200
        assert "paused" in text
        await rig.disarm()
        await until(lambda: len(rig.aom()["active"]) == 65)
        assert rig.count("rejected") == 0


async def test_a_poisoned_event_is_still_found_after_a_pause(tmp_path):
    """When the target has been mended, a truly bad event among the waiting ones is rejected alone."""
    async with running(tmp_path / "l.db", target="rate_limit: 1000") as rig:
        await rig.arm({"on": "report", "status": 400, "error_code": "AOM.04040001"})
        await rig.send(alert("Poison"), *(alert(instance=f"node-{i}") for i in range(30)))
        await until(lambda: rig.aom()["counts"]["report"] >= 40 and rig.count("rejected") == 0)
        rig.rearm({"on": "report", "poison": "Poison"})
        await until(lambda: len(rig.aom()["active"]) == 30)
        await until(lambda: (rig.count("rejected"), rig.count("report_due")) == (1, 0))


@pytest.mark.slow
async def test_the_end_of_an_outage_drains_fast_and_oldest_first(tmp_path):
    """When AOM is back, no alarm waits for the end of a backoff of minutes: all are sent at once, the oldest first."""
    quick = "delivery: {retry_min: 50ms, retry_max: 5m, batch_size: 10, max_in_flight: 1, batch_wait: 20ms}"
    async with running(tmp_path / "l.db", target="rate_limit: 1000", delivery=quick) as rig:
        await rig.arm({"on": "report", "outage": True})
        for number in range(100):
            await rig.send(alert(f"N{number:03}"))
        await until(lambda: rig.aom()["counts"]["report"] >= 5)
        await rig.disarm()
        await until(lambda: len(rig.aom()["active"]) == 100, limit=40)
        names = [event["metadata"]["event_name"] for event in rig.aom()["active"]][
            20:
        ]  # the try that found AOM back is any batch
        assert sum(a > b for a, b in pairwise(names)) <= 2


async def test_an_unreadable_row_is_set_aside_and_holds_up_nobody(tmp_path):
    """A stored event that cannot be read is rejected with the reason; its neighbours are delivered."""
    async with running(tmp_path / "l.db") as rig:
        await rig.arm({"on": "report", "status": 503})
        await rig.send(alert("A"), alert("B"))
        spoil = sa.update(contents).where(contents.c.seq == 1).values(kept=b"{garbage")
        await rig.app.ledger._core.write(lambda connection: connection.execute(spoil))
        await until(lambda: rig.count("rejected") == 1)
        await rig.disarm()
        await until(lambda: rig.active() == ["B"])
        _, text = await rig.get("/api/v1/alarms?state=rejected&limit=1")
        assert '"reason":"unreadable"' in text


@pytest.mark.parametrize("is_by_command", [False, True], ids=["api", "command-line"])
async def test_a_retry_by_hand_does_not_wait_for_the_next_try_of_the_target(tmp_path, is_by_command):
    """Who has mended AOM and retries an alarm sees at once what comes of it, however long the target would wait."""
    patient = "delivery: {retry_min: 10m, retry_max: 10m, batch_wait: 20ms, shutdown_timeout: 2s}"
    async with running(tmp_path / "l.db", delivery=patient) as rig:
        await rig.arm({"on": "report", "status": 503})
        await rig.send(alert())
        await until(lambda: _ids(rig, "waiting"))
        (own_id,) = await _ids(rig, "waiting")
        await rig.disarm()
        if is_by_command:
            ledger = OfflineLedger(f"sqlite:///{tmp_path / 'l.db'}")
            by = By("root", "command line")
            (edited,) = await asyncio.to_thread(ledger.edit, "retry", [own_id], None, by)
            assert edited.done, edited.text
        else:
            async with rig.session.post(f"{rig.app.url}/api/v1/alarms/{own_id}/retry") as response:
                assert response.status == 200, await response.text()
        await until(lambda: rig.active() == ["DiskFull"])


async def _ids(rig, state):
    """Give the ids of the alarms in a group of states whose last try has ended."""
    async with rig.session.get(f"{rig.app.url}/api/v1/alarms?state={state}") as response:
        return [one["id"] for one in (await response.json())["data"] if one.get("attempts")]
