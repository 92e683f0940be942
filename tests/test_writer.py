"""The writing process: it comes and goes with the bridge's own, and its end costs no alarm."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import pytest
from book import Book
from conftest import alert, until
from process import children, serving
from test_end_to_end import cloud, post

from bridge.errors import LedgerUnavailableError


@pytest.fixture
async def book(tmp_path, monkeypatch):
    """A fresh ledger with a writing process."""
    monkeypatch.setattr(Book, "has_writer", True)
    async with Book(tmp_path / "ledger.db") as made:
        yield made


def is_running(pid):
    """Say whether there is such a process, and it has not ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


async def test_without_its_writing_process_a_ledger_goes_on_by_itself(book):
    """When the writing process is killed in a storm, what was under way is refused, and all else is kept and served."""
    await book.fire("before")
    storm = [asyncio.create_task(book.fire(f"a{n}")) for n in range(50)]
    os.kill(book.writer.pid, signal.SIGKILL)
    results = await asyncio.gather(*storm, return_exceptions=True)
    assert {type(result) for result in results} <= {str, LedgerUnavailableError}
    for n in range(50):
        await book.fire(f"a{n}")
    assert sorted(await book.deliver()) == ["report"] * 51
    assert await book.states() == ["reported"] * 51


async def test_a_write_of_our_own_gets_its_turn_in_a_storm(book):
    """What cannot travel, such as an edit or a probe, waits for what is under way only, never for the storm's end."""
    is_over = asyncio.Event()

    async def storm(name):
        count = 0
        while not is_over.is_set():
            await book.fire(f"{name}-{count}")
            count += 1

    storms = [asyncio.create_task(storm(n)) for n in range(8)]
    for _ in range(20):
        await book.ledger.probe()
    is_over.set()
    await asyncio.gather(*storms)


async def test_a_claim_that_nobody_waits_for_any_more_is_ended_all_the_same(book):
    """A cancelled claim has its end before the cancellation shows: its holder can give back what it took."""
    for n in range(20):
        await book.fire(f"a{n}")
    os.kill(book.writer.pid, signal.SIGSTOP)
    claim = asyncio.create_task(book.ledger.claim("default", "report", "w", 100))
    await asyncio.wait({claim}, timeout=0.1)
    claim.cancel()
    assert await asyncio.wait({claim}, timeout=0.1) == (set(), {claim})
    os.kill(book.writer.pid, signal.SIGCONT)
    with contextlib.suppress(asyncio.CancelledError):
        await claim
    assert {row.claimed_by for row in await book.rows()} == {"w"}
    await book.ledger.give_back("w")
    assert await book.deliver() == ["report"] * 20


async def test_a_killed_bridge_takes_its_writing_process_along(tmp_path):
    """After `kill -9` of the bridge nobody writes the ledger any more, and the next start finds it free at once."""
    async with cloud() as aom:
        async with serving(tmp_path, aom.url) as (process, url):
            assert await post(url, alert(pod="a")) == 200
            (writer,) = children(process.process.pid)
            process.kill()
            await until(lambda: not is_running(writer))
        async with serving(tmp_path, aom.url) as (process, url):
            assert await post(url, alert(pod="b")) == 200
            await until(lambda: len(aom.snapshot()["active"]) == 2)


async def test_a_bridge_whose_writing_process_is_killed_serves_on(tmp_path):
    """`kill -9` of the writing process alone: one line says so, webhooks are kept, AOM gets them, the stop is clean."""
    async with cloud() as aom, serving(tmp_path, aom.url) as (process, url):
        (writer,) = children(process.process.pid)
        os.kill(writer, signal.SIGKILL)

        async def is_kept():
            return await post(url, alert(pod="a")) == 200

        await until(is_kept)
        await until(lambda: len(aom.snapshot()["active"]) == 1)
        assert process.terminate() == 0
        assert process.output.count("the writing process has ended") == 1


async def test_a_stop_of_the_whole_process_group_is_clean(tmp_path):
    """Ctrl-C and systemd signal both processes: what is under way is finished, the exit code is 0, both are gone."""
    async with cloud() as aom, serving(tmp_path, aom.url) as (process, url):
        (writer,) = children(process.process.pid)
        os.kill(writer, signal.SIGTERM)
        os.kill(writer, signal.SIGINT)
        assert await post(url, alert(pod="a")) == 200
        assert process.terminate() == 0
        assert not is_running(writer)
        assert "the writing process has ended" not in process.output
