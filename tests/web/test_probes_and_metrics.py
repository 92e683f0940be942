"""What the bridge shows of itself: probes and metrics."""

import asyncio
import sqlite3
import time

from bridge_rig import running
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from waiting import until
from webhooks import alert

from bridge.aom import REASONS
from bridge.clock import system_clock
from bridge.ledger import EFFECTS, STATES

PROMISED = {
    "aom_bridge_webhook_requests_total": ["code"],
    "aom_bridge_webhook_request_seconds_count": [],
    "aom_bridge_alerts_total": ["outcome", "status"],
    "aom_bridge_alarms": ["state", "target"],
    "aom_bridge_oldest_due_age_seconds": ["target"],
    "aom_bridge_open_alarms": ["severity", "target"],
    "aom_bridge_last_acceptance_timestamp_seconds": ["action", "target"],
    "aom_bridge_alert_age_at_delivery_seconds_count": ["action"],
    "aom_bridge_ledger_bytes": [],
    "aom_bridge_ledger_max_open_alarms": [],
    "aom_bridge_web_refusals_total": ["reason"],
    "aom_bridge_web_config_last_reload_successful": [],
    "aom_bridge_pushes_total": ["action", "outcome", "target"],
    "aom_bridge_push_duration_seconds_count": [],
    "aom_bridge_batch_events_count": [],
    "aom_bridge_delivery_seconds_count": ["action"],
    "aom_bridge_rejected_total": ["reason"],
    "aom_bridge_truncated_alerts_total": [],
    "aom_bridge_mapping_rule_matches_total": ["rule"],
    "aom_bridge_mapping_fallbacks_total": ["rule"],
    "aom_bridge_abandoned_requests_total": [],
    "aom_bridge_token_expiry_timestamp_seconds": ["target"],
    "aom_bridge_config_last_reload_successful": [],
    "aom_bridge_config_last_reload_success_timestamp_seconds": [],
    "aom_bridge_build_info": ["python_version", "version"],
}


def samples(text):
    """Give every series: its name and labels, with its value."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_every_promised_metric_is_there_from_the_start(rig):
    """Each metric has its name, its labels and all values of closed sets before anything has happened."""
    _, text = await rig.get("/metrics")
    found = samples(text)
    labels = {}
    for name, pairs in found:
        labels.setdefault(name, set()).add(tuple(key for key, _ in pairs))
    for name, keys in PROMISED.items():
        assert labels.get(name) == {tuple(keys)}, name
    for state in STATES:
        assert found["aom_bridge_alarms", (("state", state), ("target", "default"))] == 0
    for status, outcomes in EFFECTS.items():
        for outcome in outcomes:
            assert found["aom_bridge_alerts_total", (("outcome", outcome), ("status", status))] == 0
    for reason in REASONS:
        key = (("action", "clear"), ("outcome", reason), ("target", "default"))
        assert found["aom_bridge_pushes_total", key] == 0


async def test_metrics_tell_what_happened(rig):
    """Gauges and histograms follow an alarm from its receipt to AOM's acceptance."""
    await rig.send(alert("a"), alert("b"))
    await until(lambda: rig.count("reported") == 2)
    assert await rig.metric("aom_bridge_alarms", state="reported") == 2
    assert await rig.metric("aom_bridge_alerts_total", outcome="new") == 2
    assert await rig.metric("aom_bridge_delivery_seconds_count", action="report") == 2
    assert await rig.metric("aom_bridge_pushes_total", action="report", outcome="accepted") >= 1
    assert await rig.metric("aom_bridge_oldest_due_age_seconds") == 0


async def test_the_age_of_what_waits_grows_while_aom_is_down(rig):
    """`oldest_due_age_seconds` rises while an alarm cannot be delivered."""
    await rig.arm({"status": 503})
    await rig.send(alert())

    async def is_waiting():
        return await rig.metric("aom_bridge_oldest_due_age_seconds", target="default") > 0.2

    await until(is_waiting)
    assert await rig.metric("aom_bridge_pushes_total", action="report", outcome="unavailable") >= 1


async def test_openmetrics_is_given_to_who_asks(rig):
    """A scraper that asks for OpenMetrics gets it, complete."""
    headers = {"Accept": "application/openmetrics-text; version=1.0.0"}
    async with rig.session.get(rig.app.url + "/metrics", headers=headers) as response:
        text = await response.text()
    assert text.endswith("# EOF\n")
    assert {family.name for family in parse_openmetrics(text)} >= {"aom_bridge_alarms", "aom_bridge_alerts"}


async def test_the_bridge_is_ready_while_aom_is_down(rig):
    """AOM being down makes the bridge neither unhealthy nor unready: that is when it is needed."""
    await rig.arm({"outage": True})
    await rig.send(alert())
    for path in ("/-/healthy", "/-/ready"):
        assert (await rig.get(path))[0] == 200


async def test_a_flood_of_probes_costs_few_commits(rig, monkeypatch):
    """Probes ask for no credentials: those that come together share one commit."""
    asked = []
    probe = rig.app.ledger.probe
    monkeypatch.setattr(rig.app.ledger, "probe", lambda: asked.append(1) or probe())
    answers = await asyncio.gather(*(rig.get("/-/ready") for _ in range(100)))
    assert {status for status, _ in answers} == {200}
    assert len(asked) < 50


async def test_the_bridge_is_not_ready_while_its_ledger_cannot_commit(tmp_path):
    """A ledger that cannot be written: unready, with the reason, ready again by itself, and never unhealthy."""
    async with running(tmp_path / "l.db") as rig:
        other = sqlite3.connect(tmp_path / "l.db", isolation_level=None)
        other.execute(
            "CREATE TRIGGER full BEFORE UPDATE ON ledger_counters BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
        status, text = await rig.get("/-/ready")
        assert (status, "disk full" in text) == (503, True)
        assert (await rig.get("/-/healthy"))[0] == 200
        assert (await rig.get("/metrics"))[0] == 200
        assert (await rig.post(b"{}"))[0] == 400
        other.execute("DROP TRIGGER full")
        other.close()
        assert (await rig.get("/-/ready"))[0] == 200


async def test_a_ledger_that_cannot_commit_answers_503_and_keeps_nothing(tmp_path):
    """503 means that nothing of the notification was kept; after the mend the same one is kept."""
    async with running(tmp_path / "l.db") as rig:
        other = sqlite3.connect(tmp_path / "l.db", isolation_level=None)
        other.execute("CREATE TRIGGER full BEFORE INSERT ON alarms BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        body = {"version": "4", "alerts": [alert()]}
        status, text = await rig.post(body)
        assert (status, "nothing was kept" in text) == (503, True)
        other.execute("DROP TRIGGER full")
        other.close()
        assert await rig.post(body) == (200, "kept: 1 new\n")


async def test_open_alarms_and_their_delay_are_shown(rig):
    """How many alarms are open by severity, how old alerts were when AOM took them, when it last did, and our size."""
    one, two = alert("A"), alert("B", severity="warning")
    await rig.send(one, two)
    await until(lambda: rig.active() == ["A", "B"])
    assert await rig.metric("aom_bridge_open_alarms", severity="Critical") == 1
    assert await rig.metric("aom_bridge_open_alarms", severity="Minor") == 1
    assert await rig.metric("aom_bridge_alert_age_at_delivery_seconds_sum", action="report") >= 2 * 60
    assert await rig.metric("aom_bridge_last_acceptance_timestamp_seconds", action="report") > time.time() - 60
    assert await rig.metric("aom_bridge_ledger_bytes") > 10_000
    await rig.send(alert("A", ends_at=system_clock()))
    await until(lambda: rig.active() == ["B"])
    assert await rig.metric("aom_bridge_open_alarms", severity="Critical") == 0
    assert await rig.metric("aom_bridge_alert_age_at_delivery_seconds_count", action="clear") == 1
