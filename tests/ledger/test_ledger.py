"""The ledger: every row of its table of rules, its promises about commits, order and holders."""

import asyncio
import pickle
import time

import msgspec
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from ledger_driver import GROUP, READER, REASSERT, T0, ArrivalsReader, LedgerDriver, notification, opened
from ledger_rows import listing

from bridge.clock import HOUR, MINUTE
from bridge.errors import LedgerFullError, LedgerStartError, LedgerUnavailableError, PayloadError, UnknownAlarmError
from bridge.ledger import AbandonedError, Alarm, ArrivedAlert, IncomingNotification
from bridge.ledger.incoming import ExpiredError, OpenedNotification
from bridge.ledger.operations import queries
from bridge.ledger.operations.put import Put, PutParameters, Refusal, next_free, put, put_one_by_one
from bridge.ledger.storage import rows
from bridge.ledger.storage.database import database as connect
from bridge.ledger.storage.schema import alarms, metadata


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("sqlite by a writer process", marks=pytest.mark.real),
        pytest.param("postgresql", marks=pytest.mark.real),
        pytest.param("postgresql by a writer process", marks=pytest.mark.real),
    ]
)
def place(request, tmp_path, monkeypatch):
    """Where a fresh ledger lies: every promise is shown on both databases, and from both processes."""
    monkeypatch.setattr(LedgerDriver, "has_writer", "process" in request.param)
    return request.getfixturevalue("database") if "postgresql" in request.param else tmp_path / "ledger.db"


@pytest.fixture
async def driver(place):
    """A fresh ledger."""
    async with LedgerDriver(place) as made:
        yield made


async def test_a_firing_alert_becomes_a_new_alarm_due_to_be_reported(driver):
    """Firing, nothing open: a new alarm, `report_due`, and due at once."""
    assert await driver.fire() == "new"
    assert await driver.states() == ["report_due"]
    assert [claim.action for claim in await driver.claim()] == ["report"]


async def test_a_firing_alert_that_a_rule_drops_leaves_nothing(driver):
    """Firing, nothing open, dropped by a rule: no row."""
    assert await driver.fire(drop=True) == "dropped"
    assert await driver.rows() == []


async def test_a_repeat_touches_last_seen_and_annotations_only(driver):
    """Firing, an open alarm: a repeat; today's annotations, the frozen metadata, nothing due."""
    await driver.fire(note="first")
    await driver.deliver()
    driver.now += MINUTE
    assert await driver.fire(note="second") == "repeat"
    (view,) = await driver.ledger._core.read(listing)
    assert view.alarm.last_seen == driver.now
    assert view.event.annotations == {"message": "second"}
    assert await driver.claim() == []


async def test_a_repeat_is_reported_again_after_reassert_after(driver):
    """Firing, an open alarm whose last acceptance is older than `reassert_after`: reported once more."""
    await driver.fire()
    await driver.deliver()
    driver.now += REASSERT - 1
    await driver.fire()
    assert await driver.claim() == []
    driver.now += 1
    await driver.fire()
    assert await driver.deliver() == ["report"]
    assert await driver.states() == ["reported"]
    assert await driver.claim() == []


async def test_a_repeat_with_another_start_is_reported_again_with_its_own_start(driver):
    """Firing, an open alarm last reported with another `startsAt`: reported again with the firing's own."""
    await driver.fire(start=T0 - 100)
    await driver.deliver()
    assert await driver.fire(start=T0 - 50) == "repeat"
    (claim,) = await driver.claim()
    assert (claim.action, claim.alarm.fired_at) == ("report", T0 - 50)
    await driver.accept(claim)
    assert await driver.claim() == []


async def test_a_start_that_changes_during_the_report_is_not_forgotten(driver):
    """A repeat with another start, arriving while the report is in flight, is reported after it."""
    await driver.fire(start=T0 - 100)
    (claim,) = await driver.claim()
    await driver.fire(start=T0 - 50)
    await driver.accept(claim)
    (again,) = await driver.claim()
    assert again.alarm.starts_at == T0 - 50


async def test_an_event_is_never_reported_twice(driver):
    """A repeat of an accepted `event_type: event` is recognised, and not shown a second time."""
    await driver.fire(kind="event")
    await driver.deliver()
    driver.now += 2 * REASSERT
    assert await driver.fire(kind="event", start=T0 + 5) == "repeat"
    assert await driver.claim() == []


async def test_the_resolve_of_an_event_finishes_it_without_a_push(driver):
    """`event_type: event` has no clear: its resolve finishes the row, also when its report is still due."""
    await driver.fire("a", kind="event")
    await driver.deliver()
    await driver.resolve("a")
    await driver.fire("b", kind="event")
    await driver.resolve("b", end=T0 + 1)
    assert await driver.states() == ["cleared", "report_due"]
    assert await driver.deliver() == ["report"]
    assert await driver.states() == ["cleared", "cleared"]
    assert await driver.claim() == []


async def test_a_rejected_alarm_is_tried_again_only_when_its_event_changed(driver):
    """Firing, the last one rejected and not resolved: a repeat; due again only if the mapped event changed."""
    await driver.fire(note="poison")
    (claim,) = await driver.claim()
    await driver.refuse(claim)
    assert await driver.states() == ["rejected"]
    assert await driver.fire(note="poison") == "repeat"
    assert await driver.claim() == []
    assert await driver.fire(note="cured") == "repeat"
    (again,) = await driver.claim()
    assert again.event.annotations == {"message": "cured"}
    assert len(await driver.rows()) == 1


async def test_a_resolve_clears_after_its_report_even_if_both_are_due(driver):
    """Resolved, an open alarm: the clear goes out after its report, so AOM's history is complete."""
    await driver.fire()
    assert await driver.resolve(end=T0 + 5) == "resolved"
    assert await driver.deliver() == ["report"]
    assert await driver.deliver() == ["clear"]
    assert await driver.states() == ["cleared"]


async def test_a_resolve_during_the_report_waits_for_its_settle(driver):
    """A resolve that arrives while the report is in flight never overtakes it."""
    await driver.fire()
    (claim,) = await driver.claim()
    await driver.resolve(end=T0 + 5)
    assert await driver.claim("other") == []
    await driver.accept(claim)
    assert await driver.deliver() == ["clear"]


async def test_a_stale_resolve_of_a_ha_pair_is_ignored(driver):
    """Resolved, ended before the newest firing began and with another start: stale, the alarm stays open."""
    await driver.fire(start=T0 - 50_000)
    driver.now = T0 + 3_000
    assert await driver.resolve(start=T0 - 100_000, end=T0 - 60_000) == "stale"
    assert await driver.states() == ["report_due"]


async def test_a_resolve_with_an_earlier_or_later_start_than_its_firing_is_not_stale(driver):
    """`startsAt` is no identity: a resolve that ended after the firing began counts whatever its start is."""
    for index, start in enumerate((T0 - 500, T0 + 500)):
        name = f"a{index}"
        await driver.fire(name, start=T0)
        assert await driver.resolve(name, start=start, end=T0 + 1_000) == "resolved"


async def test_a_future_start_counts_as_its_time_of_receipt(driver):
    """A firing that claims to begin in an hour is resolved in ten seconds all the same."""
    await driver.fire(start=T0 + HOUR)
    driver.now += 10_000
    assert await driver.resolve(start=T0, end=T0 + 10_000) == "resolved"


async def test_the_newest_firing_decides_what_is_stale_not_the_last_to_arrive(driver):
    """A stale firing of the old episode, late from the other peer, does not let its stale resolve through."""
    await driver.fire(start=T0 - 10_000)
    await driver.fire(start=T0 - 90_000)
    assert await driver.resolve(start=T0 - 90_000, end=T0 - 50_000) == "stale"


async def test_a_resolve_of_a_rejected_alarm_clears_only_what_aom_had_accepted(driver):
    """Resolved, rejected: `ends_at` is set; nothing is sent for an alarm that AOM never took."""
    await driver.fire()
    (claim,) = await driver.claim()
    await driver.refuse(claim)
    assert await driver.resolve(end=T0 + 5) == "resolved"
    (row,) = await driver.rows()
    assert (row.state, row.ends_at) == ("rejected", T0 + 5)
    assert await driver.claim() == []
    assert await driver.fire(start=T0 + 10) == "new"


async def test_a_refused_re_report_leaves_the_alarm_reported(driver):
    """AOM holds the alarm: when it refuses the re-report, the row stays `reported`, and its resolve clears."""
    await driver.fire()
    await driver.deliver()
    await driver.fire(start=T0 + 1)
    (claim,) = await driver.claim()
    await driver.refuse(claim)
    assert await driver.states() == ["reported"]
    await driver.resolve(end=T0 + 9)
    assert await driver.deliver() == ["clear"]


async def test_a_resolve_that_comes_twice_is_a_duplicate(driver):
    """Resolved, `ends_at` not after the last alarm's: duplicate, before and after the clear."""
    await driver.fire()
    await driver.resolve(end=T0 + 5)
    assert await driver.resolve(end=T0 + 5) == "duplicate"
    await driver.deliver()
    await driver.deliver()
    assert await driver.resolve(end=T0 + 4) == "duplicate"


async def test_an_orphan_resolve_is_born_clear_due(driver):
    """Resolved, never seen firing: mapped, and a row born `clear_due`; a drop rule drops it."""
    assert await driver.resolve("x", drop=True) == "dropped"
    assert await driver.resolve("a") == "orphan"
    (row,) = await driver.rows()
    assert (row.state, row.ends_at) == ("clear_due", T0)
    assert await driver.deliver() == ["clear"]


async def test_a_later_resolve_after_a_cleared_alarm_is_an_orphan(driver):
    """A flap that Alertmanager never told us of ends with a resolve: it clears what AOM may hold."""
    await driver.fire()
    await driver.resolve(end=T0 + 5)
    await driver.deliver()
    await driver.deliver()
    driver.now = T0 + 99
    assert await driver.resolve(start=T0 + 50, end=T0 + 99) == "orphan"


async def test_a_re_fire_waits_behind_the_unsent_clear(driver):
    """Firing while the last alarm's clear is due: a new alarm, even with the same start, served after it."""
    await driver.fire()
    await driver.resolve(end=T0 + 5)
    assert await driver.fire() == "new"
    rows = await driver.rows()
    assert [row.state for row in rows] == ["report_due", "report_due"]
    assert rows[1].id == f"{rows[0].id}-2"
    assert [await driver.deliver() for _ in range(4)] == [["report"], ["clear"], ["report"], []]


async def test_equal_starts_never_give_equal_ids(driver):
    """Each episode has an id of its own, also the third one with the same start."""
    for _ in range(3):
        await driver.fire()
        await driver.resolve(end=driver.now)
        driver.now += 10
    ids = [row.id for row in await driver.rows()]
    assert ids == [ids[0], f"{ids[0]}-2", f"{ids[0]}-3"]


async def test_an_alarm_whose_id_begins_another_one_is_found_by_it(driver):
    """A whole id names its own alarm, also where a later one has the same with a number; a beginning of both, none."""
    for _ in range(3):
        await driver.fire()
        driver.now += 1
        await driver.resolve()
    for row in await driver.rows():
        view = await driver.ledger._core.read(lambda c, own_id=row.id: queries.show(c, own_id))
        assert view.alarm == row
    begin = row.id[:31]
    ids = [f"{row.id} of s" for row in reversed(await driver.rows())]
    with pytest.raises(UnknownAlarmError, match=f"^more than one alarm has this name: {', '.join(ids)}. Fix: "):
        await driver.ledger._core.read(lambda c: queries.show(c, begin))


async def test_an_alarm_is_found_by_its_alerts_fingerprint(driver):
    """A fingerprint names the newest alarm of its alert, the open one where one is open; in two sources, neither."""
    for name in ("a", "ab", "a"):
        await driver.fire(name)
        driver.now += 1
        await driver.resolve(name)
        driver.now += 1
    await driver.fire("a", start=driver.now)

    async def found(name):
        return (await driver.ledger._core.read(lambda c: queries.show(c, name))).alarm

    rows = await driver.rows()
    assert await found(rows[0].fingerprint) == rows[-1]
    assert await found(rows[1].fingerprint) == rows[1]
    await driver.fire("a", source="other")
    both = [f"{row.id} of {row.source}" for row in reversed(await driver.rows()) if row.is_newest][:2]
    with pytest.raises(UnknownAlarmError, match=f"^more than one alarm has this name: {', '.join(both)}. Fix: "):
        await found(rows[0].fingerprint)
    assert await found(rows[0].id) == rows[0]


@pytest.mark.parametrize("name", ["", "\0", "%", "_", "x" * 100, "nothing"])
async def test_what_names_no_alarm_is_told(driver, name):
    """A name that is no id, fingerprint or beginning of an id names nothing, whatever characters it has."""
    await driver.fire()
    with pytest.raises(UnknownAlarmError, match=r"^no alarm has this id or fingerprint$"):
        await driver.ledger._core.read(lambda c: queries.show(c, name))


async def test_equal_labels_of_two_sources_stay_two_alarms(driver):
    """A source is an Alertmanager cluster: the same fingerprint in two of them is two alarms."""
    assert await driver.fire(source="east") == "new"
    assert await driver.fire(source="west") == "new"
    await driver.resolve(source="east", end=T0 + 1)
    assert [row.ends_at for row in await driver.rows()] == [T0 + 1, None]


def explode():
    """Map an alert that cannot be mapped."""
    raise RuntimeError("boom")


wherever_it_is_read = pytest.mark.parametrize("is_open", [False, True], ids=["read at the put", "read before"])


@wherever_it_is_read
async def test_the_resolve_goes_to_its_row_without_being_mapped(driver, is_open):
    """No rule changed in between can orphan an alarm: the resolve of an open one never asks the mapping."""
    await driver.fire()
    end = driver.arrival("resolved", "a", end=T0 + 1)
    arrival = ArrivedAlert(source="s", alert=end.alert, group=GROUP, mapped=explode)
    assert await driver.put([arrival], is_open=is_open) == ["resolved"]


@wherever_it_is_read
async def test_a_resolve_that_nobody_knows_is_mapped_after_all(driver, is_open):
    """An orphan resolve asks the mapping, which can drop it; its neighbours were mapped before."""
    resolves = [driver.arrival("resolved", name, end=T0, drop=name == "c") for name in "bc"]
    both = [driver.arrival("firing", "a"), *resolves]
    assert await driver.put(both, is_open=is_open) == ["new", "orphan", "dropped"]
    assert [row.fingerprint for row in await driver.rows()] == ["a", "b"]


async def test_a_drop_rule_added_later_does_not_hide_a_repeat_of_an_open_alarm(driver):
    """A firing that is dropped now is still a repeat of the alarm that is open."""
    await driver.fire()
    assert await driver.fire(drop=True) == "repeat"


async def test_fire_resolve_and_re_fire_in_one_notification_keep_their_order(driver):
    """Several alerts of one kind in one transaction are applied one after another."""
    batch = [
        driver.arrival("firing", "a"),
        driver.arrival("resolved", "a", end=T0 + 1),
        driver.arrival("firing", "a", start=T0 + 2),
        driver.arrival("firing", "a", start=T0 + 2),
    ]
    assert await driver.put(batch) == ["new", "resolved", "new", "repeat"]
    assert [await driver.deliver() for _ in range(3)] == [["report"], ["clear"], ["report"]]


async def test_a_resolve_and_a_re_fire_share_one_transaction(driver):
    """The end of one alarm and the next one of its alert, put at the same time, are both kept in one commit."""
    await driver.fire("a")
    await driver.deliver()
    both = [driver.arrival("resolved", "a", end=T0 + 1), driver.arrival("firing", "a", start=T0 + 2)]
    assert await driver.put(both) == ["resolved", "new"]


async def test_a_target_that_still_has_alarms_cannot_vanish(place):
    """A ledger whose target is not configured any more refuses to open, and says which and what to do."""
    async with LedgerDriver(place) as driver:
        await driver.fire()
    with pytest.raises(LedgerStartError, match=r"1 alarm\(s\) report_due of target 'default'.*Fix:"):
        async with LedgerDriver(place, targets=("other",)):
            pass


async def test_a_lane_does_not_spin_on_an_alarm_that_waits_behind_another(driver):
    """What waits behind an unfinished alarm of its alert is not due yet, whatever its own time is."""
    await driver.fire("a")
    (claim,) = await driver.claim()
    await driver.release(claim, after=9_000)
    await driver.resolve("a", end=T0 + 1)
    await driver.fire("a", start=T0 + 2)
    assert await driver.ledger.due.next_due("default", "report") == T0 + 9_000


async def test_concurrent_notifications_of_one_alert_make_one_alarm(driver):
    """The same alert on fifty connections in the same moment is one new alarm and 49 repeats."""
    outcomes = await asyncio.gather(*(driver.fire() for _ in range(50)))
    assert sorted(outcomes) == ["new"] + ["repeat"] * 49
    assert len(await driver.rows()) == 1


async def test_the_database_itself_holds_at_most_one_open_alarm(driver):
    """A partial unique index guards the rule, whatever the code does."""
    await driver.fire()
    copy = sa.insert(alarms).from_select(
        [c.name for c in alarms.c],
        sa.select(*(sa.literal(99) if c.name == "seq" else sa.literal("x") if c.name == "id" else c for c in alarms.c)),
    )
    with pytest.raises(LedgerUnavailableError, match=r"(?i)unique"):
        await driver.ledger._core.write(lambda connection: connection.execute(copy))


async def test_a_full_ledger_refuses_only_what_would_add_a_row(place):
    """At `max_open`, a new alarm is refused whole; repeats and resolves of known alarms still pass."""
    async with LedgerDriver(place, max_open=2) as driver:
        await driver.fire("a")
        await driver.fire("b")
        with pytest.raises(LedgerFullError):
            await driver.put([driver.arrival("firing", "a", note="kept?"), driver.arrival("firing", "c")])
        view, _ = await driver.ledger._core.read(listing)
        assert view.event.annotations == {"message": "n"}
        assert await driver.fire("a") == "repeat"
        assert await driver.resolve("b", end=T0 + 1) == "resolved"
        await driver.deliver()
        await driver.deliver()
        assert await driver.fire("c") == "new"


async def test_one_failing_notification_never_fails_its_neighbours(driver):
    """A notification whose mapping explodes in the shared transaction is refused alone."""
    orphan = driver.arrival("resolved", "bad", end=T0)
    bad = ArrivedAlert(source="s", alert=orphan.alert, group=GROUP, mapped=explode)
    results = await asyncio.gather(driver.fire("a"), driver.put([bad]), driver.fire("b"), return_exceptions=True)
    assert results[0] == results[2] == "new"
    assert isinstance(results[1], LedgerUnavailableError)
    assert [row.fingerprint for row in await driver.rows()] == ["a", "b"]


async def test_what_is_no_notification_is_refused_with_its_own_reason(driver):
    """A body that turns out to be none in the shared transaction is told why; its neighbours are kept."""
    body = pickle.dumps(PayloadError("alerts[0].labels: none"))
    bad = driver.ledger.put(IncomingNotification("s", body, 1))
    results = await asyncio.gather(driver.fire("a"), bad, driver.fire("b"), return_exceptions=True)
    assert results[0] == results[2] == "new"
    assert isinstance(results[1], PayloadError)
    assert str(results[1]) == "alerts[0].labels: none"


async def test_a_full_ledger_stays_full_though_a_transaction_is_tried_again(place):
    """Notifications that are tried one by one, since one of them fails, share the room that is left."""
    async with LedgerDriver(place, max_open=1) as driver:
        bad = ArrivedAlert(source="s", alert=driver.arrival("firing", "bad").alert, group=GROUP, mapped=explode)
        puts = (driver.fire("a"), driver.put([bad]), driver.fire("b"))
        results = await asyncio.gather(*puts, return_exceptions=True)
        assert results[0] == "new"
        assert [type(result) for result in results[1:]] == [LedgerUnavailableError, LedgerFullError]
        assert sum(driver.ledger.counts().values()) == 1


async def under_way(coroutine):
    """Put something, and leave the event loop time to begin its transaction, not to end it."""
    task = asyncio.ensure_future(coroutine)
    for _ in range(4):
        await asyncio.sleep(0)
    return task


def many(driver, prefix):
    """Return enough arrivals for a transaction beside one that is under way."""
    return [driver.arrival("firing", f"{prefix}{n}") for n in range(20)]


async def test_an_alert_keeps_its_order_though_a_transaction_is_tried_again(driver):
    """A firing never passes the resolve before it, whose transaction failed for a neighbour and was tried again."""
    bad = ArrivedAlert(source="s", alert=driver.arrival("firing", "bad").alert, group=GROUP, mapped=explode)
    first = await under_way(asyncio.gather(driver.put([bad]), driver.resolve("a"), return_exceptions=True))
    fire = driver.arrival("firing", "a", start=T0 + 1)
    fires = await under_way(driver.put([fire, *many(driver, "b")]))
    (refused, resolve), fires = await first, await fires
    assert isinstance(refused, LedgerUnavailableError)
    assert (resolve, fires) == ("orphan", ["new"] * 21)
    assert await driver.states() == ["clear_due"] + ["report_due"] * 21


async def test_two_transactions_under_way_never_overfill_the_ledger(place):
    """What is under way counts before more is let in: at `max_open` none is added, however they come."""
    async with LedgerDriver(place, max_open=30) as driver:
        puts = [await under_way(driver.put(many(driver, prefix))) for prefix in "ab"]
        first, second = await asyncio.gather(*puts, return_exceptions=True)
        assert first == ["new"] * 20
        assert isinstance(second, LedgerFullError)


async def test_a_notification_nobody_waits_for_is_left_out(driver):
    """Just before the transaction the sender is asked for; when it has gone, nothing is kept."""
    with pytest.raises(AbandonedError):
        await driver.put([driver.arrival("firing", "a")], is_wanted=lambda: False)
    assert await driver.rows() == []


async def test_what_was_put_is_there_after_a_restart(place):
    """A put that has returned survives the process, and what was claimed is due again at once."""
    async with LedgerDriver(place) as driver:
        await driver.fire()
        await driver.claim()
    async with LedgerDriver(place) as again:
        assert again.ledger.counts()["report_due", "default"] == 1
        again.now += 0 if again.is_sqlite else 60_000  # elsewhere another replica may hold it until its lease ends
        (claim,) = await again.claim()
        assert claim.alarm.doubt_at is not None


async def test_a_claim_holds_until_the_lease_ends(driver):
    """A second worker gets the alarm only after the lease, and then the first one's settle is void."""
    await driver.fire()
    (first,) = await driver.claim("one")
    assert await driver.claim("two") == []
    driver.now += 60_000
    (second,) = await driver.claim("two")
    assert await driver.accept(first) == set()
    assert len(await driver.accept(second)) == 1


async def test_a_released_alarm_comes_due_again_with_its_reason(driver):
    """A try that decided nothing leaves the alarm due at the given time, with the attempt and the reason noted."""
    await driver.fire()
    (claim,) = await driver.claim()
    await driver.release(claim, after=500)
    (row,) = await driver.rows()
    assert (row.attempts, row.reason, row.doubt_at, row.due_at) == (1, "timeout", T0, T0 + 500)
    assert await driver.claim() == []
    driver.now += 500
    assert len(await driver.claim()) == 1


async def test_the_longest_waiting_alarm_is_served_first(driver):
    """Claims come in the order in which alarms became due."""
    for name in "abc":
        await driver.fire(name)
        driver.now += 1
    assert [claim.alarm.fingerprint for claim in await driver.claim(limit=2)] == ["a", "b"]


async def test_counts_are_those_of_the_rows(driver):
    """The counts kept beside the rows equal a count of the rows after every kind of step."""
    await driver.fire("a")
    await driver.fire("b")
    await driver.resolve("a", end=T0 + 1)
    await driver.resolve("orphan")
    await driver.deliver()
    await driver.deliver()
    counted = await driver.ledger._core.read(queries.counts)
    assert {key: n for key, n in driver.ledger.counts().items() if n} == counted
    still_open = await driver.ledger._core.read(queries.open_counts)
    assert {key: n for key, n in driver.ledger.open_counts().items() if n} == still_open


async def test_a_row_keeps_the_alert_its_group_and_the_event(driver):
    """A row holds what a later retry needs: the alert with its group's context, and the event as mapped."""
    await driver.fire("a")
    (view,) = await driver.ledger._core.read(listing)
    assert view.context.alert.labels == {"alertname": "a"}
    assert view.context.group == GROUP
    assert view.event.metadata["event_name"] == "a"
    assert await driver.ledger._core.read(lambda c: queries.show(c, view.alarm.id[:10])) == view


@pytest.mark.real
def test_the_migrations_make_the_schema_that_the_code_uses(place):
    """Schema equals migrations, and the row's fields are the table's columns in order."""
    database = connect(f"sqlite:///{place}" if "://" not in str(place) else place)
    database.open()
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "ledger_version"})
        differences = compare_metadata(context, metadata)
    database.close()
    assert differences == []
    assert [column.name for column in alarms.c] == list(Alarm.__struct_fields__)


@pytest.mark.real
def test_a_start_on_a_busy_machine_may_take_its_time(database):
    """PostgreSQL does not end a migration whose process gets no processor for some seconds between two statements."""
    opened, seen = connect(database), []

    @sa.event.listens_for(opened.engine, "commit")
    def look(connection):
        seen.append(connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar())

    opened.open()
    opened.close()
    assert set(seen) == {"1min"}


async def test_a_notification_that_is_too_old_is_refused_and_its_neighbours_are_kept(driver):
    """A transaction that holds one rolls back; one by one it is left out, and the others are kept."""
    incoming = [notification([driver.arrival("firing", name)]) for name in "abc"]
    incoming[1].expires_at = 0
    notifications = [OpenedNotification(one, READER) for one in incoming]
    parameters = PutParameters({}, 10, T0)
    with pytest.raises(ExpiredError):
        await driver.ledger._core.write(lambda connection: put(connection, notifications, parameters))
    assert await driver.rows() == []
    result = await driver.ledger._core.write(lambda connection: put_one_by_one(connection, notifications, parameters))
    assert result.effects == [["new"], Refusal("unavailable", "the ledger did not commit in time"), ["new"]]
    assert [row.fingerprint for row in await driver.rows()] == ["a", "c"]


class SlowReader(ArrivalsReader):
    """Takes long to read a notification."""

    def open(self, source, body):
        time.sleep(0.2)
        return super().open(source, body)


def slow(arrivals, **more):
    """Give a notification that takes long to read, as a put gets it."""
    return OpenedNotification(msgspec.structs.replace(notification(arrivals), **more), SlowReader())


async def test_nothing_is_committed_that_became_too_old_meanwhile(driver):
    """What was taken in in time and is too old just before the commit is not kept, nor is what came with it."""
    first = msgspec.structs.replace(notification([driver.arrival("firing", "a")]), expires_at=time.monotonic() + 0.1)
    notifications = [OpenedNotification(first, READER), slow([driver.arrival("firing", "b")])]
    with pytest.raises(ExpiredError):
        await driver.ledger._core.write(
            lambda connection: put_one_by_one(connection, notifications, PutParameters({}, 10, T0))
        )
    assert await driver.rows() == []


async def test_a_large_put_gives_up_while_it_is_under_way(driver):
    """A put that cannot be in time stops at the next alert that is looked at; others need not wait for its end."""
    late = slow([driver.arrival("firing", str(n)) for n in range(10)], expires_at=time.monotonic() + 0.1)
    late.map = None  # nothing of it is asked for any more
    with pytest.raises(ExpiredError):
        await driver.ledger._core.write(lambda connection: Put(connection, [late], PutParameters({}, 10, T0)).run())


async def test_an_alert_that_flaps_in_one_notification_costs_a_question_for_each_alarm(driver, monkeypatch):
    """However often it has fired with one start, a free id is found at once: the cost is linear in the notification."""
    asked = []
    real = rows.past_ids
    monkeypatch.setattr("bridge.ledger.operations.put.rows.past_ids", lambda *args: asked.append(args) or real(*args))
    flaps = [driver.arrival(status, "a", end=T0 + n) for n in range(1, 101) for status in ("firing", "resolved")]
    for expected in (200, 120):
        asked.clear()
        notifications = [opened(flaps)]
        await driver.ledger._core.write(
            lambda connection, some=notifications: put(connection, some, PutParameters({}, 1_000, T0))
        )
        assert len(asked) <= expected
    assert len({row.id for row in await driver.rows()}) == 200


def test_a_free_number_is_found_in_few_questions():
    """Also behind a hundred thousand that are held, and where the first ones have been purged."""
    for held in (set(range(100_000)), set(range(50_000, 100_000)), {1}, {1, 2, 3, 5}):
        asked = []
        free = next_free(1, lambda number, held=held, asked=asked: asked.append(number) or number in held)
        assert free not in held
        assert free > 1
        assert len(asked) <= 40


async def test_a_refused_notification_leaves_no_trace_in_its_transaction(place):
    """At `max_open` what a refused notification changed of others' alarms is taken back, each change once."""
    async with LedgerDriver(place, max_open=2) as driver:
        await driver.fire("a")
        both = [[driver.arrival("firing", "a", note="kept?"), *(driver.arrival("firing", n) for n in "bcd")]]
        both.append([driver.arrival("firing", "b", note="kept"), driver.arrival("firing", "a", note="kept")])
        parameters = PutParameters({"default": REASSERT}, 1, T0)
        result = await driver.ledger._core.write(
            lambda connection: put(connection, [opened(some) for some in both], parameters)
        )
        assert result.effects[0].kind == "full"
        assert result.effects[1] == ["new", "repeat"]
        views = await driver.ledger._core.read(listing)
        assert [view.event.annotations for view in views] == [{"message": "kept"}] * 2
