"""The ledger on SQLite: which files it takes, and what it does when the file or the disk fails."""

import asyncio
import sqlite3

import pytest
from book import Book

from bridge.errors import LedgerStartError, LedgerUnavailableError


@pytest.fixture
async def book(tmp_path):
    """A fresh ledger."""
    async with Book(tmp_path / "ledger.db") as made:
        yield made


async def test_a_second_process_on_the_same_file_is_told_so(tmp_path):
    """Two ledgers on one file: the second one says so, and how to mend it."""
    async with Book(tmp_path / "l.db"):
        with pytest.raises(LedgerStartError, match=r"another process uses this ledger.*Fix:"):
            await Book(tmp_path / "l.db").ledger.open()


async def test_a_file_that_is_no_ledger_is_refused_and_left_alone(tmp_path):
    """A foreign file gives an error that names the fix, and is not touched."""
    path = tmp_path / "notes.txt"
    path.write_bytes(b"not a database at all, but somebody's notes" * 50)
    with pytest.raises(LedgerStartError, match="Fix:"):
        await Book(path).ledger.open()
    assert path.read_bytes().startswith(b"not a database")


async def test_a_missing_folder_is_named(tmp_path):
    """A ledger in a folder that does not exist says which folder."""
    with pytest.raises(LedgerStartError, match=r"nowhere.*Fix:"):
        await Book(tmp_path / "nowhere" / "l.db").ledger.open()


async def test_a_locked_database_refuses_all_who_wait_at_once(book):
    """While another connection holds the database, nobody waits for his neighbours' time-outs one after another."""
    other = sqlite3.connect(book.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    async with asyncio.timeout(9):  # Alertmanager gives up after 10 s; one by one these would take 20 s
        results = await asyncio.gather(*(book.fire(str(i)) for i in range(10)), return_exceptions=True)
    assert {type(result) for result in results} == {LedgerUnavailableError}
    other.execute("ROLLBACK")
    other.close()
    assert await book.fire("1") == "new"


async def test_a_ledger_file_that_vanished_is_noticed_before_the_next_commit(book):
    """SQLite would go on writing into a deleted file; a put then raises instead of promising what nobody can find."""
    await book.fire("a")
    book.path.rename(book.path.with_name("moved.db"))
    with pytest.raises(LedgerUnavailableError, match=r"has gone or was replaced. Fix: restart"):
        await book.fire("b")
    book.path.with_name("moved.db").rename(book.path)
    assert await book.fire("b") == "new"


async def test_a_failing_commit_is_an_error_and_keeps_nothing(book):
    """When the database refuses to write, the put raises, and the next one after the mend succeeds."""
    other = sqlite3.connect(book.path, isolation_level=None)
    other.execute("CREATE TRIGGER broken BEFORE INSERT ON alarms BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    with pytest.raises(LedgerUnavailableError, match="disk is full"):
        await book.fire()
    other.execute("DROP TRIGGER broken")
    other.close()
    assert await book.fire() == "new"
