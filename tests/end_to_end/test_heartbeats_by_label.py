"""Two real Prometheus, told apart by a label: each is a switch of its own."""

import os
import re

import pytest
from heartbeats import alertmanager, heartbeat
from process import bridge_command, run

IS_FULL = os.environ.get("AOM_BRIDGE_REHEARSAL") == "full"

# The quick forms are in tests/reconcile/heartbeats; these would make the whole suite longer than CI may take.
in_rehearsal = pytest.mark.skipif(not IS_FULL, reason="`make rehearsal` runs it")  # 29 to 47 s each; CI has 15 min
pytestmark = pytest.mark.real

BY_CLUSTER = heartbeat(more=", by: [cluster]")


@in_rehearsal
async def test_of_two_prometheus_just_the_one_that_is_killed_is_an_alarm(watched):
    """Each value of the label `cluster` is a switch of its own."""
    first, _ = await watched.start(BY_CLUSTER, alertmanager(resolved=False), "a", "b")
    first.kill()
    await watched.misses("main/cluster=a")
    await watched.has_switches(ok=1, missing=1)
    await first.start()
    await watched.misses()
    await watched.has_switches(ok=2)
    assert watched.ended() == ["main/cluster=a"]


@in_rehearsal
async def test_a_cluster_that_is_gone_for_good_is_forgotten_by_the_command_that_its_alarm_names(watched):
    """It is not raised again, and the other cluster is watched as before."""
    gone, other = await watched.start(BY_CLUSTER, alertmanager(resolved=False), "a", "b")
    gone.kill()
    (message,) = await watched.misses("main/cluster=a")
    words = re.search(r"If it is gone for good: aom-bridge (alarms clear \w+);", message)[1].split()
    code, _, err = await run(*bridge_command(*words, f"--config.file={watched.folder / 'bridge.yaml'}"))
    assert code == 0, err
    await watched.has_switches(ok=1)
    await watched.misses()
    other.pause()
    await watched.misses("main/cluster=b")
    other.wake()
    await watched.has_switches(ok=1)
    alarms = await watched.command("alarms", "list", "--all-states", "-o", "json")
    assert sorted((one["labels"]["cluster"], one["state"]) for one in alarms) == [("a", "cleared"), ("b", "cleared")]
