"""A put on PostgreSQL has its deadline too: senders get answers and the stop comes, even if the database is locked."""

import asyncio
import contextlib
import os
import signal

import psycopg
import pytest
from ledger_driver import LedgerDriver
from waiting import until

from bridge.errors import LedgerUnavailableError

pytestmark = pytest.mark.real


async def kept(database):
    """Give the alerts that a ledger holds."""
    async with LedgerDriver(database) as again:
        return [row.fingerprint for row in await again.rows()]


async def test_a_table_that_somebody_has_locked_refuses_and_leaves_no_ghost(database):
    """Everybody who waits gets the error in time; afterwards the ledger holds what was taken in, and nothing else."""
    async with LedgerDriver(database) as driver:
        await driver.fire("before")
        with psycopg.connect(database) as other:
            other.execute("LOCK TABLE alarms")
            results = await asyncio.gather(*(driver.fire(f"refused{n}") for n in range(10)), return_exceptions=True)
            assert {isinstance(result, LedgerUnavailableError) for result in results} == {True}
        assert await driver.fire("after") == "new"
    assert await kept(database) == ["before", "after"]


async def test_a_lock_that_ends_when_the_sender_has_been_refused_leaves_no_ghost(database, monkeypatch):
    """A transaction that gets its turn too late looks at the time before it commits."""
    monkeypatch.setattr("bridge.ledger.writer.group_commit.MAX_PUT_SECONDS", 1.2)
    async with LedgerDriver(database) as driver:
        await driver.fire("before")
        with psycopg.connect(database) as other:
            other.execute("LOCK TABLE alarms")
            with pytest.raises(LedgerUnavailableError, match="did not commit within"):
                await driver.fire("refused")
        monkeypatch.undo()
        assert await driver.fire("after") == "new"
    assert await kept(database) == ["before", "after"]


@contextlib.contextmanager
def stopped(database):
    """Let the server's processes for a database stand still."""
    with psycopg.connect(database) as other:
        query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        pids = [row[0] for row in other.execute(query)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def test_a_server_that_stands_still_holds_up_neither_an_answer_nor_the_stop(database, monkeypatch):
    """Senders are refused in time, the stop breaks the connection it waits for, and nothing refused is kept."""
    monkeypatch.setattr("bridge.ledger.writer.group_commit.MAX_PUT_SECONDS", 1.2)
    driver = LedgerDriver(database)
    await driver.ledger.open()
    await driver.fire("before")
    with stopped(database):
        with pytest.raises(LedgerUnavailableError, match="did not commit within"):
            await driver.fire("refused")
        driver.ledger.hurry(0.2)
        closing = asyncio.create_task(driver.ledger.close())
        await until(closing.done)
        closing.result()
    assert await kept(database) == ["before"]
