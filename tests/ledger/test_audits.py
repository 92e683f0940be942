"""The ledger as it is compared with AOM's list: decisions about alarms, its own age, and who leads."""

import pytest
from ledger_driver import BY, T0, LedgerDriver

from bridge.clock import DAY, HOUR, MINUTE, SECOND
from bridge.ledger import AuditChange
from bridge.ledger.decisions import ClearedElsewhere, Doubtful, Haunted
from bridge.ledger.operations import queries


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


async def change(driver, decision, name="a", **noted):
    """Give a decision about the newest alarm of an alert as it is now."""
    one = await newest(driver, name)
    fields = {"seq": one.seq, "last_seen": one.last_seen, "state": one.state} | noted
    return AuditChange(one.key, decision=decision, **fields)


async def decide(driver, decision, name="a", **noted):
    """Apply a decision; say whether it was carried out."""
    (done,) = await driver.ledger.audits.apply([await change(driver, decision, name, **noted)])
    return done


async def reported(driver, name="a", **more):
    """Let AOM accept the report of a new alarm."""
    await driver.fire(name, **more)
    assert await driver.deliver() == ["report"]


async def ended(driver, name="a"):
    """Let an alarm's alert resolve that AOM holds: ten seconds after it fired."""
    await reported(driver, name)
    assert await driver.resolve(name, end=T0 + 10 * SECOND) == "resolved"


async def cleared(driver, name="a"):
    """Let AOM accept the report and the clear of a new alarm."""
    await ended(driver, name)
    assert await driver.deliver() == ["clear"]


ghost, elsewhere = Haunted(), ClearedElsewhere


@pytest.mark.parametrize("noted", [{"seq": 0}, {"last_seen": T0 - 1}, {"state": "clear_due"}])
async def test_a_decision_is_applied_only_to_the_row_as_it_was_noted(driver, noted):
    """It was made from a list that is older than what has changed it."""
    await cleared(driver)
    before = await driver.rows()
    assert not await decide(driver, ghost, **noted)
    assert await driver.rows() == before
    assert await decide(driver, ghost)


async def test_a_decision_about_an_alert_without_an_alarm_does_nothing(driver):
    """Its row was removed meanwhile."""
    unknown = AuditChange(("s", "nobody"), 1, T0, "cleared", ghost)
    assert await driver.ledger.audits.apply([unknown]) == [False]


async def test_a_firing_between_look_and_decision_wins(driver):
    """A new alarm of the alert is on its way, and the clear of the old one would meet it."""
    await cleared(driver)
    decision = await change(driver, ghost)
    driver.now += MINUTE
    assert await driver.fire("a", start=driver.now) == "new"
    assert await driver.ledger.audits.apply([decision]) == [False]
    assert await driver.states() == ["cleared", "report_due"]


async def test_many_decisions_are_applied_each_to_its_own_alarm(driver):
    """In several transactions; what has changed is left, the others are carried out."""
    names = [f"n{number}" for number in range(1_100)]
    await driver.put([driver.arrival("resolved", name, end=T0) for name in names])
    assert await driver.deliver() != []
    while await driver.deliver():
        pass
    rows = await driver.ledger.audits.newest([("s", name) for name in names])
    changes = [
        AuditChange(key, row.seq, row.last_seen, "cleared" if number % 2 else "expired", ghost)
        for number, (key, row) in enumerate(rows.items())
    ]
    assert await driver.ledger.audits.apply(changes) == [bool(number % 2) for number in range(len(names))]
    assert driver.ledger.counts()["clear_due", "default"] == len(names) // 2


async def test_two_decisions_about_one_row_change_it_once(driver):
    """AOM may show several alarms of an alert that is over, and one clear is for all of them."""
    await cleared(driver)
    decision = await change(driver, ghost)
    assert await driver.ledger.audits.apply([decision, decision]) == [True, False]
    assert await driver.states() == ["clear_due"]
    assert driver.ledger.counts()["clear_due", "default"] == 1


async def test_the_clear_of_a_ghost_is_due_and_is_confirmed_by_the_list(driver):
    """Its end stays that of its alert, and the row says why it is due again."""
    await cleared(driver)
    driver.now += HOUR
    assert await decide(driver, ghost)
    (row,) = await driver.rows()
    assert (row.state, row.phase, row.reason, row.finished_at) == ("clear_due", "confirming", "ghost", None)
    assert (row.due_at, row.ends_at) == (driver.now, T0 + 10 * SECOND)
    assert await driver.deliver() == ["clear"]
    assert (await newest(driver)).state == "cleared"


async def test_an_expired_ghost_ends_now(driver):
    """Nothing has ever said when its alert ended."""
    await reported(driver)
    driver.now += 3 * HOUR
    await driver.ledger.upkeep()
    assert await driver.states() == ["expired"]
    assert await decide(driver, ghost)
    (row,) = await driver.rows()
    assert (row.state, row.ends_at) == ("clear_due", driver.now)
    assert await driver.deliver() == ["clear"]


async def test_an_alarm_whose_clear_was_refused_is_cleared_as_a_ghost(driver):
    """Without the refusal, which is over."""
    await reported(driver)
    await driver.resolve("a", end=T0 + 10 * SECOND)
    (claim,) = await driver.claim()
    await driver.refuse(claim)
    assert await driver.states() == ["rejected"]
    assert await decide(driver, ghost)
    (row,) = await driver.rows()
    assert (row.state, row.reason, row.detail) == ("clear_due", "ghost", None)
    assert await driver.deliver() == ["clear"]


async def test_what_was_discarded_is_open_or_is_an_event_is_no_ghost(driver):
    """An operator wanted AOM to keep it; its alert fires; AOM has nothing to clear."""
    await driver.fire("a")
    await driver.ledger.records.edit("discard", ["a"], lambda *_: None, BY)
    await reported(driver, "b")
    await driver.fire("c")
    await driver.fire("e", kind="event")
    await driver.deliver()
    await driver.resolve("e", end=T0 + SECOND, kind="event")
    before = await driver.rows()
    assert {row.fingerprint: row.state for row in before if row.fingerprint in "ae"} == {
        "a": "discarded",
        "e": "cleared",
    }
    for name in "abce":
        assert not await decide(driver, ghost, name)
    assert await driver.rows() == before


async def test_an_alarm_that_was_cleared_elsewhere_is_reported_again(driver):
    """At once: its alert fires."""
    await reported(driver)
    driver.now += MINUTE
    assert await decide(driver, elsewhere("report"))
    (row,) = await driver.rows()
    assert (row.state, row.refresh_due, row.due_at) == ("reported", True, driver.now)
    assert await driver.deliver() == ["report"]
    assert await driver.fire("a") == "repeat"
    assert await driver.deliver() == []


async def test_an_alarm_that_waits_is_reported_by_the_next_firing(driver):
    """However young AOM's last acceptance is; until then nothing is due, and saying it twice changes nothing."""
    await reported(driver)
    assert await decide(driver, elsewhere("wait"))
    assert await driver.deliver() == []
    assert not await decide(driver, elsewhere("wait"))
    driver.now += SECOND
    assert await driver.fire("a") == "repeat"
    assert await driver.deliver() == ["report"]
    assert await driver.fire("a") == "repeat"
    assert await driver.deliver() == []


async def test_a_resolve_of_an_alarm_that_waits_is_cleared(driver):
    """The clear meets nothing, and the row is finished as ever."""
    await reported(driver)
    await decide(driver, elsewhere("wait"))
    assert await driver.resolve("a", end=T0 + SECOND) == "resolved"
    assert await driver.deliver() == ["clear"]


async def test_an_alarm_that_finishes_elsewhere_says_so_and_sends_nothing(driver):
    """The next firing of its alert is a new alarm."""
    await reported(driver)
    driver.now += MINUTE
    assert await decide(driver, elsewhere("finish"))
    (row,) = await driver.rows()
    assert (row.state, row.ended_by, row.ends_at, row.finished_at) == ("cleared", "elsewhere", T0 + MINUTE, T0 + MINUTE)
    assert await driver.deliver() == []
    assert not await decide(driver, elsewhere("finish"))
    driver.now += MINUTE
    assert await driver.fire("a", start=driver.now) == "new"
    assert await driver.deliver() == ["report"]


@pytest.mark.parametrize("then", ["report", "wait", "finish"])
async def test_nothing_is_done_about_what_is_not_open_or_is_due(driver, then):
    """A report or a clear is on the way, it is over, or AOM has nothing that could be cleared."""
    await ended(driver, "ends")
    await driver.claim()
    await reported(driver, "event", kind="event")
    await reported(driver, "again")
    await decide(driver, elsewhere("report"), "again")
    await driver.claim()
    await driver.fire("due")
    before = await driver.rows()
    for name in ("due", "event", "ends", "again"):
        assert not await decide(driver, elsewhere(then), name)
    assert await driver.rows() == before


async def test_an_alarm_with_duplicates_is_in_doubt(driver):
    """So that the sweep looks for them; it stays reported."""
    await reported(driver)
    driver.now += MINUTE
    assert await decide(driver, Doubtful(driver.now))
    (row,) = await driver.rows()
    assert (row.state, row.doubt_at, row.due_at) == ("reported", driver.now, None)
    assert await driver.ledger.audits.doubted_since("default", driver.now)
    assert not await driver.ledger.audits.doubted_since("default", driver.now + 1)
    assert not await driver.ledger.audits.doubted_since("other", 0)


async def test_open_are_the_alarms_that_aom_should_hold(driver):
    """Those without an end, reported or not yet; neither events nor what another target holds."""
    await reported(driver)
    await reported(driver, "e", kind="event")
    await ended(driver, "c")
    await driver.fire("b")
    found = {one.fingerprint: one for one in await driver.ledger.audits.open_at("default")}
    assert {name: (one.state, one.reported_at) for name, one in found.items()} == {
        "a": ("reported", T0),
        "b": ("report_due", None),
    }
    assert await driver.ledger.audits.open_at("other") == []


async def test_the_newest_alarm_of_each_alert_is_given(driver):
    """The open one where there is one, else the last that was finished."""
    await cleared(driver)
    await ended(driver, "b")
    driver.now += MINUTE
    await driver.fire("a", start=driver.now)
    found = await driver.ledger.audits.newest([("s", "a"), ("s", "b"), ("s", "nobody"), ("other", "a")])
    assert {key[1]: row.state for key, row in found.items()} == {"a": "report_due", "b": "clear_due"}
    assert await driver.ledger.audits.newest([]) == {}


async def test_a_new_ledger_knows_of_alarms_since_it_was_first_asked(place):
    """And keeps that: an alarm that is older cannot be its own."""
    async with LedgerDriver(place) as driver:
        driver.now += SECOND
        assert await driver.ledger.audits.created_at() == T0 + SECOND
        driver.now += DAY
        assert await driver.ledger.audits.created_at() == T0 + SECOND
    async with LedgerDriver(place) as driver:
        assert await driver.ledger.audits.created_at() == T0 + SECOND


async def test_an_old_ledger_knows_of_alarms_since_its_first_one(driver):
    """One that was made by an earlier version has not noted when."""
    await driver.fire("a")
    driver.now += HOUR
    await driver.fire("b")
    driver.now += DAY
    assert await driver.ledger.audits.created_at() == T0


async def test_one_of_several_bridges_audits_a_target(driver):
    """Another one takes over when the lease is over or is given up; when an audit ended is kept."""
    audits = driver.ledger.audits
    assert await audits.lead("t", "one", MINUTE, None)
    assert not await audits.lead("t", "two", MINUTE, None)
    assert await audits.lead("other", "two", MINUTE, None)
    assert await audits.ended(["t", "other"]) == {}
    assert await audits.lead("t", "one", MINUTE, T0)
    assert await audits.lead("t", "one", MINUTE, None)
    assert await audits.ended(["t", "other", "unknown"]) == {"t": T0}
    driver.now += MINUTE + 1
    assert await audits.lead("t", "two", MINUTE, None)
    await audits.give_up("t", "one")
    assert not await audits.lead("t", "one", MINUTE, None)
    await audits.give_up("t", "two")
    assert await audits.lead("t", "one", MINUTE, None)
    assert await audits.ended(["t"]) == {"t": T0}


async def test_the_lead_of_a_target_is_not_that_of_a_source(driver):
    """They may have the same name."""
    assert await driver.ledger.audits.lead("default", "one", MINUTE, None)
    assert await driver.ledger.open_alarms.lead("default", "two", MINUTE)
