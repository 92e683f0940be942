"""The six acts of the demo: what happens, what is said meanwhile, and what each promises.

In: the `Scene`. Out: for each act one sentence of what was seen, or `PromiseError`. An act waits for each state that it
promises, and leaves no fault behind.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bridge.demo.alerts import DemoAlert, in_groups
from bridge.demo.scene import SOURCE, PromiseError, Scene, kept
from bridge.notification import HEARTBEAT_MISSING, HEARTBEATS

_LATENCY_MS = 600_000
_POISONED = "nightly-invoices"
_RECOVERS = ("KubePodCrashLooping", "KubeContainerWaiting", "KubeStatefulSetReplicasMismatch")
_ENDS_MEANWHILE = ("CPUThrottlingHigh",)


@dataclass(frozen=True, slots=True)
class Act:
    """One act; ``play`` returns a sentence of what was seen."""

    title: str
    play: Callable[[Scene], Awaitable[str]]


async def storm(scene: Scene) -> str:
    """Fire a storm of alerts, of which a part resolves again."""
    wave = scene.waves["storm"]
    over = [alert for alert in wave if alert.name in _RECOVERS]
    groups = len(in_groups(wave))
    await scene.tell(
        f"The node worker-3 loses its network: {len(wave)} alerts fire, and Alertmanager posts {groups} webhooks. Each "
        "of them is on disk before Alertmanager gets its 200; then the bridge reports it to AOM.",
        5,
    )
    await scene.fire(wave, 0.8)
    await scene.until_in_step()
    await scene.tell("Each alert is an alarm in AOM, with its severity, its text and the object that it is about.", 5)
    scene.say(f"Some pods recover: {len(over)} alerts resolve, and AOM's alarms are cleared.")
    await scene.resolve(over, 1)
    await scene.until_in_step()
    await scene.pace.pause(3)
    return f"{len(wave)} alerts in {groups} webhooks became alarms, and the {len(over)} that resolved were cleared"


async def outage(scene: Scene) -> str:
    """Let alerts fire and resolve while AOM is down."""
    wave = scene.waves["outage"]
    over = [alert for alert in scene.waves["storm"] if alert.name in _ENDS_MEANWHILE]
    before, held = Counter(scene.alertmanager.answers), scene.aom.fingerprints(SOURCE)
    await scene.aom.arm(status=503)
    await scene.tell("AOM is down: it answers every request with 503. The next alerts fire, others resolve.", 4)
    await scene.fire(wave, 1)
    await scene.resolve(over, 1)
    await scene.promised(lambda: _waiting(scene, len(wave) + len(over)), "not every alarm waits in the ledger")
    answered = _answers_since(scene, before)
    kept(set(answered) == {200}, f"webhooks were answered {dict(answered)} while AOM was down")
    kept(scene.aom.fingerprints(SOURCE) == held, "AOM has changed although it was down")
    await scene.tell(
        f"{len(wave) + len(over)} alarms wait in the ledger, and Alertmanager got 200 for every webhook: no outage of "
        "AOM holds up a webhook. The bridge tries AOM again and again, and says since when and why they wait.",
        8,
    )
    await scene.aom.disarm()
    scene.say("AOM is back: what has waited is sent, in batches.")
    await scene.until_in_step()
    await scene.pace.pause(5)
    return (
        f"{len(wave) + len(over)} alarms waited while {answered[200]} webhooks got 200, and were sent when AOM was back"
    )


async def crash(scene: Scene) -> str:
    """Kill the bridge while it sends, and while webhooks come in."""
    first, *rest = in_groups(scene.waves["crash"])
    requests = scene.aom.count("report")
    await scene.aom.arm(on="report", latency_ms=_LATENCY_MS)
    await scene.tell("AOM is slow to answer, so that alarms are in flight.", 3)
    await scene.fire(first)
    await scene.promised(lambda: scene.aom.count("report") > requests, "no alarm is in flight")
    await scene.pace.pause(4)
    await scene.bridge.kill()
    await scene.aom.disarm()
    telling = asyncio.create_task(scene.fire([alert for group in rest for alert in group]))
    try:
        await _revived(scene)
        await telling
    finally:
        telling.cancel()
    await scene.until_in_step()
    await scene.tell("It has lost nothing, and AOM has nothing twice.", 5)
    later = sum(map(len, rest))
    return f"kill -9 with {len(first)} alarms in flight and {later} alerts to come: AOM holds each exactly once"


async def poison(scene: Scene) -> str:
    """Let AOM refuse one alarm until its cause is removed."""
    wave = scene.waves["jobs"]
    bad = [alert for alert in wave if alert.labels["job_name"] == _POISONED]
    await scene.aom.arm(on="report", poison=_POISONED)
    await scene.tell(
        f"{len(wave)} jobs have failed. AOM refuses one of the alarms, and with it any batch that holds it.", 4
    )
    await scene.fire(wave)
    await scene.promised(lambda: _rejected(scene, bad), "the refused alarm is not rejected")
    await scene.promised(lambda: scene.is_in_step(missing=bad), "the other alarms are not in AOM")
    await scene.tell(
        f"The bridge has halved the batch until the refused alarm was alone: {len(wave) - 1} alarms are in AOM, and "
        "one is rejected, with AOM's words. It is kept, shown and counted, and holds up no other alarm.",
        9,
    )
    await scene.aom.disarm()
    await scene.tell("The cause is removed, and an operator says: aom-bridge alarms retry --all", 3)
    kept(await scene.api.retry_rejected() == 1, "the rejected alarm was not retried")
    await scene.until_in_step()
    await scene.pace.pause(4)
    return f"1 of {len(wave)} alarms was rejected alone, and was accepted after its cause was removed"


async def silence(scene: Scene) -> str:
    """Let alerts resolve under a silence, of which no webhook tells."""
    wave = scene.waves["work"]
    await scene.tell("Planned work on worker-2 fires two alerts.", 2)
    await scene.fire(wave)
    await scene.until_in_step()
    await scene.tell("An operator silences both in Alertmanager: they stay in AOM, for they still fire.", 4)
    scene.alertmanager.silence(wave)
    await _rounds(scene, 2)
    posted = scene.alertmanager.posted
    await scene.resolve(wave)
    await scene.tell(
        "The work is done, and both alerts resolve. Alertmanager posts nothing about silenced alerts, not even that "
        "they have resolved: by webhooks alone, AOM would show both for days.",
        6,
    )
    await scene.until_in_step()
    kept(scene.alertmanager.posted == posted, "a webhook told of the resolve")
    causes = {alarm.get("ended_by") for alert in wave for alarm in await _alarms(scene, alert)}
    kept(causes == {"vanished"}, f"the alarms were ended by {causes}")
    await scene.tell(
        "The bridge has asked Alertmanager's API, where neither is listed any more, and has cleared both.", 7
    )
    return f"{len(wave)} alerts resolved under a silence without a webhook, and their alarms were cleared"


async def heartbeat(scene: Scene) -> str:
    """Let the Watchdog stop and come back."""
    watchdog = scene.waves["watchdog"]
    scene.alertmanager.lose(watchdog)
    await scene.tell(
        "Prometheus dies, and no alert can fire any more: that looks like peace. But its Watchdog, which always fires, "
        "stops as well.",
        4,
    )
    await scene.promised(lambda: bool(scene.aom.fingerprints(HEARTBEATS)), f"AOM has no {HEARTBEAT_MISSING}")
    await scene.tell(f"The silence itself is an alarm: {HEARTBEAT_MISSING} is in AOM, and says what to look at.", 8)
    await scene.fire(watchdog)
    scene.say("Prometheus is back, and with the first Watchdog the alarm is cleared.")
    await scene.promised(lambda: not scene.aom.fingerprints(HEARTBEATS), f"{HEARTBEAT_MISSING} is not cleared")
    await scene.until_in_step()
    await scene.pace.pause(4)
    return f"{HEARTBEAT_MISSING} appeared when the Watchdog stopped, and was cleared when it came back"


ACTS = (
    Act("a storm of alerts becomes alarms in AOM", storm),
    Act("AOM is down, and no webhook waits for it", outage),
    Act("the bridge is killed with -9, and loses nothing", crash),
    Act("AOM refuses one alarm, and the others pass", poison),
    Act("an alert resolves under a silence, and AOM still learns it", silence),
    Act("the Watchdog stops, and that is an alarm", heartbeat),
)
"""The acts in their order."""


async def _revived(scene: Scene) -> None:
    """Show the dead bridge, and start it again once a webhook got no answer."""
    unanswered = scene.alertmanager.answers[0]
    scene.say(
        "kill -9: the bridge is dead, with alarms in flight whose outcome it will never learn. Alertmanager's webhooks "
        "get no answer, so Alertmanager posts them again."
    )
    await scene.promised(
        lambda: scene.alertmanager.answers[0] > unanswered, "no webhook came while the bridge was dead"
    )
    await scene.pace.pause(6)
    scene.say("It is started again: the ledger knows what had been accepted, and what must be sent once more.")
    await scene.bridge.start()
    await scene.pace.pause(3)


async def _waiting(scene: Scene, count: int) -> bool:
    figures = await scene.api.figures()
    return figures is not None and figures.waiting + figures.in_flight >= count


async def _rejected(scene: Scene, alerts: list[DemoAlert]) -> bool:
    rejected = {alarm["fingerprint"] for alarm in await scene.api.alarms(state="rejected")}
    return rejected == {alert.fingerprint for alert in alerts}


async def _alarms(scene: Scene, alert: DemoAlert) -> list[dict[str, object]]:
    alarms = await scene.api.alarms(fingerprint=alert.fingerprint)
    if not alarms:
        raise PromiseError(f"the ledger has no alarm of {alert.name}")
    return alarms


async def _rounds(scene: Scene, count: int) -> None:
    """Wait until the bridge has asked Alertmanager's API so many times."""
    before = scene.alertmanager.rounds
    await scene.promised(
        lambda: scene.alertmanager.rounds >= before + count, "the bridge does not ask Alertmanager's API"
    )


def _answers_since(scene: Scene, before: Counter[int]) -> Counter[int]:
    return Counter(scene.alertmanager.answers) - before
