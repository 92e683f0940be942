"""The main job with real parts: the real Alertmanager, the real process, AOM emulated; and crashes in between."""

import re
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from emulated_aom import arm, by_name, cloud, disarm
from process import alertmanager, serving
from waiting import until
from webhooks import alert, post

pytestmark = pytest.mark.real

CHINESE = "磁盘空间不足，请尽快处理。\n" + "数据库所在磁盘使用率超过百分之九十五。" * 270


def fired(name, severity, **annotations):
    """Give an alert as Prometheus posts it."""
    return {"labels": {"alertname": name, "severity": severity}, "annotations": annotations}


def ended(one):
    """Give the same alert, resolved just now."""
    return {**one, "endsAt": (datetime.now(UTC) - timedelta(milliseconds=1)).isoformat()}


@pytest.mark.parametrize("ids", ["assigned", "supplied"])
async def test_three_alerts_fire_and_two_resolve(tmp_path, ids):
    """Three fire, AOM shows three with their severities; two resolve, AOM shows one active and two cleared."""
    async with (
        cloud(ids=ids) as aom,
        serving(tmp_path, aom.url) as (bridge, url),
        alertmanager(tmp_path, url) as manager,
    ):
        disk = fired("DiskFull", "critical", description=CHINESE)
        cpu, info = fired("CpuHigh", "warning"), fired("Deployed", "info")
        await manager.post(disk, cpu, info)
        await until(lambda: len(aom.snapshot()["active"]) == 3)
        active = by_name(aom.snapshot()["active"])
        severities = {name: event["metadata"]["event_severity"] for name, event in active.items()}
        assert severities == {"DiskFull": "Critical", "CpuHigh": "Minor", "Deployed": "Info"}
        assert len(CHINESE) > 5_000
        assert active["DiskFull"]["annotations"]["description"] == CHINESE
        assert active["DiskFull"]["annotations"]["message"] == CHINESE
        await manager.post(ended(disk), ended(info))
        await until(lambda: len(aom.snapshot()["history"]) == 2)
        assert set(by_name(aom.snapshot()["active"])) == {"CpuHigh"}
        assert set(by_name(aom.snapshot()["history"])) == {"DiskFull", "Deployed"}
        assert aom.snapshot()["violations"] == []
        assert bridge.terminate() == 0


async def test_a_kill_between_the_200_and_the_push_loses_nothing(tmp_path):
    """`kill -9` after the 200 and before AOM has it: after the restart the alarm reaches AOM."""
    async with cloud() as aom:
        await arm(aom, {"status": 503})
        async with serving(tmp_path, aom.url) as (bridge, url):
            assert await post(url, alert("A"), alert("B")) == 200
            bridge.kill()
        assert aom.snapshot()["active"] == []
        await disarm(aom)
        async with serving(tmp_path, aom.url):
            await until(lambda: set(by_name(aom.snapshot()["active"])) == {"A", "B"})


async def test_a_kill_between_aoms_answer_and_the_settle_ends_right(tmp_path):
    """`kill -9` while AOM holds the alarm but its answer never came: one open alarm, and its resolve clears it."""
    async with cloud() as aom:
        await arm(aom, {"on": "report", "reset": True, "after": True})
        async with serving(tmp_path, aom.url) as (bridge, url):
            one = alert("A")
            assert await post(url, one) == 200
            await until(lambda: aom.snapshot()["active"])
            bridge.kill()
        await disarm(aom)
        async with serving(tmp_path, aom.url) as (_, url):
            assert await post(url, {**one, "status": "resolved", "endsAt": alert(ends_at=2_000_000_000_000)["endsAt"]})
            await until(lambda: not aom.snapshot()["active"])
            assert set(by_name(aom.snapshot()["history"])) == {"A"}


async def test_sigterm_ends_quickly_while_aom_hangs(tmp_path):
    """SIGTERM ends the process with exit code 0 within its limit, also while a push hangs."""
    async with cloud() as aom:
        await arm(aom, {"on": "report", "hang": True})
        async with serving(tmp_path, aom.url) as (bridge, url):
            assert await post(url, alert("A")) == 200
            await until(lambda: aom.snapshot()["counts"]["report"] >= 1)
            assert bridge.terminate() == 0
        await disarm(aom)
        async with serving(tmp_path, aom.url):
            await until(lambda: set(by_name(aom.snapshot()["active"])) == {"A"})


async def test_a_second_bridge_on_the_same_ledger_says_so_and_stops(tmp_path):
    """Two processes on one ledger: the second one names the lock and the fix, with exit code 2."""
    async with cloud() as aom, serving(tmp_path, aom.url):
        (tmp_path / "second").mkdir()
        with pytest.raises(AssertionError, match=r"another process uses this ledger.*Fix:"):
            async with serving(tmp_path / "second", aom.url, ledger=tmp_path / "ledger.db"):
                pass


async def test_a_sidecars_two_addresses_divide_what_they_serve(tmp_path):
    """The process as a sidecar starts it: webhooks at one address, status and changes at the other only."""
    arguments = ("--web.admin-listen-address=127.0.0.1:0", "--web.enable-admin", "--config.watch")
    async with cloud() as aom, serving(tmp_path, aom.url, arguments=arguments) as (bridge, url):
        admin = re.search(r"admin_address=(\S+)", bridge.output)[1]
        assert await post(url, alert("a1")) == 200
        async with aiohttp.ClientSession() as session:
            found = {}
            for base in (url, admin):
                for method, path in (("POST", "/webhook"), ("GET", "/metrics"), ("POST", "/-/reload")):
                    async with session.request(method, base + path, data=None) as response:
                        found[base == admin, path] = response.status
        assert found[True, "/metrics"] == found[True, "/-/reload"] == 200
        assert found[True, "/webhook"] == found[False, "/metrics"] == found[False, "/-/reload"] == 404
        assert found[False, "/webhook"] == 400
