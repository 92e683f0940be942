"""Alarms that only AOM holds come into the ledger: taken over without a report, or ended."""

import pickle

import pytest
from ledger_driver import REASSERT, T0, LedgerDriver

from bridge.clock import DAY, HOUR, MINUTE, SECOND
from bridge.event import Event, Mapped, alarm_id
from bridge.ledger import Adopted, ArrivedAlert, ListedChange, ParsedAlerts
from bridge.ledger.operations import queries
from bridge.notification import Alert, Group


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def place(request, tmp_path):
    """Where a fresh ledger lies."""
    return request.getfixturevalue("database") if request.param == "postgresql" else tmp_path / "ledger.db"


@pytest.fixture
async def driver(place):
    """A fresh ledger; in the end its counts must be those of its rows."""
    async with LedgerDriver(place) as made:
        yield made
        kept = {key: count for key, count in made.ledger.counts().items() if count}
        assert kept == await made.ledger._core.read(queries.counts)


async def newest(driver, name="a", source="s"):
    """Give the newest alarm of an alert."""
    return (await driver.ledger.audits.newest([(source, name)])).get((source, name))


HELD = {"event_name": "a", "event_severity": "Critical", "resource_id": "as-aom-holds-it", "only": "there"}


async def adopt(driver, *, id="aom-1", start=T0, drop=False, arrived=T0 - DAY, name="a", target="default"):  # noqa: A002 - AOM's own word
    """Take over what AOM holds of an alert that the API shows; give the effect."""
    bodies = (pickle.dumps([driver.arrival("firing", name, start=start, drop=drop)]),)
    held = Adopted(target, id, T0 - 2 * DAY, arrived, HELD)
    one = ListedChange("adopted", name, None, None, None, bodies=bodies, adopted=held)
    (effect,) = await driver.ledger.open_alarms.apply("s", None, [one], MINUTE)
    return effect


async def test_an_alarm_that_is_taken_over_is_not_reported(driver):
    """AOM holds it since it arrived there."""
    assert await adopt(driver) == "new"
    (row,) = await driver.rows()
    assert (row.state, row.opened_by, row.due_at) == ("reported", "adopted", None)
    assert (row.first_reported_at, row.reported_at) == (T0 - DAY, T0 - DAY)
    assert row.earliest_at == row.first_sent_start == T0 - 2 * DAY
    assert await driver.deliver() == []
    assert await adopt(driver) is None


async def test_an_alert_that_a_rule_drops_is_not_taken_over(driver):
    """It would never be reported; the effect says so."""
    assert await adopt(driver, drop=True) == "dropped"
    assert await driver.rows() == []


async def test_no_alarm_is_taken_over_that_the_ledger_knows(driver):
    """A webhook has come meanwhile."""
    await driver.fire("a")
    assert await adopt(driver) is None
    assert await driver.states() == ["report_due"]


async def test_a_repeat_of_what_was_taken_over_reports_nothing(driver):
    """Its webhook has the same start as the API: nothing blinks after a lost ledger."""
    await adopt(driver, arrived=T0)
    driver.now += MINUTE
    assert await driver.fire("a") == "repeat"
    assert await driver.deliver() == []


async def test_another_start_or_an_old_acceptance_reports_what_was_taken_over(driver):
    """As with every alarm that AOM holds."""
    await adopt(driver, arrived=T0)
    assert await driver.fire("a", start=T0 + SECOND) == "repeat"
    assert await driver.deliver() == ["report"]
    await adopt(driver, arrived=T0 - REASSERT, name="b")
    assert await driver.fire("b") == "repeat"
    assert await driver.deliver() == ["report"]


async def test_the_resolve_of_what_was_taken_over_clears_it(driver):
    """By webhook, like any other."""
    await adopt(driver)
    assert await driver.resolve("a", end=T0 + MINUTE) == "resolved"
    assert await driver.deliver() == ["clear"]
    assert await driver.states() == ["cleared"]


async def test_it_keeps_an_id_that_is_one_of_the_bridges(driver):
    """AOM may know the alarm by the id that a lost ledger has given it."""
    for name, id_, kept in (
        ("a", "0" * 32, True),
        ("c", "0" * 31 + "1-2", True),
        ("d", "42", False),
        ("f", "0" * 32 + "x", False),
        ("g", "", False),
    ):
        await adopt(driver, id=id_, name=name)
        row = await newest(driver, name)
        assert row.id == (id_ if kept else alarm_id(("s", name), T0)), name


async def test_its_metadata_is_frozen_as_aom_holds_it(driver):
    """A report under other metadata would be a second alarm there; annotations are those of the alert."""
    await adopt(driver)
    row = await newest(driver)
    assert row.severity == "Critical"
    assert driver.ledger.open_counts() == {("default", "Critical"): 1}
    await driver.fire("a", start=T0 + SECOND, note="later")
    (claim,) = await driver.claim()
    assert (claim.event.metadata, claim.event.annotations) == (HELD, {"message": "later"})


async def test_it_belongs_to_the_target_that_holds_it(driver):
    """Even where rules would send it to another one by now: its clear must go there."""
    await adopt(driver, target="other")
    assert (await newest(driver)).target == "other"
    await driver.resolve("a", end=T0 + MINUTE)
    assert driver.ledger.counts() == {("reported", "other"): 0, ("clear_due", "other"): 1}


def ending(name="a", *, start=T0 - DAY, end=T0):
    """Give the change that ends an alarm which only AOM holds."""
    alert = Alert(name, "resolved", {"alertname": name}, {}, start, end, "")
    mapped = Mapped(Event({**HELD, "event_type": "alarm"}, {}, HOUR), "default", "audit")
    arrival = ArrivedAlert("s", alert, Group("", "", {}, {}, {}, ""), lambda: mapped)
    return ListedChange("adopted", name, None, None, None, alerts=(ParsedAlerts([arrival]).map(0),))


async def test_an_unknown_alarm_that_is_ended_is_a_row_whose_clear_is_due(driver):
    """It says what opened it, and is cleared under AOM's own metadata."""
    assert await driver.ledger.open_alarms.apply("s", None, [ending()], MINUTE) == ["orphan"]
    (row,) = await driver.rows()
    assert (row.state, row.opened_by, row.rule, row.starts_at, row.ends_at) == (
        "clear_due",
        "adopted",
        "audit",
        T0 - DAY,
        T0,
    )
    (claim,) = await driver.claim()
    assert (claim.action, claim.event.metadata) == ("clear", {**HELD, "event_type": "alarm"})
    await driver.accept(claim)
    assert await driver.ledger.open_alarms.apply("s", None, [ending()], MINUTE) == [None]


async def test_an_unknown_alarm_is_not_ended_once_its_alert_has_an_alarm(driver):
    """A webhook has come meanwhile."""
    await driver.fire("a")
    assert await driver.ledger.open_alarms.apply("s", None, [ending()], MINUTE) == [None]
    assert await driver.states() == ["report_due"]
