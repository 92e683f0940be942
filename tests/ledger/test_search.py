"""Searches of the ledger: what a filter finds, page by page, while the ledger changes."""

import asyncio
import random
from dataclasses import replace
from functools import partial

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_driver import BY, GROUP, T0, LedgerDriver, known
from ledger_rows import listing

from bridge.clock import HOUR, MINUTE, SECOND
from bridge.errors import CursorError
from bridge.event import SEVERITIES, Event, Mapped
from bridge.ledger import STATE_GROUPS, STATES, AlarmFilter, ArrivedAlert, OfflineLedger, Settlement
from bridge.ledger.decisions import Refused, Reported, Rescheduled
from bridge.ledger.operations import search as searching
from bridge.ledger.operations import search_ranges
from bridge.ledger.storage.database import database as connect
from bridge.ledger.storage.database import looking_at
from bridge.ledger.storage.schema import contents
from bridge.ledger.storage.schema import search as stored
from bridge.notification import Alert

NAMES = ("Disk full", "disk_full", "DISK%FULL", "ПАМЯТЬ", "Straße", "x" * 2_000)
ALERTS = 14
TARGETS = ("default", "other")
FINISHED = [state for state, info in STATES.items() if info.is_finished]
NEW_INDEXES = ("alarms_unfinished", "alarms_ended", "alarms_past")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def place(request, tmp_path):
    """Where a fresh ledger lies, on each database."""
    return tmp_path / "ledger.db" if request.param == "sqlite" else request.getfixturevalue("database")


@pytest.fixture
async def driver(place):
    """A fresh ledger."""
    async with LedgerDriver(place, TARGETS) as made:
        yield made


@pytest.fixture
def short_looks(monkeypatch):
    """A search takes many steps, and compares indexes, in a ledger of a few alarms."""
    monkeypatch.setattr(searching, "_FIRST_LOOK", 4)
    monkeypatch.setattr(searching, "_MAX_LOOK", 16)
    monkeypatch.setattr(searching, "_MAX_LOOK_AT_LABELS", 8)
    monkeypatch.setattr(search_ranges, "_ENOUGH", 10)


def arrival(number, status="firing", *, now=T0, name=None, target=None):
    """Return an alert as it is received; what it is follows from its number."""
    severity = SEVERITIES[number % 4]
    metadata = {
        "event_name": NAMES[number % len(NAMES)] if name is None else name,
        "event_severity": severity,
        "event_type": "alarm",
        "resource_id": f"host-{number};Rack={number % 3}",
    }
    labels = {"alertname": f"a{number}", "team": f"team-{number % 5}"}
    end = now if status == "resolved" else None
    alert = Alert(f"{number:016x}", status, labels, {}, now - SECOND, end, "")
    mapped = Mapped(Event(metadata, {}, HOUR), target or TARGETS[number % 3 == 0], "r")
    return ArrivedAlert(source=f"s{number % 2}", alert=alert, group=GROUP, mapped=partial(known, mapped))


async def one_turn(driver, chance):
    """Let something happen to some alarms."""
    number = chance.randrange(ALERTS)
    driver.now += chance.choice((0, 1, SECOND, MINUTE, -MINUTE))
    await driver.put([arrival(number, chance.choice(("firing", "firing", "resolved")), now=driver.now)])
    for target in TARGETS:
        for action in ("report", "clear"):
            claims = await driver.ledger.due.claim(target, action, "w", chance.randrange(3))
            for claim in claims:
                await settle(driver, claim, chance.choice(("accept", "accept", "refuse", "wait", "hold")))
    if chance.random() < 0.05:
        await driver.ledger.records.edit("discard", [f"{number:016x}"], lambda *_: None, BY)


async def settle(driver, claim, how):
    """Settle one claim, or hold it."""
    if how == "accept" and claim.action == "clear":
        await driver.accept(claim)
    elif how != "hold":
        decision = {
            "accept": Reported(claim.alarm.starts_at),
            "refuse": Refused(claim.action, "refused", "no"),
            "wait": Rescheduled(driver.now + MINUTE, "retrying", "timeout", "no answer", in_doubt=False),
        }[how]
        await driver.ledger.due.settle([Settlement(claim.alarm, decision)])


@pytest.fixture
def world(place):
    """Return the address of a ledger to whose alarms many things have happened, and what is in it."""

    async def populate():
        chance = random.Random(5)  # noqa: S311 - not for secrets
        async with LedgerDriver(place, TARGETS) as driver:
            for _ in range(150):
                await one_turn(driver, chance)
            return driver.url

    url = asyncio.run(populate())
    with looking_at(url) as connection:
        return url, listing(connection)


def in_group(alarm, name):
    """Say whether an alarm is in a state or a group of states."""
    return {
        "open": alarm.is_open,
        "waiting": alarm.due_at is not None and alarm.claimed_by is None,
        "in_flight": alarm.claimed_by is not None,
        "finished": alarm.finished_at is not None,
        "unfinished": alarm.finished_at is None,
    }.get(name, alarm.state == name)


def matches(view, chosen):
    """Say whether an alarm is one that a filter asks for."""
    alarm, metadata = view.alarm, view.event.metadata
    same = [
        (chosen.target, alarm.target),
        (chosen.source, alarm.source),
        (chosen.severity, alarm.severity),
        (chosen.fingerprint, alarm.fingerprint),
        (chosen.event_name, metadata["event_name"]),
    ]
    texts = (metadata["event_name"].casefold(), metadata["resource_id"].casefold())
    return (
        all(wanted in (None, value) for wanted, value in same)
        and (not chosen.states or any(in_group(alarm, name) for name in chosen.states))
        and (chosen.since is None or alarm.received_at >= chosen.since)
        and (chosen.until is None or alarm.received_at < chosen.until)
        and (chosen.text is None or any(chosen.text.casefold() in text for text in texts))
        and (chosen.labels is None or chosen.labels(view.context.alert.labels))
    )


def expected(views, chosen):
    """Return the numbers of the alarms that a filter asks for, in its order, by a look at every alarm."""
    found = sorted((view.alarm for view in views if matches(view, chosen)), key=lambda one: (one.received_at, one.seq))
    if chosen.order != "oldest":
        found.reverse()
    if chosen.order == "worst":
        found.sort(key=lambda one: SEVERITIES.index(one.severity))
    return [alarm.seq for alarm in found]


def pages_of(ledger, chosen, seconds=9.0):
    """Yield every page of a search."""
    while True:
        page = ledger.search(chosen, seconds)
        yield page
        if page.next is None:
            return
        chosen = replace(chosen, after=page.next)


def perhaps(*values):
    """Return a strategy of these values and, more often, of none."""
    return st.sampled_from((None, None, *values))


def of_team(name):
    """Return a test of labels."""
    return lambda labels: labels["team"] == name


FILTERS = st.builds(
    AlarmFilter,
    states=st.lists(st.sampled_from((*STATES, *STATE_GROUPS)), max_size=2),
    target=perhaps(*TARGETS, "nowhere"),
    source=perhaps("s0", "s1", "nowhere"),
    severity=perhaps(*SEVERITIES),
    event_name=perhaps(*NAMES, "nothing"),
    text=perhaps("disk", "K_F", "%", "память", "STRASSE", "RACK=1", "full;", "\\", "\0", "\ud800", "full\x1fhost"),
    labels=perhaps(of_team("team-1"), of_team("nobody")),
    since=perhaps(T0, T0 + 10 * MINUTE, T0 + 20 * MINUTE),
    until=perhaps(T0 + 10 * MINUTE, T0 + 20 * MINUTE, T0 + HOUR),
    fingerprint=perhaps(*(f"{number:016x}" for number in range(3)), "f"),
    order=st.sampled_from(("newest", "oldest", "worst")),
    limit=st.sampled_from((1, 3, 10, 100)),
)


@pytest.mark.usefixtures("short_looks")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(chosen=FILTERS)
def test_a_search_finds_what_a_look_at_every_alarm_finds(world, chosen):
    """By whatever is searched, in each order: all pages together hold each alarm that matches, once, and in order."""
    url, views = world
    pages = list(pages_of(OfflineLedger(url), chosen))
    assert [view.alarm.seq for page in pages for view in page.views] == expected(views, chosen)
    assert all(len(page.views) == chosen.limit for page in pages[:-1])
    assert all(page.looked_until is None for page in pages)


def test_the_world_of_these_tests_holds_every_state_and_group(world):
    """What is compared above is not empty: each state but one that takes hours, and each group, has alarms."""
    _, views = world
    for name in (*STATES, *STATE_GROUPS):
        assert name == "expired" or any(in_group(view.alarm, name) for view in views), name


@pytest.mark.usefixtures("short_looks")
@pytest.mark.parametrize("order", ["newest", "oldest", "worst"])
@pytest.mark.parametrize("states", [(), ("unfinished", "finished")])
async def test_pages_lose_and_repeat_nothing_while_the_ledger_changes(driver, order, states):
    """An alarm that is there from the first page to the last is on one of them, whatever is added and changed."""
    chance = random.Random(7)  # noqa: S311 - not for secrets
    for _ in range(40):
        await one_turn(driver, chance)
    before = {row.seq for row in await driver.rows()}
    chosen, seen = AlarmFilter(states=states, order=order, limit=5), []
    while True:
        page = await driver.ledger.records.search(chosen)
        seen += [view.alarm.seq for view in page.views]
        if page.next is None:
            break
        chosen = replace(chosen, after=page.next)
        if len(seen) < 200:
            await one_turn(driver, chance)
    assert len(seen) == len(set(seen))
    assert before <= set(seen)


@pytest.mark.usefixtures("short_looks")
async def test_a_search_whose_time_is_up_says_how_far_it_has_looked(driver):
    """A page that is short for want of time names the last alarm that it looked at, and the next one goes on there."""
    for number in range(12):
        driver.now = T0 + number * SECOND
        await driver.put([arrival(number, now=driver.now)])
    chosen, found, looked = AlarmFilter(text="host-0;", limit=2), [], []
    while True:
        page = await driver.ledger.records.search(chosen, seconds=0.0)
        found += page.views
        looked.append(page.looked_until)
        if page.next is None:
            break
        chosen = replace(chosen, after=page.next)
    assert looked == [T0 + 8 * SECOND, T0 + 4 * SECOND, T0, None]
    assert [view.alarm.seq for view in found] == [1]


async def test_a_test_of_labels_stops_when_the_time_is_up(monkeypatch, driver):
    """A slow test of labels ends in the middle of a step, and no alarm is left out by that."""
    monkeypatch.setattr(searching, "_TIMED_EACH", 1)
    await driver.put([arrival(number) for number in range(12)])
    chosen, found, pages = AlarmFilter(labels=of_team("team-0")), [], 0
    while True:
        page = await driver.ledger.records.search(chosen, seconds=0.0)
        found += [view.alarm.seq for view in page.views]
        pages += 1
        if page.next is None:
            break
        chosen = replace(chosen, after=page.next)
    assert found == [11, 6, 1]
    assert pages == 13


@pytest.mark.parametrize(
    "after", ["", "1", "n0-", "n0-1-", "n9-1-1", "x0-1-1", "n0-1-1 ", "n0--1-1", "n0-1-" + "9" * 30]
)
async def test_a_wrong_place_to_go_on_from_is_refused(driver, after):
    """What no page has returned is no place to go on from, and the text says what to do."""
    with pytest.raises(CursorError, match=r"Fix: begin at its first page\."):
        await driver.ledger.records.search(AlarmFilter(after=after))


async def test_a_place_of_another_order_is_refused(driver):
    """A place in the newest first is not one in the worst first."""
    await driver.put([arrival(number) for number in range(3)])
    page = await driver.ledger.records.search(AlarmFilter(limit=1))
    with pytest.raises(CursorError):
        await driver.ledger.records.search(AlarmFilter(limit=1, order="worst", after=page.next))


async def test_an_alarm_that_is_mapped_again_is_found_by_what_it_became(driver):
    """A rejected alarm gets a new event with its next firing, or by hand: only the new one is searched."""
    await driver.put([arrival(1), arrival(2)])
    for claim in await driver.ledger.due.claim("default", "report", "w", 9):
        await settle(driver, claim, "refuse")
    await driver.put([arrival(1, name="By firing", target="other")])
    again = arrival(2, name="By hand").mapped()
    (edited,) = await driver.ledger.records.edit("retry", [f"{2:016x}"], lambda *_: again, BY)
    assert edited.done
    for chosen in (AlarmFilter(event_name="By firing"), AlarmFilter(target="other"), AlarmFilter(text="by FIRING")):
        assert [view.alarm.seq for view in (await driver.ledger.records.search(chosen)).views] == [1]
    assert [v.alarm.seq for v in (await driver.ledger.records.search(AlarmFilter(event_name="By hand"))).views] == [2]
    for name in (NAMES[1], NAMES[2]):
        assert not (await driver.ledger.records.search(AlarmFilter(event_name=name))).views


async def test_what_is_purged_leaves_nothing_to_search(driver):
    """A deleted alarm takes the row by which it was searched along."""
    await driver.put([arrival(1)])
    await driver.ledger.records.edit("discard", [f"{1:016x}"], lambda *_: None, BY)
    driver.now += 1_000 * HOUR
    await driver.ledger.upkeep()
    assert await driver.rows() == []
    assert await driver.ledger._core.read(lambda c: c.execute(sa.select(stored)).all()) == []


def undo_migration(connection):
    """Make the schema that of the version before."""
    for name in NEW_INDEXES:
        connection.exec_driver_sql(f"DROP INDEX {name}")
    connection.exec_driver_sql("DROP TABLE alarm_search")
    connection.exec_driver_sql("UPDATE ledger_version SET version_num = '0007'")


def searched_by(connection):
    """Return all rows by which alarms are searched."""
    return connection.execute(sa.select(stored).order_by(stored.c.seq)).all()


def test_the_migration_makes_every_alarm_searchable(world):
    """A ledger of the version before: each alarm gets the row that its put would have written."""
    url, views = world
    with looking_at(url) as connection:
        before = searched_by(connection)
    ledger = connect(url)
    with ledger.engine.begin() as connection:
        undo_migration(connection)
        connection.execute(sa.update(contents).where(contents.c.seq == 1).values(kept=b"{garbage"))
        connection.execute(sa.delete(contents).where(contents.c.seq == 2))
    ledger.engine.dispose()
    ledger.open()
    ledger.close()
    with looking_at(url) as connection:
        after = searched_by(connection)
    assert len(after) == len(views) > 20
    assert after[2:] == before[2:]
    unreadable = OfflineLedger(url).search(AlarmFilter(event_name="unreadable")).views
    assert sorted(view.alarm.seq for view in unreadable) == [1, 2]


@pytest.mark.real
async def test_what_an_earlier_version_adds_is_searchable_soon(database):
    """While replicas are replaced, the old ones add alarms without the new rows: they are listed, and mended."""
    async with LedgerDriver(database, TARGETS) as driver:
        await driver.put([arrival(number) for number in range(6)])
        await driver.ledger._core.write(lambda c: c.execute(sa.delete(stored).where(stored.c.seq > 3)))
        by_state = await driver.ledger.records.search(AlarmFilter(states=["unfinished"]))
        assert sorted(view.alarm.seq for view in by_state.views) == [1, 2, 3, 4, 5, 6]
        await driver.ledger.upkeep()
        by_text = await driver.ledger.records.search(AlarmFilter(text="host"))
        assert sorted(view.alarm.seq for view in by_text.views) == [1, 2, 3, 4, 5, 6]
        by_name = await driver.ledger.records.search(AlarmFilter(event_name=NAMES[4]))
        assert [view.alarm.seq for view in by_name.views] == [5]


KINDS = {
    "all": search_ranges._EVERY,
    "place": search_ranges._PLACE,
    "name": search_ranges._NAME,
    "unfinished": search_ranges._UNFINISHED,
    "ended": search_ranges._ENDED,
    "past": search_ranges._OF_ALERT[2],
}


@pytest.mark.parametrize("is_ascending", [False, True])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
async def test_each_range_is_a_part_of_an_index(tmp_path, kind, is_ascending):
    """The places of a range come from an index in their order: it ends with them, and nothing is sorted."""
    async with LedgerDriver(tmp_path / "ledger.db") as driver:
        query = kind.keys(is_ascending=is_ascending)
        values = dict.fromkeys(kind.binds, 1)
        text = str(query.compile(dialect=sa.dialects.sqlite.dialect(paramstyle="named")))
        plan = await driver.ledger._core.read(
            lambda c: c.connection.cursor().execute(f"EXPLAIN QUERY PLAN {text}", values).fetchall()
        )
    (step,) = plan
    assert step[3].startswith("SEARCH"), plan
    assert "received_at" in step[3], plan
