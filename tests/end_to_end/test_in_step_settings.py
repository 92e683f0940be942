"""What the bridge's own settings and rules make of what Alertmanager shows: sources, what is kept, what is dropped."""

import asyncio
import signal

import pytest
from cluster import CONFIG, ELSEWHERE, LOOPBACK, SHORT, Cluster
from emulated_aom import arm
from in_step import in_step_with
from waiting import until

pytestmark = pytest.mark.real


async def test_the_same_alert_of_another_source_is_another_alarm(held):
    """Two sources list the same labels; where it vanishes from one of them, only that one's alarm is cleared."""
    clusters = {name: Cluster(held.folder / name, [LOOPBACK]) for name in ("a", "b")}
    settings = [f"{{source: {name}, {in_step_with(one.urls)[1:]}" for name, one in clusters.items()]
    await held.serve_with(f"source: a\nsources: [b]\nalertmanagers: [{', '.join(settings)}]")
    try:
        for name, cluster in clusters.items():
            cluster.configure(held.url, CONFIG.replace("/webhook", f"/webhook/{name}"))
            await cluster.start()
            await cluster.fire("Both")
        await held.shows("Both", "Both")
        await clusters["a"].vanish("Both")
        held.cluster.resolves = clusters["a"].resolves
        await held.is_active("Both")
        assert [await held.count("vanished", name) for name in clusters] == [1, 0]
    finally:
        await asyncio.gather(*(cluster.stop() for cluster in clusters.values()))


async def test_what_is_to_be_kept_is_kept(held):
    """`vanished: keep` and `unrouted: keep`."""
    held.cluster = cluster = Cluster(held.folder, [LOOPBACK], validity=SHORT)
    await held.serve(more=", vanished: keep, unrouted: keep", missing_after="1s")
    await cluster.start()
    for name in ("Moved", "Silenced"):
        await cluster.fire(name)
    await held.shows("Moved", "Silenced")
    await cluster.vanish("Silenced")
    cluster.configure(held.url, ELSEWHERE)
    await cluster.reload()
    await held.stays_active("Moved", "Silenced", seconds=10)


async def test_what_is_silenced_is_cleared_where_that_is_wanted_and_raised_again(held):
    """`silenced: clear`; Alertmanager tells neither the silence nor its end."""
    held.cluster = cluster = Cluster(held.folder, [LOOPBACK])
    await held.serve(more=", silenced: clear")
    await cluster.start()
    for name in ("Silenced", "Stays"):
        await cluster.fire(name)
    await held.shows("Silenced", "Stays")
    silence = await cluster.silence("Silenced")
    cluster.resolves["Silenced"] = 1
    await held.shows("Stays")
    assert await held.count("silenced") == 1
    await cluster.expire(silence)
    await held.shows("Silenced", "Stays")


async def test_what_a_rule_drops_is_raised_only_when_the_rule_is_gone(held):
    """Its webhook was answered, and Alertmanager sends no other one before `repeat_interval`."""
    rules = 'mapping: {rules: [{name: quiet, match: ["alertname=Dropped"], drop: true}]}'
    await held.serve(rules=rules)
    await held.cluster.start()
    for name in ("Dropped", "First"):
        await held.cluster.fire(name)
    await held.shows("First")
    await held.stays_active("First", seconds=7)
    file = held.folder / "bridge.yaml"
    file.write_text(file.read_text().replace(rules, ""))
    held.bridge.process.send_signal(signal.SIGHUP)
    await held.shows("Dropped", "First")


async def test_a_rejected_alarm_whose_alert_vanishes_gets_its_end_and_no_clear(in_step):
    """AOM has never had it, so nothing is sent, and nothing differs any more."""
    await in_step.cluster.fire("Stays")
    await in_step.shows("Stays")
    await arm(in_step.aom, {"on": "report", "poison": "Poison"})
    await in_step.cluster.fire("Poison")
    await until(lambda: in_step.has_row("Poison", state="rejected"))
    await in_step.cluster.vanish("Poison")
    await until(lambda: in_step.has_row("Poison", state="rejected", ended_by="vanished"), 60)
    assert await in_step.count("vanished") == 1
    assert await in_step.command("diff", "-o", "json") == []
    assert in_step.aom.snapshot()["counts"]["clear"] == 0
    assert in_step.active() == ["Stays"]
