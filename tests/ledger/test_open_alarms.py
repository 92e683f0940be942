"""The ledger as it is compared with Alertmanager: changes are applied to the alarm for which they were decided."""

import asyncio
import pickle

import pytest
from ledger_driver import BY, T0, LedgerDriver

from bridge.clock import DAY, HOUR, MINUTE, SECOND
from bridge.ledger import Knowledge, ListedChange, ListedDifference, SourceKnowledge


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def place(request, tmp_path):
    """Where a fresh ledger lies."""
    return request.getfixturevalue("database") if request.param == "postgresql" else tmp_path / "ledger.db"


@pytest.fixture
async def driver(place):
    """A fresh ledger."""
    async with LedgerDriver(place) as made:
        yield made


async def ending(driver, name="a", *, cause="vanished", ends_at=None, **noted):
    """Give the change that ends the open alarm of an alert as it is now."""
    held = {one.fingerprint: one for one in await driver.ledger.open_alarms.held("s")}
    one = held[name]
    at = one.newest_fired_at + 1 if ends_at is None else ends_at
    fields = {"seq": one.seq, "last_seen": one.last_seen, "state": one.state} | noted
    return ListedChange(cause, name, **fields, ends_at=at)


async def apply(driver, *changes, max_age=MINUTE):
    """Take the lead and apply changes; give the effect of each."""
    await driver.ledger.open_alarms.lead("s", "me", MINUTE)
    return await driver.ledger.open_alarms.apply("s", "me", changes, max_age)


async def test_an_open_alarm_is_ended_and_says_why(driver):
    """Its clear is due, as after a resolve by webhook."""
    await driver.fire("a")
    await driver.deliver()
    assert await apply(driver, await ending(driver)) == ["resolved"]
    (row,) = await driver.rows()
    assert (row.state, row.ended_by, row.ends_at) == ("clear_due", "vanished", T0 + 1)
    assert await driver.deliver() == ["clear"]


async def test_an_alarm_that_a_webhook_has_touched_since_is_left_alone(driver):
    """It was decided for another alarm, or for the same one before its alert fired again."""
    await driver.fire("a")
    change = await ending(driver)
    driver.now += SECOND
    await driver.fire("a")
    assert await apply(driver, change) == [None]
    assert await driver.states() == ["report_due"]
    assert await apply(driver, await ending(driver, state="reported")) == [None]


async def test_a_change_that_comes_too_late_is_not_applied(driver):
    """The answers that it follows from are too old by then."""
    await driver.fire("a")
    change = await ending(driver)
    with pytest.raises(Exception, match="did not commit in time"):
        await apply(driver, change, max_age=0)
    assert await driver.states() == ["report_due"]


async def test_a_change_by_a_bridge_that_has_lost_the_lead_is_not_applied(driver):
    """It may have stood still with old answers; a lease that has ended and that no other bridge took is no loss."""
    await driver.fire("a")
    alarms, change = driver.ledger.open_alarms, await ending(driver)
    assert await alarms.apply("s", "one", [change], MINUTE) == [None]
    assert await alarms.lead("s", "one", SECOND)
    driver.now += MINUTE
    assert await alarms.lead("s", "two", SECOND)
    assert await alarms.apply("s", "one", [change], MINUTE) == [None]
    assert await driver.states() == ["report_due"]
    driver.now += MINUTE
    assert await alarms.apply("s", "two", [change], MINUTE) == ["resolved"]


async def test_the_resolve_of_an_alarm_that_was_ended_before_it_is_its_own(driver):
    """It corrects the end, and no second row says that the same alert ended."""
    await driver.fire("a")
    await driver.deliver()
    await apply(driver, await ending(driver))
    driver.now += MINUTE
    assert await driver.resolve("a", end=T0 + 30 * SECOND) == "duplicate"
    (row,) = await driver.rows()
    assert (row.ends_at, row.ended_by) == (T0 + 30 * SECOND, None)
    assert await driver.resolve("a", end=T0 + 40 * SECOND) == "orphan"


async def test_a_stale_resolve_corrects_nothing(driver):
    """It is of an earlier firing: what the API has shown says more."""
    await driver.fire("a", start=T0 - MINUTE)
    await driver.fire("a", start=T0)
    await apply(driver, await ending(driver))
    assert await driver.resolve("a", start=T0 - MINUTE, end=T0 - SECOND) == "duplicate"
    (row,) = await driver.rows()
    assert row.ended_by == "vanished"


async def test_an_alert_that_fires_again_after_its_alarm_was_ended_is_a_new_alarm(driver):
    """As after any end."""
    await driver.fire("a")
    await driver.deliver()
    await apply(driver, await ending(driver))
    driver.now += MINUTE
    assert await driver.fire("a") == "new"
    assert await driver.deliver() == ["clear"]


def raising(driver, *dropped):
    """Give the change that raises an alert; ``dropped``: for each receiver, whether a rule drops it there."""
    bodies = tuple(pickle.dumps([driver.arrival("firing", "a", drop=drop)]) for drop in dropped)
    return ListedChange("missing", "a", None, None, None, bodies=bodies)


async def test_an_alert_without_an_alarm_is_raised_once(driver):
    """The first receiver for which no rule drops it counts; a second change finds its alarm."""
    change = raising(driver, 1, 0)
    assert await apply(driver, change) == ["new"]
    (row,) = await driver.rows()
    assert (row.state, row.opened_by) == ("report_due", "missing")
    assert await apply(driver, change) == [None]


async def test_an_alert_that_every_rule_drops_is_not_raised(driver):
    """The answer says so, so that it is not tried in each round."""
    dropped = raising(driver, 1, 1)
    assert await apply(driver, dropped) == ["dropped"]
    assert await driver.rows() == []


async def test_a_rejected_alarm_is_held_until_its_alert_ends(driver):
    """AOM may hold an earlier report of it, and a repeat must find it."""
    await driver.fire("a")
    (claim,) = await driver.claim()
    await driver.refuse(claim)
    (one,) = await driver.ledger.open_alarms.held("s")
    assert one.state == "rejected"
    assert await apply(driver, await ending(driver)) == ["resolved"]
    assert await driver.ledger.open_alarms.held("s") == []


async def test_what_an_operator_has_ended_says_so(driver):
    """It is not raised again while its alert is still listed."""
    await driver.fire("a")
    await driver.ledger.records.edit("discard", ["a"], lambda *_: None, BY)
    ended = await driver.ledger.open_alarms.ended("s", ["a", "unknown"])
    assert {name: (one.state, one.ended_by) for name, one in ended.items()} == {"a": ("discarded", "operator")}


async def test_what_was_learnt_is_kept_and_forgotten_again(place):
    """Validity and strikes of alerts, receivers and longest validity of the source outlive the process."""
    async with LedgerDriver(place) as driver:
        alarms = driver.ledger.open_alarms
        known = Knowledge(240_000, is_quiet=True, strikes=2, cleared_at=T0)
        await alarms.learn("s", {"a": known, "b": Knowledge()}, longest_validity=HOUR)
        await alarms.learn("s", {"b": None}, longest_validity=MINUTE)
        alarms.note_receiver("s", "team/aom")
        await alarms.store_differences("s", {"a": ListedDifference("vanished", T0, None, "coverage")})
        await driver.ledger._core.write(lambda _connection: None)
    async with LedgerDriver(place) as driver:
        alarms = driver.ledger.open_alarms
        assert await alarms.knowledge("s") == {"a": known}
        assert await alarms.source_knowledge("s") == SourceKnowledge(frozenset({"team/aom"}), HOUR)
        assert (await alarms.knowledge("other"), await alarms.source_knowledge("other")) == ({}, SourceKnowledge())
        assert await alarms.differences("s") == {"a": ListedDifference("vanished", T0, None, "coverage")}


async def test_between_the_transactions_that_store_what_was_learnt_a_webhook_is_taken(driver):
    """A first round learns of every alert at once, and every alert may differ."""
    alarms, names = driver.ledger.open_alarms, [f"a{number}" for number in range(3_000)]
    learning = asyncio.create_task(alarms.learn("s", dict.fromkeys(names, Knowledge(HOUR))))
    differing = ListedDifference("missing", T0, T0, "webhook")
    storing = asyncio.create_task(alarms.store_differences("s", dict.fromkeys(names, differing)))
    await asyncio.sleep(0)
    await driver.fire("a")
    assert not learning.done()
    assert not storing.done()
    await asyncio.gather(learning, storing)
    assert len(await alarms.knowledge("s")) == len(await alarms.differences("s")) == len(names)


async def test_one_of_several_bridges_leads(driver):
    """Another one takes over when the lease is over, or when it is given up."""
    alarms = driver.ledger.open_alarms
    assert await alarms.lead("s", "one", MINUTE)
    assert not await alarms.lead("s", "two", MINUTE)
    assert await alarms.lead("other", "two", MINUTE)
    driver.now += MINUTE
    assert await alarms.lead("s", "one", MINUTE)
    driver.now += MINUTE + 1
    assert await alarms.lead("s", "two", MINUTE)
    await alarms.give_up("s", "one")
    assert not await alarms.lead("s", "one", MINUTE)
    await alarms.give_up("s", "two")
    assert await alarms.lead("s", "one", MINUTE)


async def test_a_held_alarm_has_what_the_comparison_needs(driver):
    """Its last firing, AOM's last acceptance and its timeout; none of another source."""
    await driver.fire("a", start=T0 - SECOND)
    await driver.deliver()
    await driver.put([driver.arrival("firing", "a", source="other")])
    (one,) = await driver.ledger.open_alarms.held("s")
    assert (one.newest_starts_at, one.last_seen, one.reported_at, one.timeout) == (T0 - SECOND, T0, T0, HOUR)
    assert one.timeout < DAY
