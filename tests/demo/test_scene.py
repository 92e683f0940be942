"""What the acts promise: a promise that is not kept is said, and makes the demo fail."""

import aiohttp
import pytest
from emulated_aom import clear_by_hand, put_in
from emulator_client import alarm

from bridge.clock import system_clock
from bridge.demo.alerts import waves
from bridge.demo.bridge_api import BridgeApi
from bridge.demo.bridge_process import BridgeProcess
from bridge.demo.emulated_aom import EmulatedAom
from bridge.demo.pace import Pace
from bridge.demo.scene import SOURCE, PromiseError, Scene, ended_right
from bridge.demo.stand_in_alertmanager import StandInAlertmanager
from bridge.notification import HEARTBEATS


@pytest.fixture
async def scene(tmp_path):
    """A scene without a bridge, whose promises are waited for shortly."""
    aom = EmulatedAom()
    await aom.start()
    async with aiohttp.ClientSession() as session:
        yield Scene(
            aom=aom,
            bridge=BridgeProcess(tmp_path, ""),
            api=BridgeApi(session, "http://127.0.0.1:9"),
            alertmanager=StandInAlertmanager(system_clock),
            pace=Pace(None),
            waves=waves(),
            say=lambda _: None,
            patience=0.1,
        )
    await aom.stop()


async def test_what_aom_shows_beside_what_fires_is_a_broken_promise(scene):
    """The demo ends as failed if AOM shows an alarm whose alert does not fire, or still a missing heartbeat."""
    for source in (SOURCE, HEARTBEATS):
        await put_in(
            scene.aom,
            alarm("left over", alert_source=source, alert_fingerprint="a", starts_at=system_clock()),
            project="demo",
        )
        with pytest.raises(PromiseError, match="AOM"):
            await ended_right(scene)
        await clear_by_hand(scene.aom, project="demo", alert_fingerprint="a")
    assert "equal the firing alerts" in await ended_right(scene)


async def test_alarms_of_a_person_s_own_alertmanager_do_not_count(scene):
    """Alarms of another source may come while the acts are played."""
    await put_in(
        scene.aom,
        alarm("mine", alert_source="default", alert_fingerprint="a", starts_at=system_clock()),
        project="demo",
    )
    await ended_right(scene)


async def test_a_bridge_that_does_not_answer_has_no_figures(scene):
    """While the bridge is dead the view says so, and nothing fails."""
    assert await scene.api.figures() is None
