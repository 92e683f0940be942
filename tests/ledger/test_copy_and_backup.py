"""`aom-bridge ledger`: the whole ledger in another database or in a backup, and the bridge goes on with it."""

import asyncio
import threading

import pytest
import sqlalchemy as sa
from bridge_rig import running
from ledger_driver import BY, T0, LedgerDriver
from ledger_rows import listing
from process import bridge_command, run, serving
from replica_process import post, replica
from waiting import PATIENCE, until
from webhooks import alert, resolved

from bridge.emulator import Emulator, Options
from bridge.errors import LedgerStartError
from bridge.ledger import Edited, OfflineLedger, trace
from bridge.ledger.backup import back_up
from bridge.ledger.copy import copy
from bridge.ledger.operations import queries
from bridge.ledger.storage.database import editing, looking_at
from bridge.ledger.storage.schema import changes

pytestmark = pytest.mark.real


def unseen(_done, _total):
    """Take how much is copied, and forget it."""


def shown(url):
    """Give all that a ledger holds."""
    with looking_at(url) as connection:
        return listing(connection), queries.edits(connection)


@pytest.mark.parametrize("way", ["to PostgreSQL", "to SQLite"])
async def test_everything_is_copied(way, database, tmp_path):
    """Rows, events, counters: what is in the one database is in the other; what was claimed is due, and in doubt.

    How much is copied is told meanwhile.
    """
    file = f"sqlite:///{tmp_path}/l.db"
    here, there = (file, database) if way == "to PostgreSQL" else (database, file)
    async with LedgerDriver(here) as driver:
        for number in range(1_200):
            await driver.fire(f"a{number}")
        await driver.deliver()
        await driver.resolve("a1", end=T0 + 1)
        claimed = {claim.alarm.seq for claim in await driver.claim(limit=3)}
        before, edits = shown(here)
    told = []
    assert copy(here, there, T0, lambda *counts: told.append(counts)) == 1_200
    assert told == [(500, 1_200), (1_000, 1_200), (1_200, 1_200)]
    after, edits_after = shown(there)
    assert edits_after == edits
    assert len(after) == 1_200
    for old, new in zip(before, after, strict=True):
        if old.alarm.seq in claimed:
            assert (new.alarm.claimed_by, new.alarm.doubt_at) == (None, T0)
        else:
            assert new == old
    async with LedgerDriver(there) as driver:
        await driver.fire("new")
        assert sum(driver.ledger.counts().values()) == 1_201


def edited(url, *ids):
    """Keep the trace of changes by the command line; give what no log has a line of yet."""
    results = [Edited(own_id, done=True, text="t") for own_id in ids]
    with editing(url) as engine, engine.begin() as connection:
        trace.keep(connection, "clear", results, BY, T0, is_of_all=False)
        return list(connection.execute(sa.select(changes.c.id).order_by(changes.c.seq)).scalars())


@pytest.mark.parametrize("way", ["to PostgreSQL", "to SQLite"])
async def test_the_trace_of_changes_is_copied(way, database, tmp_path):
    """What the command line has changed, and no log has a line of, goes along, and more may follow."""
    file = f"sqlite:///{tmp_path}/l.db"
    here, there = (file, database) if way == "to PostgreSQL" else (database, file)
    async with LedgerDriver(here):
        pass
    assert edited(here, "a", "b") == ["a", "b"]
    copy(here, there, T0)
    assert edited(there, "c") == ["a", "b", "c"]


@pytest.mark.parametrize("way", ["to PostgreSQL", "to SQLite"])
async def test_the_history_of_each_alarm_is_copied(way, database, tmp_path):
    """Its steps go along in their order, and those that follow come after them."""
    file = f"sqlite:///{tmp_path}/l.db"
    here, there = (file, database) if way == "to PostgreSQL" else (database, file)
    async with LedgerDriver(here) as driver:
        for name in ("a", "b"):
            await driver.fire(name)
        for what in ("clear", "discard"):
            await driver.ledger.records.edit(what, ["a", "b"], lambda *_: None, BY)
    before = OfflineLedger(here).show("a").steps
    assert [step.kind for step in before] == ["clear", "discard"]
    copy(here, there, T0)
    assert OfflineLedger(there).show("a").steps == before
    async with LedgerDriver(there) as driver:
        await driver.fire("c")
        await driver.ledger.records.edit("clear", ["c"], lambda *_: None, BY)
        assert [step.kind for step in (await driver.ledger.records.show("c")).steps] == ["clear"]
        assert (await driver.ledger.records.show("b")).steps == before


async def test_the_bridge_goes_on_with_the_copy(database, tmp_path):
    """Alarms that were reported from the SQLite file are cleared by the bridge on PostgreSQL."""
    emulator = Emulator(Options(port=0))
    await emulator.start()
    one = alert("A")
    try:
        async with running(tmp_path / "l.db", emulator=emulator) as rig:
            await rig.send(one)
            await until(lambda: rig.active() == ["A"])
        code, out, err = await run(*bridge_command("ledger", "copy", f"sqlite:///{tmp_path}/l.db", database))
        assert (code, err) == (0, "")
        assert out.startswith("1 alarm(s) copied. Now set store.url")
        async with replica(tmp_path / "pg", emulator.url, database) as (_, url):
            assert (await post(url, resolved(one)))[0] == 200
            await until(lambda: not emulator.snapshot()["active"])
    finally:
        await emulator.stop()


async def test_what_cannot_be_copied_is_refused_untouched(database, tmp_path):
    """No ledger, a full one as the aim, and one that serve runs on: a sentence each, and nothing is changed."""
    file = f"sqlite:///{tmp_path}/l.db"
    with pytest.raises(LedgerStartError, match="no ledger is at"):
        copy(file, database, T0)
    async with LedgerDriver(file) as driver:
        await driver.fire("a")
        with pytest.raises(LedgerStartError, match="another process uses this ledger"):
            copy(file, database, T0)
    copy(file, database, T0)
    with pytest.raises(LedgerStartError, match="holds alarms already"):
        copy(file, database, T0)


async def test_no_password_stands_in_the_process_list():
    """An address with a password is refused with the way to give it."""
    code, _, err = await run(*bridge_command("ledger", "copy", "sqlite:///x.db", "postgresql://u:s3cret@h/db"))
    assert code == 2
    assert "PGPASSWORD" in err
    assert "s3cret" not in err


async def test_a_backup_beside_the_bridge_is_whole_and_can_be_restored(tmp_path):
    """Taken while webhooks come in, put back as docs/operations.md says: the ledger of that moment, undamaged."""
    file, copied = tmp_path / "l.db", tmp_path / "backup.db"
    async with LedgerDriver(f"sqlite:///{file}") as driver:
        for number in range(300):
            await driver.fire(f"a{number}")
        await driver.ledger.records.edit("clear", ["a0"], lambda *_: None, BY)
        assert await asyncio.to_thread(back_up, f"sqlite:///{file}", copied, unseen) == 300
        before, _ = shown(f"sqlite:///{file}")
        for number in range(300, 3_000):
            await driver.fire(f"a{number}")
    assert {path.name for path in tmp_path.iterdir() if "backup" in path.name} == {"backup.db"}
    assert copied.stat().st_mode & 0o077 == 0
    for path in tmp_path.glob("l.db*"):
        path.unlink()
    copied.rename(file)
    async with LedgerDriver(f"sqlite:///{file}") as driver:
        assert shown(f"sqlite:///{file}")[0] == before
        assert [step.kind for step in (await driver.ledger.records.show("a0")).steps] == ["clear"]
        await driver.fire("new")


async def test_a_backup_goes_on_while_the_bridge_writes(tmp_path, monkeypatch):
    """Its steps count up to all pages, and what is written meanwhile does not make it begin anew."""
    monkeypatch.setattr("bridge.ledger.backup._STEP_PAGES", 1)
    steps, written = [], threading.Event()
    async with LedgerDriver(f"sqlite:///{tmp_path}/l.db") as driver:
        for number in range(50):
            await driver.fire(f"a{number}")

        def on_copied(done, total):
            steps.append((done, total))
            if len(steps) == 2:
                written.wait(PATIENCE)

        copying = asyncio.create_task(
            asyncio.to_thread(back_up, f"sqlite:///{tmp_path}/l.db", tmp_path / "b.db", on_copied)
        )
        await until(lambda: len(steps) == 2)
        for number in range(50, 100):
            await driver.fire(f"a{number}")
        written.set()
        assert await copying == 50
    (total,) = {total for _, total in steps}
    assert [done for done, _ in steps] == list(range(1, total + 1))


async def test_a_backup_that_cannot_be_is_refused_with_the_fix(tmp_path, database):
    """A name that is taken, no ledger, PostgreSQL, a folder that is not there: a sentence each, and no half copy."""
    file = f"sqlite:///{tmp_path}/l.db"
    with pytest.raises(LedgerStartError, match="no ledger is at"):
        back_up(file, tmp_path / "b.db", unseen)
    async with LedgerDriver(file) as driver:
        await driver.fire("a")
    with pytest.raises(LedgerStartError, match="pg_dump"):
        back_up(database, tmp_path / "b.db", unseen)
    with pytest.raises(LedgerStartError, match="could not be copied"):
        back_up(file, tmp_path / "nowhere" / "b.db", unseen)
    (tmp_path / "b.db").write_text("mine")
    with pytest.raises(LedgerStartError, match="there already"):
        back_up(file, tmp_path / "b.db", unseen)
    assert (tmp_path / "b.db").read_text() == "mine"


async def test_a_backup_by_the_command_line_asks_the_configuration_where(tmp_path):
    """`aom-bridge ledger backup FILE` beside the real process copies what its configuration names."""
    emulator = Emulator(Options(port=0))
    await emulator.start()
    try:
        async with serving(tmp_path, emulator.url) as (_, url):
            assert (await post(url, alert("A")))[0] == 200
            command = ("ledger", "backup", f"--config.file={tmp_path}/bridge.yaml", str(tmp_path / "b.db"))
            code, out, err = await run(*bridge_command(*command))
            assert (code, out, err) == (0, f"1 alarm(s) copied to {tmp_path}/b.db; the bridge may run on.\n", "")
    finally:
        await emulator.stop()
