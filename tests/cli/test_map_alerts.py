"""`aom-bridge map` of the alerts that the ledger keeps."""

import json

import pytest
from bridge_rig import running, settings_text
from command_line import command
from waiting import until
from webhooks import alert

pytestmark = pytest.mark.real


@pytest.fixture(params=["local", "remote"])
async def newest(request, tmp_path):
    """Map the newest alerts of a ledger whose newest alarms are the bridge's own."""
    async with running(tmp_path / "l.db", more="canary: {interval: 1s}") as rig:
        await rig.send(alert("Old"), alert("New"))
        await until(lambda: "AomBridgeCanary" in rig.cleared())
        file = tmp_path / "bridge.yaml"
        file.write_text(settings_text(rig.emulator.url, tmp_path / "l.db"))
        where = f"--config.file={file}" if request.param == "local" else f"--url={rig.app.url}"

        async def mapped(*words):
            code, out, err = await command("map", where, "-o", "json", *words)
            assert code == 0, err
            return [
                field["value"] for one in json.loads(out) for field in one["fields"] if field["name"] == "event_name"
            ]

        yield mapped


async def test_the_bridges_own_alarms_are_not_mapped(newest):
    """No rule makes them, so the newest alert is one that Alertmanager sent; one more than there are is all."""
    assert await newest("--last") == ["New"]
    assert await newest("--last", "2") == ["New", "Old"]
    assert await newest("--last", "3") == ["New", "Old"]
