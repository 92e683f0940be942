"""Several replicas of the bridge on one real PostgreSQL: order, holders, stalls, deaths, migrations, outages."""

import asyncio
import random
import shutil
import threading
from collections import Counter, defaultdict

import psycopg
import pytest
from bridge_rig import running
from emulated_aom import cloud
from ledger_driver import T0, LedgerDriver
from ledger_rows import listing
from paths import ROOT
from postgres import pgbouncer
from waiting import PATIENCE, until
from webhooks import alert

from bridge.clock import HOUR, SECOND, system_clock
from bridge.errors import LedgerStartError, LedgerUnavailableError
from bridge.ledger import ACTIONS, Settlement
from bridge.ledger.decisions import Cleared, Reported
from bridge.ledger.operations import queries
from bridge.ledger.storage.database import database as connect
from bridge.ledger.storage.migrate import migrate
from bridge.ledger.storage.postgres import _BEGIN

pytestmark = pytest.mark.real


@pytest.fixture
async def pair(database):
    """Two replicas on one empty database, and a clock that stands still."""
    async with LedgerDriver(database) as one, LedgerDriver(database) as two:
        yield one, two


class Workers:
    """Workers of all replicas: who holds which alert, and what was delivered for each, in order."""

    def __init__(self):
        self.holders = {}
        self.delivered = defaultdict(list)
        self.are_done = False

    async def work(self, driver, name, dice):
        """Claim, push and settle until told that no more comes."""
        turn = 0
        while not self.are_done:
            turn += 1
            claims = await driver.ledger.due.claim("default", dice.choice(ACTIONS), f"{name}.{turn}", 20)
            for claim in claims:
                assert self.holders.setdefault(claim.alarm.key, claim) is claim, "two holders"
            await asyncio.sleep(dice.random() / 50)
            if claims and dice.random() < 0.1:
                await self.give_up(driver, f"{name}.{turn}", claims)
            else:
                await self.settle(driver, claims)

    async def settle(self, driver, claims):
        settlements = []
        for claim in claims:
            del self.holders[claim.alarm.key]
            self.delivered[claim.alarm.fingerprint].append((claim.alarm.seq, claim.action))
            settlements.append(Settlement(claim.alarm, accepted(claim)))
        changed = await driver.ledger.due.settle(settlements)
        assert changed == {claim.alarm.seq for claim in claims}

    async def give_up(self, driver, name, claims):
        for claim in claims:
            del self.holders[claim.alarm.key]
        await driver.ledger.due.release(name)


def accepted(claim):
    """Give the rule for a push that AOM has accepted."""
    if claim.action == "report":
        return Reported(claim.alarm.starts_at)
    return Cleared()


async def storm(one, two, *, alerts=200, rounds=8):
    """Put overlapping notifications on both replicas while workers of both deliver; check all promises at the end."""
    dice = random.Random(7)  # noqa: S311 - much the same storm each time
    names = [f"a{i}" for i in range(alerts)]
    outcomes = Counter()
    workers = Workers()

    def arrivals(driver, statuses):
        return [driver.arrival(status, n, end=T0 if status == "resolved" else None) for n, status in statuses.items()]

    async def send(driver):
        for _ in range(rounds):
            some = dict.fromkeys(dice.sample(names, alerts // 2), dice.choice(["firing", "firing", "resolved"]))
            outcomes.update(await driver.put(arrivals(driver, some)))

    tasks = [asyncio.create_task(workers.work(driver, f"w{i}", dice)) for i, driver in enumerate((one, two, one, two))]

    async def is_quiet():
        failed = [task for task in tasks if task.done()]
        return failed or {state for state, _ in await one.ledger._core.read(queries.counts)} == {"reported", "cleared"}

    try:
        await asyncio.gather(*(send(driver) for driver in (one, two, one, two)))
        last = {name: dice.choice(["firing", "resolved"]) for name in names}
        outcomes.update(await two.put(arrivals(two, last)))
        await until(is_quiet, 60)
    finally:
        workers.are_done = True
        await asyncio.gather(*tasks)
    await check(workers, one, two, outcomes, {name for name in names if last[name] == "firing"})


async def check(workers, one, two, outcomes, firing):
    """Compare rows, deliveries and counts with what was put."""
    rows = [view.alarm for view in await one.ledger._core.read(listing)]
    assert len(rows) == outcomes["new"] + outcomes["orphan"]
    assert {row.fingerprint for row in rows if row.is_open} == firing
    assert {row.state for row in rows} == {"reported", "cleared"}
    for steps in workers.delivered.values():
        assert steps == sorted(steps, key=lambda step: (step[0], ACTIONS.index(step[1])))
    done = {action: {seq for s in workers.delivered.values() for seq, a in s if a == action} for action in ACTIONS}
    assert done["clear"] == {row.seq for row in rows if row.state == "cleared"}
    assert done["report"] == {row.seq for row in rows if row.first_reported_at is not None}
    for driver in (one, two):
        await driver.ledger._core.recount()
        assert dict(driver.ledger.counts()) == await driver.ledger._core.read(queries.counts)
        assert dict(driver.ledger.open_counts()) == await driver.ledger._core.read(queries.open_counts)


async def test_two_replicas_put_and_deliver_at_once(pair):
    """Two replicas take in and deliver the same alerts at once: one holder each, oldest first, no update lost."""
    await storm(*pair)


async def test_pgbouncer_in_transaction_mode_carries_two_replicas(postgres, database):
    """Behind PgBouncer with two server connections the ledger migrates, takes in and delivers like without."""
    with pgbouncer(postgres, database.rpartition("/")[2]) as url:
        async with LedgerDriver(url) as one, LedgerDriver(url) as two:
            await storm(one, two, alerts=60)


async def test_the_same_alert_on_two_replicas_is_new_once(pair):
    """Alertmanager's HA pair posts one alert to two replicas at the same moment: one `new`, one `repeat`."""
    for index in range(30):
        outcomes = await asyncio.gather(*(driver.fire(f"a{index}") for driver in pair))
        assert sorted(outcomes) == ["new", "repeat"]
    for driver in pair:
        await driver.ledger._core.recount()
        assert driver.ledger.counts()["report_due", "default"] == 30


async def test_a_resolve_during_another_replicas_push_is_not_lost(pair):
    """One replica claims, the other one takes in the resolve, the first one settles: the clear goes out."""
    one, two = pair
    await one.fire()
    (claim,) = await one.claim()
    assert await two.resolve(end=T0 + 1) == "resolved"
    assert await two.claim("other") == []
    await one.accept(claim)
    assert await two.deliver() == ["clear"]
    assert await one.states() == ["cleared"]


async def test_a_replica_that_stalls_in_a_transaction_holds_up_nobody_for_long(pair, database):
    """Who stalls with locks loses them: the others wait a few seconds or answer 503, and go on by themselves."""
    one, two = pair
    await one.fire()
    with psycopg.connect(database, autocommit=True, prepare_threshold=None) as stalled:
        stalled.execute(_BEGIN)
        stalled.execute("UPDATE ledger_counters SET value = value WHERE name = 'alarm_seq'")
        stalled.execute("SELECT * FROM alarms FOR UPDATE")
        assert await two.claim() == []  # what somebody has locked is passed over, not waited for
        async with asyncio.timeout(PATIENCE):
            outcomes = await asyncio.gather(two.fire("b"), one.fire("a"), one.resolve("c"), return_exceptions=True)
        for outcome in outcomes:
            assert outcome in ("new", "repeat", "orphan") or isinstance(outcome, LedgerUnavailableError)
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
            stalled.execute("SELECT 1")
    assert await two.fire("b") in ("new", "repeat")
    assert [claim.alarm.fingerprint for claim in await two.claim()][:1] == ["a"]


async def test_a_restart_of_the_database_costs_nobody_a_webhook(pair, postgres):
    """What comes right after a restart of the database is kept: connections that it has cut are not used again."""
    one, two = pair
    await asyncio.gather(one.fire("a"), two.fire("b"), one.ledger.due.next_due("default", "report"))
    postgres.stop()
    postgres.start()
    outcomes = await asyncio.gather(one.fire("a"), two.fire("c"), one.ledger.due.next_due("default", "report"))
    assert outcomes == ["repeat", "new", T0]


async def test_replicas_that_start_together_migrate_once(postgres, database):
    """Several replicas open an empty database at the same moment: all succeed, and the schema was made once."""
    barrier = threading.Barrier(4)

    def begin():
        opened = connect(database)
        barrier.wait()
        opened.open()
        opened.close()

    await asyncio.gather(*(asyncio.to_thread(begin) for _ in range(4)))
    with psycopg.connect(database) as connection:
        assert len(connection.execute("SELECT * FROM ledger_version").fetchall()) == 1
    statements = (postgres.folder / "server.log").read_text()
    assert 'relation "alarms" already exists' not in statements


MIGRATION = """
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{before}"

def upgrade():
    op.add_column("alarms", sa.Column("colour", sa.String(16)))
    op.create_index("alarms_by_colour", "alarms", ["colour"])
"""


def later_version(folder, database):
    """Make the migrations of a later version: one more that adds a column and an index."""
    shutil.copytree(ROOT / "bridge" / "ledger" / "migrations", folder)
    with psycopg.connect(database) as connection:
        (before,) = connection.execute("SELECT version_num FROM ledger_version").fetchone()
    (folder / "versions" / "9999_colour.py").write_text(MIGRATION.format(before=before))
    return folder


async def test_an_old_replica_goes_on_while_a_newer_one_migrates(pair, database, tmp_path):
    """A rolling upgrade: old replicas put, claim, settle and read while the schema changes, and afterwards."""
    one, two = pair
    folder = later_version(tmp_path / "migrations", database)
    newer = connect(database)
    migrated = asyncio.create_task(asyncio.to_thread(migrate, newer.engine, newer.location, folder))
    turn = 0
    while not migrated.done() or turn < 20:
        turn += 1
        assert await one.fire(f"a{turn}") == "new"
        assert await two.deliver() == ["report"]
        assert await two.resolve(f"a{turn}", end=T0 + 1) == "resolved"
        assert await one.deliver() == ["clear"]
    await migrated
    newer.close()
    assert await one.states() == ["cleared"] * turn
    with psycopg.connect(database) as connection:
        assert connection.execute("SELECT count(colour), count(*) FROM alarms").fetchone() == (0, turn)


async def test_an_old_replica_that_starts_on_a_newer_schema_says_so(database, tmp_path):
    """A version that does not know the schema refuses to start, names the cause and the fix, and changes nothing."""
    async with LedgerDriver(database):
        newer = connect(database)
        await asyncio.to_thread(migrate, newer.engine, newer.location, later_version(tmp_path / "m", database))
        newer.close()
    with pytest.raises(LedgerStartError, match=r"written by a later version.*9999.*Nothing was changed\. Fix:"):
        await LedgerDriver(database).ledger.open()
    ours = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with psycopg.connect(database) as connection:
        assert connection.execute(ours).fetchone() == (0,)  # a start that fails leaves no connection behind


async def test_a_replica_whose_clock_is_wrong_goes_by_the_databases(database, capfd):
    """What a replica writes down, and how long it waits, goes by the time that all share; its own clock is told."""
    async with cloud() as aom, running(database, emulator=aom, clock=lambda: system_clock() + 3 * HOUR) as rig:
        begun = system_clock()
        await rig.send(alert())
        await until(lambda: rig.active() == ["DiskFull"])
        (view,) = await rig.app.ledger._core.read(listing)
        assert begun - SECOND <= view.alarm.received_at <= system_clock() + SECOND
    assert "the clock of this replica is wrong" in "".join(capfd.readouterr())
