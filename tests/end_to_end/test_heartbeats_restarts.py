"""A bridge that watches a real Prometheus is killed, or the leading one of two: no false alarm and no second one."""

import os
import time

import pytest
from heartbeats import MISSING_AFTER, alertmanager, heartbeat
from in_step import LIMIT
from waiting import until

IS_FULL = os.environ.get("AOM_BRIDGE_REHEARSAL") == "full"

# The quick forms are in tests/reconcile/heartbeats; these would make the whole suite longer than CI may take.
in_rehearsal = pytest.mark.skipif(not IS_FULL, reason="`make rehearsal` runs it")  # 29 to 47 s each; CI has 15 min
pytestmark = pytest.mark.real

LONG = 12
"""Seconds until a switch is missing: so long that a bridge can be killed in between on a busy machine."""


@in_rehearsal
async def test_a_bridge_that_was_away_while_a_sign_was_late_raises_no_false_alarm(watched):
    """When it is back the last sign that it knows is too old; yet it was the bridge that did not hear the next one."""
    sections = heartbeat(missing_after=f"{LONG}s")
    (prometheus,) = await watched.start(sections, alertmanager(resolved=False))
    prometheus.pause()
    await watched.is_forgotten_by_alertmanager("Watchdog")
    await watched.has_switches(late=1)
    last_sign = await watched.last_sign()
    watched.bridge.kill()
    assert time.time() < last_sign + LONG
    prometheus.wake()
    await until(lambda: time.time() > last_sign + LONG, LIMIT)
    await watched.serve_with(sections)
    await watched.has_switches(ok=1)
    await watched.keeps_missing(seconds=2)
    assert await watched.command("alarms", "list", "--all-states", "-o", "json") == []


@in_rehearsal
async def test_a_bridge_that_is_killed_while_a_sign_is_missing_keeps_its_alarm(watched):
    """It raises no second one, and does not end it before the next sign."""
    (prometheus,) = await watched.start(heartbeat(), alertmanager(resolved=False))
    prometheus.pause()
    await watched.misses("main")
    watched.bridge.kill()
    await watched.serve_with(heartbeat())
    await watched.keeps_missing("main", seconds=MISSING_AFTER + 2)
    prometheus.wake()
    await watched.misses()
    await watched.has_switches(ok=1)
    assert watched.ended() == ["main"]
    (alarm,) = await watched.command("alarms", "list", "--all-states", "-o", "json")
    assert (alarm["state"], alarm["opened_by"], alarm["ended_by"]) == ("cleared", "heartbeat", "heartbeat")


@in_rehearsal
async def test_of_two_bridges_one_raises_the_alarm_and_after_its_death_the_other_ends_it(watched_twice):
    """Both see that the sign is missing, and AOM one alarm and one end of it."""
    (prometheus,) = await watched_twice.start(heartbeat(), alertmanager(resolved=False))
    killed = watched_twice.leader()
    prometheus.pause()
    await watched_twice.misses("main")
    await watched_twice.has_switches(missing=1)
    watched_twice.first.kill()
    prometheus.wake()
    await watched_twice.misses()
    assert watched_twice.leader() != killed
    await watched_twice.keeps_missing(seconds=2)
    assert watched_twice.ended() == ["main"]
    (alarm,) = watched_twice.rows()
    assert (alarm.state, alarm.opened_by, alarm.ended_by) == ("cleared", "heartbeat", "heartbeat")
