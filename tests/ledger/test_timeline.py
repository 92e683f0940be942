"""The timeline of an alarm: what its row and its steps tell, by time, in words that pages can translate."""

from typing import get_args

import pytest
from ledger_driver import BY, T0, LedgerDriver

from bridge.clock import HOUR, MINUTE, SECOND
from bridge.ledger import STATES, Settlement, StepKind, timeline_of
from bridge.ledger.decisions import Refused, Reported
from bridge.ledger.storage.schema import steps
from bridge.ledger.timeline import _FINISHED


@pytest.fixture
async def driver(tmp_path):
    """A fresh ledger."""
    async with LedgerDriver(tmp_path / "ledger.db") as made:
        yield made


async def timeline(driver, name="a"):
    """Give the timeline of the newest alarm of an alert."""
    detail = await driver.ledger.records.show(name)
    return timeline_of(detail.view.alarm, detail.steps)


def kinds(entries):
    """Give the kinds of entries, in their order."""
    return [entry.kind for entry in entries]


async def test_an_ordinary_alarm_tells_its_life_from_its_row(driver):
    """Fired, received, accepted, repeated, resolved and cleared, each with the time since the one before."""
    driver.now = T0 + SECOND
    await driver.fire()
    driver.now += SECOND
    await driver.deliver()
    driver.now += HOUR
    await driver.fire()
    driver.now += SECOND
    await driver.deliver()
    driver.now += MINUTE
    await driver.resolve(end=T0 + HOUR)
    driver.now += SECOND
    await driver.deliver()
    entries = await timeline(driver)
    assert [(entry.kind, entry.after) for entry in entries] == [
        ("fired", None),
        ("received", SECOND),
        ("accepted", SECOND),
        ("repeated", HOUR),
        ("accepted_again", SECOND),
        ("resolved", MINUTE),
        ("cleared", SECOND),
    ]
    assert entries[1].values == {"rule": "r", "target": "default"}
    assert entries[5].values == {"ends_at": T0 + HOUR}


async def test_what_waits_ends_with_its_next_try(driver):
    """The next try is last, and says why the last one failed; what a worker holds is being sent."""
    await driver.fire()
    (claim,) = await driver.claim()
    assert kinds(await timeline(driver)) == ["fired", "received", "sending"]
    driver.now += SECOND
    await driver.release(claim, after=MINUTE)
    *_, doubted, last = await timeline(driver)
    assert (doubted.kind, last.kind, last.at, last.after) == ("doubted", "next_try", driver.now + MINUTE, MINUTE)
    assert last.values == {"action": "report", "attempts": 1, "reason": "timeout", "detail": "no answer"}


async def test_what_is_overdue_is_to_come_all_the_same(driver):
    """An alarm that waits behind others is tried next, though its time has passed: last, and never a negative time."""
    await driver.fire()
    driver.now += HOUR
    await driver.fire()
    entries = await timeline(driver)
    assert kinds(entries) == ["fired", "received", "repeated", "next_try"]
    assert (entries[-1].at, entries[-1].after) == (T0, 0)


async def test_steps_stand_before_what_they_have_changed(driver):
    """A refusal and the rejection, a discard and the end have one time: the cause comes first."""
    await driver.fire()
    (claim,) = await driver.claim()
    await driver.refuse(claim)
    assert kinds(await timeline(driver)) == ["fired", "received", "refused", "rejected"]
    driver.now += SECOND
    await driver.ledger.records.edit("discard", ["a"], lambda *_: None, BY)
    *_, discard, discarded = await timeline(driver)
    assert (discard.kind, discard.values["who"], discard.values["origin"]) == ("discard", "oncall", "api 10.0.0.7")
    assert (discarded.kind, discarded.after, discarded.values["ended_by"]) == ("discarded", 0, "operator")


async def test_a_refused_report_of_an_open_alarm_leaves_it_open(driver):
    """AOM refuses a re-report: the alarm has no end, and its timeline shows the refusal."""
    await driver.fire()
    await driver.deliver()
    driver.now += HOUR
    await driver.fire()
    (claim,) = await driver.claim()
    await driver.ledger.due.settle([Settlement(claim.alarm, Refused("report", "refused", "no"))])
    assert kinds(await timeline(driver)) == ["fired", "received", "accepted", "refused", "repeated"]


async def test_an_alarm_that_has_resolved_before_its_report_is_complete(driver):
    """Its resolve is in its place by time."""
    await driver.fire()
    (claim,) = await driver.claim()
    driver.now += SECOND
    await driver.resolve(end=T0 + 1)
    driver.now += SECOND
    await driver.settle(claim, Reported(T0))
    assert kinds(await timeline(driver)) == ["fired", "received", "resolved", "accepted", "next_try"]


def test_every_finished_state_is_a_kind_and_the_column_is_wide_enough():
    """A new state needs its kind of entry, and each kind of step fits into the ledger."""
    assert set(_FINISHED) == {state for state, info in STATES.items() if info.is_finished}
    assert max(map(len, get_args(StepKind))) <= steps.c.kind.type.length
