"""What AOM learns late: found by the rehearsal, each as short as it can be told.

A promise that does not hold yet is marked to fail; the change that keeps it removes the mark.
"""

import asyncio

import pytest
from bridge_rig import running
from emulated_aom import arm, cloud, disarm
from ledger_rows import listing
from process import serving
from waiting import until
from webhooks import alert, post

from bridge.clock import system_clock
from bridge.ledger.storage.database import looking_at

pytestmark = pytest.mark.slow


def ended(aom):
    """Say whether AOM shows one alarm that has ended and none that is open."""
    return not aom.snapshot()["active"] and aom.snapshot()["history"]


async def fire_resolve_fire(rig):
    """Fire, resolve and fire again while AOM takes nothing; then it takes all."""
    await rig.arm({"on": "report", "status": 503})
    now = system_clock()
    await rig.send(alert("A", starts_at=now - 9_000))
    await rig.send(alert("A", starts_at=now - 9_000, ends_at=now - 8_000))
    await rig.send(alert("A", starts_at=now - 7_000))
    await rig.disarm()
    await until(lambda: rig.count("reported") == 1)


@pytest.mark.real
async def test_a_report_that_lands_after_the_kill_is_cleared_all_the_same(tmp_path):
    """`kill -9` while AOM is slow with a report, which lands after the next process has reported and cleared it."""
    async with cloud() as aom:
        await arm(aom, {"on": "report", "latency_ms": 60_000, "count": 1})
        starts_at = system_clock()
        async with serving(tmp_path, aom.url, target="lookup_wait: 5s") as (bridge, url):
            assert await post(url, alert("A", starts_at=starts_at)) == 200
            await until(lambda: aom.snapshot()["counts"]["report"] == 1)
            bridge.kill()
        async with serving(tmp_path, aom.url, target="lookup_wait: 5s") as (_, url):
            await until(lambda: aom.snapshot()["active"])
            assert await post(url, alert("A", starts_at=starts_at, ends_at=system_clock())) == 200
            await until(lambda: aom.snapshot()["history"])
            await disarm(aom)
            await until(lambda: aom.snapshot()["counts"]["events_reported"] == 2)  # now the first one has landed
            await until(lambda: ended(aom))


async def test_an_orphan_clears_what_the_list_does_not_show_yet(tmp_path):
    """Fired and resolved in an outage, then a resolve whose firing never came: AOM's list lags, and nothing stays."""
    options = {"list_lag_ms": 500}
    async with running(tmp_path / "ledger.db", options=options, target="lookup_wait: 2s") as rig:
        await rig.arm({"on": "report", "status": 503})
        now = system_clock()
        await rig.send(alert("A", starts_at=now - 9_000))
        await rig.send(alert("A", starts_at=now - 9_000, ends_at=now - 8_000))
        assert await rig.send(alert("A", starts_at=now - 7_000, ends_at=now - 6_000)) == "1 orphan"
        await asyncio.sleep(2.1)  # the outage outlasts lookup_wait
        await rig.disarm()
        await until(lambda: rig.count("cleared") == 2)
        await until(lambda: ended(rig.emulator))


async def test_a_successor_does_not_leave_its_predecessor_open(tmp_path):
    """AOM tells alarms apart by our id, lists its own, and lags: fire, resolve, fire again ends as one open alarm."""
    options = {"list_lag_ms": 500, "same_alarm": "id"}
    async with running(tmp_path / "ledger.db", options=options, target="lookup_wait: 2s") as rig:
        await fire_resolve_fire(rig)
        await until(lambda: rig.active() == ["A"] and rig.cleared() == ["A"])


async def test_a_merged_alarm_is_not_taken_for_its_predecessor(tmp_path):
    """AOM merges the re-fire into the alarm that the hurried clear has missed: what it shows is ours, and stays."""
    options = {"list_lag_ms": 500, "same_alarm": "metadata"}
    async with running(tmp_path / "ledger.db", options=options, target="lookup_wait: 1s") as rig:
        await fire_resolve_fire(rig)
        lists = rig.aom()["counts"]["list"]
        await until(lambda: rig.aom()["counts"]["list"] > lists)  # the sweep
        await until(lambda: doubts(rig) is None)
        assert rig.active() == ["A"]


def doubts(rig):
    """Give the doubt about the open alarm."""
    with looking_at(rig.app._reloader.settings.store.url) as connection:
        (view,) = [view for view in listing(connection) if view.alarm.state == "reported"]
    return view.alarm.doubt_at
