"""The history of an alarm: what was done by hand, AOM's refusals and failures, and what AOM's list led to."""

import pytest
from ledger_driver import BY, T0, LedgerDriver

from bridge.clock import HOUR, SECOND
from bridge.errors import LedgerUnavailableError
from bridge.ledger import AuditChange, By, OfflineLedger, Settlement, Step
from bridge.ledger.decisions import (
    ClearedElsewhere,
    Confirming,
    Doubtful,
    Haunted,
    Refused,
    Rescheduled,
    Unreadable,
)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def place(request, tmp_path):
    """Where a fresh ledger lies."""
    return request.getfixturevalue("database") if request.param == "postgresql" else tmp_path / "ledger.db"


@pytest.fixture
async def driver(place):
    """A fresh ledger on each database."""
    async with LedgerDriver(place) as made:
        yield made


async def steps(driver, name="a"):
    """Give the steps of the newest alarm of an alert."""
    return (await driver.ledger.records.show(name)).steps


async def told(driver, name="a"):
    """Give their kinds and texts."""
    return [(step.kind, step.text) for step in await steps(driver, name)]


async def edit(driver, what, *names, by=BY):
    """Edit alarms that no rule maps anew; give the results."""
    return await driver.ledger.records.edit(what, names, lambda *_: None, by)


async def decide(driver, decision):
    """Claim the one alarm that is due, and settle it."""
    (claim,) = await driver.claim()
    return await driver.settle(claim, decision)


def later(driver, phase="retrying", reason="unavailable", detail="503 busy", **more):
    """Give a decision after a try that was no success; the alarm is due again at once."""
    return Rescheduled(driver.now, phase, reason, detail, **more)


async def test_each_change_by_hand_is_kept_with_who_from_where_when_and_what(driver):
    """Of each alarm that was changed one step is kept, the oldest first; what was refused is none."""
    for name in ("a", "b"):
        await driver.fire(name)
    await edit(driver, "retry", "a")
    driver.now += SECOND
    (done, refused) = await edit(driver, "discard", "a", "nothing", by=By("eve", "command line on h"))
    assert (done.done, refused.done) == (True, False)
    assert await steps(driver) == [
        Step(T0, "retry", "oncall", "api 10.0.0.7", "it was waiting, and is tried now"),
        Step(T0 + SECOND, "discard", "eve", "command line on h", "discarded; nothing is sent to AOM"),
    ]
    assert await steps(driver, "b") == []
    await edit(driver, "discard", "a")
    assert len(await steps(driver)) == 2


async def test_a_change_that_is_not_committed_leaves_no_step(driver, monkeypatch):
    """The step is in the transaction of the change: where that fails, both are missing."""
    await driver.fire()
    check, calls = driver.ledger._core.database.check, []

    def failing():
        calls.append(1)
        if len(calls) == 2:  # after the change, and before the commit
            raise LedgerUnavailableError("gone")
        check()

    monkeypatch.setattr(driver.ledger._core.database, "check", failing)
    with pytest.raises(LedgerUnavailableError):
        await edit(driver, "discard", "a")
    monkeypatch.undo()
    assert (await driver.states(), await steps(driver)) == (["report_due"], [])


async def test_a_retry_of_all_keeps_a_step_of_each_alarm(driver):
    """Not one for all of them."""
    for name in ("a", "b", "c"):
        await driver.fire(name)
        await driver.resolve(name, end=T0 + 1)
    for claim in await driver.claim():
        await driver.accept(claim)
    for claim in await driver.claim():
        await driver.refuse(claim)
    await driver.ledger.records.retry_all(None, None, lambda *_: None, BY)
    for name in ("a", "b", "c"):
        assert [step.kind for step in await steps(driver, name)] == ["refused", "retry"]


async def test_what_the_command_line_changes_is_kept_and_read_beside_the_bridge(driver):
    """`OfflineLedger` writes the steps of what it changes, and shows them and those of the bridge."""
    await driver.fire()
    offline = OfflineLedger(driver.url, lambda: driver.now)
    by = By("eve@h", "command line on h")
    offline.edit("retry", ["a"], lambda *_: None, by)
    await edit(driver, "discard", "a")
    expected = [("retry", "eve@h", "command line on h"), ("discard", "oncall", "api 10.0.0.7")]
    assert [(step.kind, step.who, step.origin) for step in offline.show("a").steps] == expected
    assert await steps(driver) == offline.show("a").steps


async def test_a_name_that_no_database_stores_is_kept_without_what_it_cannot_store(driver):
    """A zero byte, half a character or 300 of them in a name never keep an operator from a change."""
    await driver.fire()
    (done,) = await edit(driver, "discard", "a", by=By("e\0ve\udcff" + "x" * 300, "o" * 300))
    assert done.done
    (step,) = await steps(driver)
    assert (step.who[:4], len(step.who), len(step.origin)) == ("eve?", 255, 255)


async def test_a_refusal_for_good_is_kept_in_aoms_words(driver):
    """AOM's code, its words and the trace id stay readable after a retry has been accepted."""
    await driver.fire()
    await decide(driver, Refused("report", "refused", "400 AOM.0400 no (trace f00)"))
    assert await told(driver) == [("refused", "AOM refused the report for good: 400 AOM.0400 no (trace f00)")]
    assert (await steps(driver))[0].who is None


async def test_reports_and_clears_that_aom_accepts_run_no_statement_for_the_history(tmp_path):
    """Put, claim and settle of the common path never name the table of the steps."""
    said = []
    async with LedgerDriver(tmp_path / "l.db") as driver:
        connection = driver.ledger._core.transactions._executor._connected().connection.driver_connection
        connection.set_trace_callback(said.append)
        for _ in range(2):
            await driver.fire()
            await driver.deliver()
            await driver.resolve()
            await driver.deliver()
        assert any("UPDATE alarms" in text for text in said)
        assert [text for text in said if "ledger_steps" in text] == []
        await edit(driver, "clear", "a")
        assert [text for text in said if "ledger_steps" in text] != []
        connection.set_trace_callback(None)


async def test_an_outage_adds_one_step_however_often_it_is_tried(driver):
    """The first failed try is kept, the next ones are not; once AOM has accepted, a failure is a new one."""
    await driver.fire()
    for _ in range(5):
        await decide(driver, later(driver))
    assert await told(driver) == [("failed", "a try failed: 503 busy")]
    await driver.deliver()
    await driver.resolve(end=T0 + 1)
    await decide(driver, later(driver, detail="504 slow"))
    assert [text for _, text in await told(driver)] == ["a try failed: 503 busy", "a try failed: 504 slow"]


async def test_what_was_not_sent_is_not_the_first_failure(driver):
    """A try for which the lease left no time says nothing about AOM, and hides no failure after it."""
    await driver.fire()
    await decide(driver, later(driver, reason="not_sent", detail="no time"))
    assert await told(driver) == []
    await decide(driver, later(driver))
    assert await told(driver) == [("failed", "a try failed: 503 busy")]


@pytest.mark.parametrize(
    ("phase", "refused", "expected"),
    [
        ("refused_once", "clear", ("refused", "AOM refused the clear, and its list is asked: no")),
        ("paused", "clear", ("refused", "AOM refused the clear, as it refuses all others now: no")),
        ("paused", None, ("failed", "a try failed: no")),
        ("unseen", None, ("failed", "a try failed: no")),
    ],
)
async def test_the_first_of_several_tries_that_end_alike_is_kept(driver, phase, refused, expected):
    """A refusal that is not final and a wait for AOM's list are one step each, however long they last."""
    await driver.fire()
    await driver.deliver()
    await driver.resolve(end=T0 + 1)
    for _ in range(3):
        await decide(driver, later(driver, phase, "refused", "no", refused=refused))
    assert await told(driver) == [expected]


@pytest.mark.parametrize(
    "decision", [Rescheduled(T0, "not_listed", "not_listed", "d"), Confirming(T0, "d", ("x",), T0)]
)
async def test_the_ordinary_waits_of_a_clear_are_no_steps(driver, decision):
    """A list that lags, and a clear that is looked up once more, are the rule."""
    await driver.fire()
    await driver.deliver()
    await driver.resolve(end=T0 + 1)
    await decide(driver, decision)
    assert await told(driver) == []


async def test_a_refusal_that_does_not_count_is_said(driver):
    """Where the target turns out to refuse everything, the rejected alarm is due again, and its history says why."""
    await driver.fire()
    (claim,) = await driver.claim()
    await driver.refuse(claim)
    await driver.ledger.due.requeue([claim.alarm], "report", T0)
    await driver.ledger.due.requeue([claim.alarm], "report", T0)
    text = "AOM refuses every report in the same way, so its refusal does not count: it is due again"
    assert (await told(driver))[1:] == [("refused", text)]


async def test_an_alarm_that_cannot_be_sent_says_so(driver):
    """Its stored event is damaged."""
    await driver.fire()
    await decide(driver, Unreadable("the stored event: no JSON"))
    assert await told(driver) == [("failed", "it cannot be sent: the stored event: no JSON")]


async def test_the_newest_refusals_of_an_alarm_are_kept_and_all_changes_by_hand(driver):
    """An alarm that is refused again and again keeps 20 refusals; no change by hand and no other alarm's step goes."""
    for name in ("a", "b"):
        await driver.fire(name)
    claims = await driver.claim()
    for claim in claims:
        await driver.refuse(claim)
    for number in range(25):
        await driver.ledger.due.requeue([claims[0].alarm], "report", T0)
        if number < 3:
            await edit(driver, "retry", "a")
        await decide(driver, Refused("report", "refused", str(number)))
    kept = await told(driver)
    refused = [text for kind, text in kept if kind == "refused"]
    assert (len(refused), refused[-1]) == (20, "AOM refused the report for good: 24")
    assert [kind for kind, _ in kept].count("retry") == 3
    await driver.ledger.due.requeue([claim.alarm for claim in claims], "report", T0)
    refusal = Refused("report", "refused", "no")
    await driver.ledger.due.settle([Settlement(claim.alarm, refusal) for claim in await driver.claim()])
    assert (len(await steps(driver)), len(await steps(driver, "b"))) == (23, 3)


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (ClearedElsewhere("report"), "its alert fires, and it is reported again"),
        (ClearedElsewhere("wait"), "the next firing of its alert reports it again"),
        (ClearedElsewhere("finish"), "it ended there, and so it ends here"),
        (Doubtful(T0), "all but one are cleared"),
        (Haunted(), "although it was cleared at 2027-01-15T08:00:00.000Z: its clear is due again"),
    ],
)
async def test_what_aoms_list_led_to_is_kept(driver, decision, words):
    """Each change that follows from AOM's own list is a step, and a decision that changes nothing is none."""
    await driver.fire()
    await driver.deliver()
    if decision == Haunted():
        await driver.resolve(end=T0 + 1)
        await driver.deliver()
    driver.now += HOUR
    (row,) = await driver.rows()
    change = AuditChange(row.key, row.seq, row.last_seen, row.state, decision)
    outdated = AuditChange(row.key, row.seq, row.last_seen - 1, row.state, decision)
    assert await driver.ledger.audits.apply([outdated, change]) == [False, True]
    (step,) = await steps(driver)
    assert (step.at, step.kind) == (driver.now, "audit")
    assert words in step.text
