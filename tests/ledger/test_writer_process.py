"""The writer process: it comes and goes with the bridge's own, and its end costs no alarm."""

import asyncio
import contextlib
import os
import signal
import sqlite3
from pathlib import Path

import aiohttp
import pytest
from emulated_aom import cloud, names
from ledger_driver import GROUP, READER, ArrivalsReader, LedgerDriver
from process import children, kept, metric, serving
from structlog.testing import capture_logs
from waiting import until
from webhooks import alert, post

from bridge.errors import LedgerUnavailableError
from bridge.ledger import ArrivedAlert
from bridge.ledger.writer.client import WriterError
from bridge.ledger.writer.messages import ProbeRequest

pytestmark = pytest.mark.real


@pytest.fixture
async def driver(tmp_path, monkeypatch):
    """A fresh ledger with a writer process."""
    monkeypatch.setattr(LedgerDriver, "has_writer", True)
    monkeypatch.setattr("bridge.ledger.writer.client._MIN_PAUSE_SECONDS", 0.01)
    # On a busy machine a new process starts for longer than a webhook may wait; the deadline has tests of its own.
    monkeypatch.setattr("bridge.ledger.writer.group_commit.MAX_PUT_SECONDS", 60)
    async with LedgerDriver(tmp_path / "ledger.db") as made:
        yield made


def is_running(pid):
    """Say whether there is such a process, and it has not ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def kill_it():
    """Map an alert so that the process ends that maps it."""
    os.kill(os.getpid(), signal.SIGKILL)


async def test_a_writer_process_that_is_killed_is_started_again(driver):
    """When the writer process is killed in a storm, what was under way is refused, and all else is kept and served."""
    killed = driver.writer.pid
    await driver.fire("before")
    storm = [asyncio.create_task(driver.fire(f"a{n}")) for n in range(50)]
    os.kill(driver.writer.pid, signal.SIGKILL)
    results = await asyncio.gather(*storm, return_exceptions=True)
    assert {type(result) for result in results} <= {str, LedgerUnavailableError}
    await until(lambda: driver.writer.is_there)
    assert driver.writer.pid != killed
    for n in range(50):
        await driver.fire(f"a{n}")
    assert sorted(await driver.deliver()) == ["report"] * 51
    assert await driver.states() == ["reported"] * 51
    await until(lambda: sum(driver.ledger.counts().values()) == 51)


async def test_the_address_of_the_database_is_in_no_list_of_processes(monkeypatch, database):
    """On PostgreSQL `store.url` may hold a password: a restarted writer process gets it, but not as an argument."""
    monkeypatch.setattr(LedgerDriver, "has_writer", True)
    async with LedgerDriver(database.replace("bridge@", "bridge:s3cret-word@")) as driver:
        os.kill(driver.writer.pid, signal.SIGKILL)
        await until(lambda: not driver.writer.is_there)
        await until(lambda: driver.writer.is_there)
        assert await driver.fire() == "new"
        process = Path(f"/proc/{driver.writer.pid}")
        assert b"s3cret-word" not in (process / "cmdline").read_bytes() + (process / "environ").read_bytes()


async def test_a_put_waits_while_the_writer_process_is_started_again(driver):
    """A webhook that comes meanwhile is kept once a process is there, in time; a claim is refused at once."""
    os.kill(driver.writer.pid, signal.SIGKILL)
    await until(lambda: not driver.writer.is_there)
    with pytest.raises(LedgerUnavailableError, match="being restarted"):
        await driver.claim()
    assert await driver.fire() == "new"


async def test_a_notification_that_ends_the_writer_process_is_not_tried_again(driver):
    """Poison costs the process once: its sender is refused, and everything after it is served."""
    alert = driver.arrival("firing", "poison").alert
    with capture_logs() as lines:
        with pytest.raises(LedgerUnavailableError, match="may have been committed"):
            await driver.put([ArrivedAlert(source="s", alert=alert, group=GROUP, mapped=kill_it)])
        assert await driver.fire() == "new"
    assert [line["event"] for line in lines] == ["the ledger writer process exited; restarting it"]


async def test_a_writer_process_that_never_lives_for_long_is_started_less_and_less_often(driver):
    """Each time it exits soon after its start the pause before the next one doubles."""
    with capture_logs() as lines:
        for _ in range(3):
            await until(lambda: driver.writer.is_there)
            os.kill(driver.writer.pid, signal.SIGKILL)
            await until(lambda: not driver.writer.is_there)
        await until(lambda: len(lines) == 3)
    assert [line["in_seconds"] for line in lines] == [0.01, 0.02, 0.04]


async def test_a_message_that_cannot_be_read_does_not_end_the_writer_process(driver):
    """What the process cannot read is an error of that request alone."""
    there = driver.writer.pid
    with pytest.raises(WriterError, match="ValidationError"):
        await driver.ledger._core.transactions.execute(ProbeRequest("now"))
    assert await driver.fire() == "new"
    assert driver.writer.pid == there


async def test_new_rules_that_cannot_be_read_end_the_writer_process(driver):
    """It must not map by the old rules, nor by none: nothing is kept until rules come that it can read."""
    with capture_logs() as lines:
        driver.ledger.reconfigure({}, Unreadable())
        with pytest.raises(LedgerUnavailableError):
            await driver.fire("refused")
        assert "the ledger writer process cannot use the new rules; it is killed" in {line["event"] for line in lines}
        driver.ledger.reconfigure({}, READER)
        await until(lambda: driver.writer.is_there)
    assert await driver.fire() == "new"


class Unreadable:
    """A reader that breaks where it is unpacked."""

    def __reduce__(self):
        return divmod, (1, 0)


async def test_a_restarted_writer_process_has_the_newest_rules(driver):
    """Rules that came while there was no process are those that the next one maps by."""
    os.kill(driver.writer.pid, signal.SIGKILL)
    await until(lambda: not driver.writer.is_there)
    driver.ledger.reconfigure({}, ArrivalsReader("renamed"))
    await until(lambda: driver.writer.is_there)
    await driver.fire("a")
    assert [row.fingerprint for row in await driver.rows()] == ["renamed"]


async def test_what_was_refused_for_its_age_is_never_kept(driver, monkeypatch):
    """A put that the writer process did not commit in time is refused, and when that wakes up it leaves it out."""
    monkeypatch.setattr("bridge.ledger.writer.group_commit.MAX_PUT_SECONDS", 1.2)
    os.kill(driver.writer.pid, signal.SIGSTOP)
    with pytest.raises(LedgerUnavailableError, match="did not commit within"):
        await driver.fire("refused")
    os.kill(driver.writer.pid, signal.SIGCONT)
    monkeypatch.undo()
    assert await driver.fire("kept") == "new"
    assert [row.fingerprint for row in await driver.rows()] == ["kept"]


async def test_a_writer_process_that_stands_still_is_replaced(driver, monkeypatch):
    """One that does not answer is killed and started again: what it held is free, and what comes then is kept."""
    monkeypatch.setattr(driver.writer, "_max_still", 0.5)
    stopped = driver.writer.pid
    os.kill(stopped, signal.SIGSTOP)
    with pytest.raises(LedgerUnavailableError):
        await driver.fire("a")
    await until(lambda: driver.writer.is_there and driver.writer.pid != stopped)
    assert not is_running(stopped)
    assert await driver.fire("a") == "new"
    assert await driver.deliver() == ["report"]


async def test_a_write_of_our_own_gets_its_turn_in_a_storm(driver):
    """What cannot travel, such as an edit or a probe, waits for what is under way only, never for the storm's end."""
    is_over = asyncio.Event()

    async def storm(name):
        count = 0
        while not is_over.is_set():
            await driver.fire(f"{name}-{count}")
            count += 1

    storms = [asyncio.create_task(storm(n)) for n in range(8)]
    for _ in range(20):
        await driver.ledger.probe()
    is_over.set()
    await asyncio.gather(*storms)


async def test_a_claim_that_nobody_waits_for_any_more_is_ended_all_the_same(driver):
    """A cancelled claim has its end before the cancellation shows: its holder can give back what it took."""
    for n in range(20):
        await driver.fire(f"a{n}")
    os.kill(driver.writer.pid, signal.SIGSTOP)
    claim = asyncio.create_task(driver.ledger.due.claim("default", "report", "w", 100))
    await asyncio.wait({claim}, timeout=0.1)
    claim.cancel()
    assert await asyncio.wait({claim}, timeout=0.1) == (set(), {claim})
    os.kill(driver.writer.pid, signal.SIGCONT)
    with contextlib.suppress(asyncio.CancelledError):
        await claim
    assert {row.claimed_by for row in await driver.rows()} == {"w"}
    await driver.ledger.due.release("w")
    assert await driver.deliver() == ["report"] * 20


async def test_a_writer_process_that_is_started_again_makes_no_other_ledger(driver):
    """Where the ledger's file has gone meanwhile, the new process says so and leaves nothing in its place."""
    await driver.fire("before")
    driver.path.rename(driver.path.with_name("moved.db"))
    os.kill(driver.writer.pid, signal.SIGKILL)
    await until(lambda: not driver.writer.is_there)
    with pytest.raises(LedgerUnavailableError):
        await driver.fire("after")
    assert not driver.path.exists()


async def test_a_killed_bridge_takes_its_writing_process_along(tmp_path):
    """After `kill -9` of the bridge no process writes the ledger any more, and the next start finds it free at once."""
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
    """`kill -9` of the writer process alone: another one is started, AOM gets what comes then, the stop is clean."""
    async with cloud() as aom, serving(tmp_path, aom.url) as (process, url):
        (writer,) = children(process.process.pid)
        began = await metric(url, "aom_bridge_ledger_writer_process_start_time_seconds")
        os.kill(writer, signal.SIGKILL)

        async def is_kept():
            return await post(url, alert(pod="a")) == 200

        await until(is_kept)
        await until(lambda: len(aom.snapshot()["active"]) == 1)
        (another,) = children(process.process.pid)
        assert another != writer
        assert await metric(url, "aom_bridge_ledger_writer_process_start_time_seconds") > began
        assert process.terminate() == 0
        assert not is_running(another)
        assert process.output.count("the ledger writer process exited; restarting it") == 1


async def test_a_killed_bridge_takes_a_later_writer_process_along_too(tmp_path):
    """The one that was started again ends with the bridge as the first one does, also while it stands still."""
    async with cloud() as aom, serving(tmp_path, aom.url) as (process, url):
        os.kill(*children(process.process.pid), signal.SIGKILL)

        async def is_kept():
            return await post(url, alert(pod="a")) == 200

        await until(is_kept)
        (writer,) = children(process.process.pid)
        os.kill(writer, signal.SIGSTOP)
        process.kill()
        await until(lambda: not is_running(writer), limit=5)


async def test_a_bridge_whose_writer_process_stands_still_says_so_and_serves_on(tmp_path):
    """SIGSTOP of the writer process: 503 and not ready, then another one; AOM gets what got 200 and nothing else."""
    async with cloud() as aom, serving(tmp_path, aom.url) as (process, url):
        (writer,) = children(process.process.pid)
        os.kill(writer, signal.SIGSTOP)
        refused, ready = await asyncio.gather(post(url, alert("Refused")), probed(url))
        assert refused == 503
        assert ready == (503, "aom-bridge is not ready: the ledger did not commit in time\n")

        async def is_kept():
            return await post(url, alert("StoredContents")) == 200

        await until(is_kept)
        await until(lambda: names(aom) == {"StoredContents"})
        assert (await probed(url))[0] == 200
        assert process.output.count("the ledger writer process does not answer; it is killed") == 1
        assert process.terminate() == 0
    assert await kept(tmp_path) == {"StoredContents"}


async def probed(url):
    """Give status and sentence of the probe."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/-/ready") as response:
        return response.status, await response.text()


async def test_a_stop_does_not_wait_for_a_writer_process_that_stands_still(tmp_path):
    """SIGTERM while the writer process is stopped and a webhook waits for it: the end is clean, and comes soon."""
    async with cloud() as aom, serving(tmp_path, aom.url) as (process, url):
        assert await post(url, alert(pod="a")) == 200
        (writer,) = children(process.process.pid)
        os.kill(writer, signal.SIGSTOP)
        waiting = asyncio.create_task(post(url, alert(pod="b")))
        await asyncio.sleep(0.1)
        assert await asyncio.to_thread(process.terminate) == 0
        assert not is_running(writer)
        assert "Traceback" not in process.output
        with contextlib.suppress(aiohttp.ClientError):
            assert await waiting == 503


async def test_a_stop_does_not_wait_for_a_database_that_somebody_has_locked(tmp_path):
    """While a shell holds the database: 503 and a clean end by SIGTERM; what got 200 before is kept, nothing else."""
    async with cloud() as aom, serving(tmp_path, aom.url) as (process, url):
        assert await post(url, alert("StoredContents")) == 200
        await until(lambda: names(aom) == {"StoredContents"})
        with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as shell:
            shell.execute("BEGIN IMMEDIATE")
            assert await asyncio.gather(*(post(url, alert("Refused", n=str(n))) for n in range(20))) == [503] * 20
            assert await asyncio.to_thread(process.terminate) == 0
            shell.execute("ROLLBACK")
        assert "Traceback" not in process.output
    assert await kept(tmp_path) == {"StoredContents"}


async def test_a_stop_of_the_whole_process_group_is_clean(tmp_path):
    """Ctrl-C and systemd signal both processes: what is under way is finished, the exit code is 0, both are gone."""
    async with cloud() as aom, serving(tmp_path, aom.url) as (process, url):
        (writer,) = children(process.process.pid)
        os.kill(writer, signal.SIGTERM)
        os.kill(writer, signal.SIGINT)
        assert await post(url, alert(pod="a")) == 200
        assert await asyncio.to_thread(process.terminate) == 0
        assert not is_running(writer)
        assert "the ledger writer process exited" not in process.output
