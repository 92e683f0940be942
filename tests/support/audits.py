"""A bridge whose audits are quick, and what people and other programs do with its alarms in the emulated AOM."""

import io
import json
from contextlib import asynccontextmanager

from bridge_rig import running
from emulated_aom import cloud
from official_sdk import open_by_sdk
from waiting import until

QUICK = "lookup_wait: 1s\naudit: 1s"
STEP = "{{urls: ['{url}'], receivers: [aom], interval: 1s, settle: 1s, missing_after: 1s}}"
HEADERS = {"X-Auth-Token": "emulator-token", "Content-Type": "application/json"}


@asynccontextmanager
async def audited(ledger, *, peer=None, target="", emulator=None, options=None, **more):
    """Run a bridge with quick audits; ``peer``: the Alertmanager of its source.

    In the end the official SDK's client must see what the bridge has left open, unless the emulator is another one's.
    """
    peers = "" if peer is None else f"alertmanagers: [{STEP.format(url=peer.url)}]"
    config = {"target": f"{QUICK}\n{target}", "more": peers, **more}
    if emulator is not None:
        async with running(ledger, emulator=emulator, **config) as rig:
            yield rig
        return
    async with cloud(**(options or {})) as own:
        async with running(ledger, emulator=own, **config) as rig:
            yield rig
        await _agrees(own)


async def _agrees(emulator):
    """Compare what AOM holds open with what its API shows to a client that others have written."""
    snapshot = emulator.snapshot()
    left = sorted(one["id"] for one in snapshot["active"] if one["enterprise_project_id"] == "0")
    shown = [] if snapshot["options"]["list_lag_ms"] else left
    assert await open_by_sdk(emulator.url) == (shown, len(shown))


async def push(rig, *events, clears=False):
    """Push events to the emulated AOM past the bridge."""
    url = f"{rig.emulator.url}/v2/p1/push/events{'?action=clear' if clears else ''}"
    body = io.BytesIO(json.dumps({"events": events}).encode())
    async with rig.session.put(url, data=body, headers=HEADERS) as response:
        assert response.status == 204, await response.text()


def listed(rig, name, place="active"):
    """Give the alarm with this name as AOM lists it."""
    return next(one for one in rig.aom()[place] if one["metadata"]["event_name"] == name)


async def clear_by_hand(rig, name):
    """Clear an alarm as an operator does in AOM's console."""
    one = listed(rig, name)
    await push(rig, {"id": one["id"], "ends_at": one["starts_at"] + 1, "metadata": one["metadata"]}, clears=True)


async def report_late(rig, name):
    """Let AOM apply a report of an alarm once more after it was cleared."""
    one = listed(rig, name, "history")
    event = {"starts_at": one["starts_at"], "timeout": 86_400_000, "metadata": one["metadata"], "annotations": {}}
    await push(rig, event)


async def audits(rig, count, outcome="complete"):
    """Wait for so many audits more."""
    begin = await rig.metric("aom_bridge_audits_total", outcome=outcome)
    await until(lambda: _has_audits(rig, begin + count, outcome))


async def _has_audits(rig, count, outcome):
    return await rig.metric("aom_bridge_audits_total", outcome=outcome) >= count


async def differences(rig, kind, source="default"):
    """Give how many alarms differ from AOM's list in this way."""
    return await rig.metric("aom_bridge_differences", source=source, kind=kind)


async def reconciled(rig, kind, source="default"):
    """Give how many alarms were changed for this reason."""
    return await rig.metric("aom_bridge_reconciled_total", source=source, kind=kind)


async def rows(rig):
    """Give the alarms of the ledger as the API shows them, by event name."""
    _, text = await rig.get("/api/v1/alarms")
    return {one["event"]["metadata"]["event_name"]: one for one in json.loads(text)["data"]}
