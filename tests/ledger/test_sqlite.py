"""The ledger on SQLite: which files it takes, and what it does when the file or the disk fails."""

import asyncio
import contextlib
import hashlib
import re
import sqlite3
from pathlib import Path

import pytest
from ledger_driver import LedgerDriver
from sqlalchemy.exc import OperationalError

from bridge.errors import LedgerStartError, LedgerUnavailableError
from bridge.ledger import migrations


@pytest.fixture
async def driver(tmp_path):
    """A fresh ledger."""
    async with LedgerDriver(tmp_path / "ledger.db") as made:
        yield made


async def test_a_second_process_on_the_same_file_is_told_so(tmp_path):
    """Two ledgers on one file: the second one says so, and how to mend it."""
    async with LedgerDriver(tmp_path / "l.db"):
        with pytest.raises(LedgerStartError, match=r"another process uses this ledger.*Fix:"):
            await LedgerDriver(tmp_path / "l.db").ledger.open()


async def test_a_file_that_is_no_ledger_is_refused_and_left_alone(tmp_path):
    """A foreign file gives an error that names the fix, and is not touched."""
    path = tmp_path / "notes.txt"
    path.write_bytes(b"not a database at all, but somebody's notes" * 50)
    with pytest.raises(LedgerStartError, match="Fix:"):
        await LedgerDriver(path).ledger.open()
    assert path.read_bytes().startswith(b"not a database")


async def test_a_missing_folder_is_named(tmp_path):
    """A ledger in a folder that does not exist says which folder."""
    with pytest.raises(LedgerStartError, match=r"nowhere.*Fix:"):
        await LedgerDriver(tmp_path / "nowhere" / "l.db").ledger.open()


@pytest.mark.slow
async def test_a_locked_database_refuses_all_who_wait_at_once(driver):
    """While another connection holds the database, puts do not wait for each other's timeouts one after another."""
    other = sqlite3.connect(driver.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    async with asyncio.timeout(9):  # Alertmanager gives up after 10 s; one by one these would take 20 s
        results = await asyncio.gather(*(driver.fire(str(i)) for i in range(10)), return_exceptions=True)
    assert {isinstance(result, LedgerUnavailableError) for result in results} == {True}
    other.execute("ROLLBACK")
    other.close()
    assert await driver.fire("1") == "new"


async def test_a_ledger_file_that_vanished_is_noticed_before_the_next_commit(driver):
    """SQLite would write to a deleted file; a put raises instead, since what it promised could not be found again."""
    await driver.fire("a")
    driver.path.rename(driver.path.with_name("moved.db"))
    with pytest.raises(
        LedgerUnavailableError, match=r"was deleted or replaced while it was open. Fix: put a backup back"
    ):
        await driver.fire("b")
    driver.path.with_name("moved.db").rename(driver.path)
    assert await driver.fire("b") == "new"


async def test_a_failing_commit_is_an_error_and_keeps_nothing(driver):
    """When the database refuses to write, the put raises, and the next one after the mend succeeds."""
    other = sqlite3.connect(driver.path, isolation_level=None)
    other.execute("CREATE TRIGGER broken BEFORE INSERT ON alarms BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    with pytest.raises(LedgerUnavailableError, match="disk is full"):
        await driver.fire()
    other.execute("DROP TRIGGER broken")
    other.close()
    assert await driver.fire() == "new"


@pytest.mark.parametrize("damage", ["header", "middle", "truncated"])
async def test_a_damaged_file_is_refused_and_left_alone(tmp_path, damage):
    """A ledger that a bad disk has bitten says so, with the fix, and not a byte of it changes."""
    path = tmp_path / "ledger.db"
    async with LedgerDriver(path) as driver:
        await driver.put([driver.arrival("firing", f"a{number}") for number in range(300)])
    raw = bytearray(path.read_bytes())
    if damage == "header":
        raw[16:24] = b"\xff" * 8
    elif damage == "middle":
        raw[5 * 4096 : 9 * 4096] = b"\xa5" * (4 * 4096)
    else:
        del raw[len(raw) // 2 :]
    path.write_bytes(raw)
    with pytest.raises(LedgerStartError, match=r"damaged.*Nothing was changed\. Fix: move it away") as caught:
        await LedgerDriver(path).ledger.open()
    assert str(path) in str(caught.value)
    assert path.read_bytes() == bytes(raw)


async def test_another_programs_database_is_refused_and_left_alone(tmp_path):
    """A SQLite file that is not a ledger is not turned into one."""
    path = tmp_path / "grafana.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE dashboards (id INTEGER)")
    other.commit()
    other.close()
    before = path.read_bytes()
    with pytest.raises(LedgerStartError, match=r"another program's database.*Fix:"):
        await LedgerDriver(path).ledger.open()
    assert path.read_bytes() == before


async def test_a_ledger_of_a_later_version_is_refused_and_left_alone(tmp_path):
    """After a downgrade the ledger says which version wrote it, and stays as it is."""
    path = tmp_path / "ledger.db"
    async with LedgerDriver(path):
        pass
    later = sqlite3.connect(path)
    later.execute("UPDATE ledger_version SET version_num = '9999'")
    later.commit()
    later.close()
    with pytest.raises(LedgerStartError, match=r"later version.*9999.*Nothing was changed.*Fix:"):
        await LedgerDriver(path).ledger.open()


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "9p", "ceph"])
async def test_a_network_file_system_is_refused(tmp_path, monkeypatch, kind):
    """SQLite is not safe on a network file system: the start names it and what to use instead, and writes nothing."""
    mounts = tmp_path / "mountinfo"
    folder = tmp_path / "with space"
    folder.mkdir()
    point = str(folder).replace(" ", "\\040")
    mounts.write_text(f"1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:50 / {point} rw - {kind} server:/share rw\n")
    monkeypatch.setattr("bridge.ledger.storage.sqlite._MOUNTS", mounts)
    with pytest.raises(LedgerStartError, match=rf"network file system \({kind}\).*Fix: a local disk.*PostgreSQL"):
        await LedgerDriver(folder / "ledger.db").ledger.open()
    assert list(folder.iterdir()) == []
    async with LedgerDriver(tmp_path / "beside.db"):
        pass


async def test_a_disk_that_is_full_refuses_and_recovers(driver):
    """While the database may not grow, puts raise and keep nothing; afterwards they pass again."""
    pages = await driver.ledger._core.write(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar())
    await driver.ledger._core.write(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count={pages}").scalar())
    with pytest.raises(LedgerUnavailableError, match="full"):
        await driver.put([driver.arrival("firing", f"a{number}") for number in range(500)])
    assert await driver.rows() == []
    await driver.ledger._core.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count=100000").scalar())
    assert await driver.fire() == "new"


async def test_no_transaction_of_the_storm_reads_a_whole_table(driver):
    """Puts, claims and settles find their rows by an index, however many there are; also when an alert fires again."""
    said = []
    connection = driver.ledger._core.transactions._executor._connected().connection.driver_connection
    connection.set_trace_callback(said.append)
    for _ in range(3):
        await driver.fire()
        await driver.deliver()
        await driver.resolve()
        await driver.deliver()
    connection.set_trace_callback(None)
    statements = {text for text in said if text.startswith(("SELECT", "UPDATE", "INSERT", "WITH"))}
    assert len(statements) > 10
    with contextlib.closing(sqlite3.connect(driver.path)) as other:
        for text in statements:
            plan = " / ".join(row[3] for row in other.execute(f"EXPLAIN QUERY PLAN {text}"))
            assert not re.search(r"SCAN (alarms|earlier|alarm_contents)\b", plan), f"{text}: {plan}"


class Refusing:
    """A connection that fails as SQLite does when it cannot read."""

    def __init__(self, code):
        self.code = code

    def __call__(self, _path, _connection):
        error = sqlite3.OperationalError("no")
        error.sqlite_errorcode = self.code
        raise OperationalError("SELECT", {}, error)


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_IOERR_READ])
async def test_a_good_file_that_cannot_be_read_now_is_not_called_damaged(tmp_path, monkeypatch, code):
    """A full disk, a lock or a failing read says so, and that it may pass; it does not say to move the ledger."""
    async with LedgerDriver(tmp_path / "l.db") as driver:
        await driver.fire()
    monkeypatch.setattr("bridge.ledger.storage.sqlite._examine_tables", Refusing(code))
    with pytest.raises(LedgerUnavailableError, match="cannot be read now"):
        await LedgerDriver(tmp_path / "l.db").ledger.open()
    monkeypatch.undo()
    async with LedgerDriver(tmp_path / "l.db") as driver:
        assert len(await driver.rows()) == 1


@pytest.mark.parametrize("code", [sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY])
async def test_a_file_without_the_rights_is_not_called_damaged(tmp_path, monkeypatch, code):
    """Missing rights are told as such."""
    async with LedgerDriver(tmp_path / "l.db"):
        pass
    monkeypatch.setattr("bridge.ledger.storage.sqlite._examine_tables", Refusing(code))
    with pytest.raises(LedgerStartError, match=r"Fix: let the bridge read and write it"):
        await LedgerDriver(tmp_path / "l.db").ledger.open()


OTHERS = {
    "the columns of alarms differ: more": "ALTER TABLE alarms ADD COLUMN more INTEGER",
    "the columns of alarms differ: detail": "ALTER TABLE alarms DROP COLUMN detail",
    "indexes of alarms are missing or different: alarms_due": "DROP INDEX alarms_due",
    "the table ledger_counters is missing": "DROP TABLE ledger_counters",
}


@pytest.mark.parametrize(("difference", "change"), OTHERS.items(), ids=OTHERS)
async def test_a_ledger_of_our_version_with_another_schema_is_refused(tmp_path, difference, change):
    """One that a development version has made would refuse every webhook: the start says what differs, and the fix."""
    path = tmp_path / "l.db"
    async with LedgerDriver(path):
        pass
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute(change)
        other.commit()
    with pytest.raises(LedgerStartError, match=rf"another schema: {difference}\. Nothing was changed\. Fix:"):
        await LedgerDriver(path).ledger.open()


LANDED = {
    "0001_alarms.py": "610b703f28469bb05a29d8b3dba0af1ef9bb96a901ce0d16be24a16137ab5454",
    "0002_what_aom_was_told.py": "48670f8c32016af9ee90f873b0d033e0de4f0a42b74148f094083ce3b44739ac",
    "0003_changes.py": "04a1d804e70d1664a2d141bc17c5f4da68ac069b6384cef7576cfa906379327d",
    "0004_phase.py": "990a103826a134c8b6e107f71899cb3ae491cfad4d71606cd0098ce5fbdb6991",
    "0005_listed.py": "4f79fef0d3adaaf43f32a1b6a8cc23fe400373e177c18d0e2d2c9852db5cff97",
    "0006_heartbeats.py": "99cdd36f476f72286cfecb2408287503b615af9f23256340bee75a2951fb1b07",
    "0007_steps.py": "2e255950e4447416ac06fb6246afd7a20b96fea8f904fa8fe2fb9e145fee446a",
    "0008_search.py": "c7a959e297a5ad208f22981eb6b410c8d6c4292b5e2743297b0a3eeeafc35e58",
}
"""A migration that has landed is never edited: ledgers that it has made would bear its number with another schema."""


def test_no_migration_that_has_landed_is_edited():
    """A change of the schema is a migration of its own; a new one is added here with its sum when it lands."""
    folder = Path(migrations.__file__).parent / "versions"
    assert {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.glob("0*.py")} == LANDED


async def test_a_log_that_fills_the_disk_is_copied_back_and_the_put_is_kept(tmp_path):
    """Where the log cannot grow any more but can be copied back, no put is refused: it is tried once more."""
    async with LedgerDriver(tmp_path / "ledger.db") as driver:
        for number in range(30):
            await driver.fire(f"a{number}")
        log = driver.path.with_name("ledger.db-wal")
        large = log.stat().st_size
        steps = iter([sqlite3.SQLITE_FULL])

        def full_at_first(connection):
            for code in steps:
                Refusing(code)(None, connection)
            return connection.exec_driver_sql("UPDATE ledger_counters SET value = 5 WHERE name = 'probed_at'").rowcount

        assert await driver.ledger._core.write(full_at_first) == 1
        assert log.stat().st_size < large


def without_new_tables(connection):
    """Undo the migrations from 0005 on, so that a ledger is of an earlier version."""
    connection.execute("DROP INDEX alarms_rejected")
    for column in ("opened_by", "ended_by"):
        connection.execute(f"ALTER TABLE alarms DROP COLUMN {column}")
    for index in ("alarms_unfinished", "alarms_ended", "alarms_past"):
        connection.execute(f"DROP INDEX {index}")
    for table in (
        "alarm_search",
        "ledger_steps",
        "ledger_listed",
        "ledger_sources",
        "ledger_differences",
        "ledger_heartbeats",
    ):
        connection.execute(f"DROP TABLE {table}")


@pytest.mark.parametrize(
    ("reason", "action", "phase"),
    [
        ("confirming", "clear", "confirming"),
        ("paused", "report", "paused"),
        ("unseen", "clear", "unseen"),
        ("not_listed", "clear", "not_listed"),
        ("refused", "clear", "refused_once"),
        ("timeout", "report", "retrying"),
    ],
)
async def test_an_alarm_that_waits_gets_its_phase_from_the_reason(tmp_path, reason, action, phase):
    """A ledger of the version before had no phase: what the last try has left to the next one is not lost."""
    async with LedgerDriver(tmp_path / "ledger.db") as driver:
        await driver.fire()
        if action == "clear":
            await driver.deliver()
            await driver.resolve()
        (claim,) = await driver.claim()
        await driver.release(claim)
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("UPDATE alarms SET reason = ?", (reason,))
        connection.execute("ALTER TABLE alarms DROP COLUMN phase")
        without_new_tables(connection)
        connection.execute("UPDATE ledger_version SET version_num = '0003'")
    connection.close()
    async with LedgerDriver(tmp_path / "ledger.db") as driver:
        assert [row.phase for row in await driver.rows()] == [phase]
