"""A whole bridge that sends an alarm of its own through the chain, and measures it."""

from bridge_rig import running
from plain_words import is_chinese
from reloading import reloading
from waiting import until

CANARY = "canary: {interval: 1s}"


async def test_the_canary_goes_through_the_whole_chain_and_is_cleared(tmp_path):
    """Its time from the firing until AOM's list no longer has it is a metric; it comes again each interval."""
    async with running(tmp_path / "l.db", more=CANARY) as rig:
        await until(lambda: has_come(rig, 2))
        assert await rig.metric("aom_bridge_canary_success") == 1
        assert await rig.metric("aom_bridge_canary_interval_seconds") == 1
        assert 0 < await rig.metric("aom_bridge_canary_seconds") < 60
        event = rig.aom()["history"][0]
        assert event["metadata"]["alert_source"] == "aom-bridge-canary"
        assert event["metadata"]["event_severity"] == "Info"
        assert is_chinese(event["annotations"]["alarm_probableCause_zh_cn"])


async def has_come(rig, count):
    """Say whether so many canaries have been cleared."""
    return rig.cleared().count("AomBridgeCanary") >= count


async def test_a_canary_that_a_crash_left_open_is_ended_by_the_next_start(tmp_path):
    """It is one alarm of one alert, whatever happens."""
    async with running(tmp_path / "l.db", more=CANARY) as rig:
        await until(lambda: rig.active() == ["AomBridgeCanary"])
        emulator = rig.emulator
        await rig.app.stop()
        async with running(tmp_path / "l.db", more="canary: {interval: 1s}", emulator=emulator) as again:
            await until(lambda: has_come(again, 2))
            assert again.aom()["violations"] == []


async def test_a_rule_that_drops_the_canary_is_told(tmp_path, capfd):
    """It would wait for nothing."""
    rule = "mapping: {rules: [{name: noise, match: [severity=none], drop: true}]}"
    async with running(tmp_path / "l.db", more=f"{CANARY}\n{rule}") as rig:
        await until(lambda: "a rule drops it. Fix: let alertname=AomBridgeCanary through." in _read(rig, capfd))
        assert await rig.metric("aom_bridge_canary_success") == 0


def _read(rig, capfd):
    """Give everything that was printed until now."""
    rig.printed = getattr(rig, "printed", "") + capfd.readouterr().out
    return rig.printed


async def test_a_reload_that_orders_a_canary_counts_at_once(tmp_path):
    """Also where none was ordered before."""
    async with reloading(tmp_path) as rig:
        rig.write(more="canary: {interval: 1h}")
        assert (await rig.reload())[0] == 200
        await until(lambda: has_come(rig, 1))


async def test_without_the_section_no_canary_is_sent(tmp_path):
    """It is off by default."""
    async with running(tmp_path / "l.db") as rig:
        assert await rig.metric("aom_bridge_canary_interval_seconds") == 0
        assert await rig.metric("aom_bridge_canary_timestamp_seconds") == 0
        assert rig.aom()["counts"]["report"] == 0
