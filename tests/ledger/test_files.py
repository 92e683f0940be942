"""The files of a SQLite ledger under the bridge: what is removed, replaced or cut there is a 503, never a lie."""

import os
import shutil
import sqlite3
import subprocess

import pytest
from ledger_driver import LedgerDriver
from sqlalchemy.exc import OperationalError

from bridge.errors import LedgerUnavailableError


@pytest.fixture(params=["one process", pytest.param("with a writer process", marks=pytest.mark.real)])
async def driver(request, tmp_path, monkeypatch):
    """A ledger that holds some alarms, most of them in its log still."""
    monkeypatch.setattr(LedgerDriver, "has_writer", "writer" in request.param)
    async with LedgerDriver(tmp_path / "ledger.db") as made:
        for number in range(20):
            await made.fire(f"before{number}")
        yield made


async def reopened(path):
    """Give the alerts that a ledger holds after a restart."""
    shutil.copytree(path.parent, path.parent / "copy", ignore=shutil.ignore_patterns("copy"))
    async with LedgerDriver(path.parent / "copy" / path.name) as again:
        return [row.fingerprint for row in await again.rows()]


def summed(path):
    """Give the sum of a file, read by another process: to close a file here would end SQLite's locks on it."""
    return subprocess.run(["sha256sum", path], check=True, capture_output=True).stdout  # noqa: S607 - of the system


BEFORE = [f"before{number}" for number in range(20)]


def beside(driver, ending):
    """Give a file beside the database."""
    return driver.path.with_name(driver.path.name + ending)


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["", "-wal", "-shm"])
@pytest.mark.parametrize("is_replaced", [False, True], ids=["removed", "replaced"])
async def test_a_file_that_has_gone_is_an_error_that_names_it(driver, ending, is_replaced):
    """Any of the three files removed or replaced: puts and the probe are refused with the fix until the restart."""
    file = beside(driver, ending)
    file.rename(file.with_suffix(".away"))
    if is_replaced:
        shutil.copy(file.with_suffix(".away"), file)
    for _ in range(2):
        with pytest.raises(
            LedgerUnavailableError,
            match=rf"ledger.db{ending} was deleted or replaced while it was open. Fix: put a backup back",
        ):
            await driver.fire("after")
        with pytest.raises(LedgerUnavailableError, match="was deleted or replaced while it was open"):
            await driver.ledger.probe()


async def test_what_was_kept_before_the_log_was_removed_is_not_lost(driver):
    """What got its 200 is copied back at once, so that it is there whichever way the bridge ends."""
    beside(driver, "-wal").unlink()
    with pytest.raises(LedgerUnavailableError):
        await driver.fire("after")
    beside(driver, "-shm").unlink()
    assert await reopened(driver.path) == BEFORE


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
async def test_a_log_that_was_cut_is_seen_before_the_next_commit(driver, share):
    """Not one byte may be missing of what was committed, and nothing is committed behind a hole."""
    log = beside(driver, "-wal")
    os.truncate(log, int(log.stat().st_size * share))
    for _ in range(2):
        with pytest.raises(LedgerUnavailableError, match=r"ledger.db-wal was cut .* Fix: restart"):
            await driver.fire("after")


async def test_a_database_that_was_cut_is_seen_before_the_next_commit(driver):
    """The main file as well, once the log was copied back into it."""
    with sqlite3.connect(driver.path) as other:
        other.execute("PRAGMA wal_checkpoint(PASSIVE)")
    other.close()
    await driver.fire("more")
    os.truncate(driver.path, driver.path.stat().st_size - 4_096)
    with pytest.raises(LedgerUnavailableError, match=r"ledger.db was cut .* Fix: restart"):
        await driver.fire("after")


@pytest.mark.real
@pytest.mark.parametrize("share", [0.5, 0.9, 0.97])
async def test_a_log_that_was_cut_leaves_a_whole_ledger(tmp_path, share):
    """After the restart the ledger holds what came before the cut, and no part of a transaction is mixed in."""
    async with LedgerDriver(tmp_path / "ledger.db") as driver:
        for number in range(20):
            await driver.fire(f"before{number}")
            await driver.deliver()
        log = beside(driver, "-wal")
        os.truncate(log, int(log.stat().st_size * share))
        with pytest.raises(LedgerUnavailableError):
            await driver.fire("after")
        before = summed(driver.path)
    assert summed(driver.path) == before
    async with LedgerDriver(tmp_path / "ledger.db") as again:
        kept = [row.fingerprint for row in await again.rows()]
        assert kept == BEFORE[: len(kept)]
        assert kept
        assert await again.fire("after") == "new"


@pytest.mark.real
async def test_a_full_disk_copies_nothing_back_from_a_log_that_was_cut(driver):
    """What SQLite says of a cut log may sound like a full disk: the cut is what is told, and nothing is copied."""
    before = summed(driver.path)
    os.truncate(beside(driver, "-wal"), beside(driver, "-wal").stat().st_size // 2)
    full = OperationalError("COMMIT", {}, sqlite3.OperationalError("disk I/O error"))
    full.orig.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHORT_READ
    with pytest.raises(LedgerUnavailableError, match="was cut"):
        driver.ledger._core.database.relieve(full)
    assert summed(driver.path) == before


@pytest.mark.slow
async def test_checkpoints_and_a_shrinking_file_are_no_cuts(driver):
    """What SQLite does by itself, by whichever process, is never taken for somebody else's deed."""
    for kind in ("PASSIVE", "FULL", "RESTART", "TRUNCATE"):
        with sqlite3.connect(driver.path) as other:
            other.execute(f"PRAGMA wal_checkpoint({kind})")
        other.close()
        await driver.fire(kind)
    for _ in range(3):
        await driver.ledger._core.write(lambda c: c.exec_driver_sql("CREATE TABLE large AS SELECT randomblob(2000000)"))
        await driver.ledger._core.write(lambda c: c.exec_driver_sql("DROP TABLE large"))
        await driver.fire("large")
        while await driver.ledger._core.write(driver.ledger._core.database.trim):
            await driver.fire("trimmed")
        with sqlite3.connect(driver.path) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        other.close()
        await driver.fire("small")
    assert await driver.deliver()


async def test_the_files_are_their_owners_alone(tmp_path):
    """Database, log, index and lock are 0600 whatever the umask is, and files of an earlier version become so."""
    before = os.umask(0)
    try:
        async with LedgerDriver(tmp_path / "ledger.db") as driver:
            await driver.fire()
            files = list(tmp_path.iterdir())
            assert len(files) == 4
            assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
        for file in tmp_path.iterdir():
            file.chmod(0o644)
        async with LedgerDriver(tmp_path / "ledger.db") as driver:
            await driver.fire("b")
            assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
    finally:
        os.umask(before)
