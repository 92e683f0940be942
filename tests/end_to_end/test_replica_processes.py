"""Real replicas on one real PostgreSQL: kills, stalls, a database that goes away, PgBouncer, passwords."""

import asyncio
import signal

import aiohttp
import pytest
from emulated_aom import arm, by_name, cloud, disarm
from ledger_rows import listing
from postgres import pgbouncer
from process import bridge_command, run
from replica_process import LEASE_SECONDS, post, replica, write_settings
from waiting import PATIENCE, until
from webhooks import alert, resolved

from bridge.ledger.storage.database import looking_at

pytestmark = pytest.mark.real


async def get(url):
    """Give the status and the text of a page."""
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


def rows(database):
    """Give the ledger's rows, the oldest first."""
    with looking_at(database) as connection:
        return [view.alarm for view in reversed(listing(connection))]


def active(aom):
    """Give the names of AOM's open alarms."""
    return set(by_name(aom.snapshot()["active"]))


async def test_another_replica_takes_over_what_a_killed_one_held(tmp_path, database):
    """`kill -9` while AOM hangs: when the lease ends, another replica delivers what the dead one held."""
    async with cloud() as aom, replica(tmp_path / "one", aom.url, database) as (one, url):
        await arm(aom, {"on": "report", "hang": True})
        assert (await post(url, alert("A"), alert("B")))[0] == 200
        await until(lambda: aom.snapshot()["counts"]["report"] >= 1)
        one.kill()
        await disarm(aom)
        async with replica(tmp_path / "two", aom.url, database):
            await until(lambda: [row.state for row in rows(database)] == ["reported", "reported"], 2 * LEASE_SECONDS)
            assert active(aom) == {"A", "B"}
        assert all(row.reported_at - row.received_at >= LEASE_SECONDS * 1000 for row in rows(database))
        assert all(row.doubt_at is not None for row in rows(database))


async def test_a_push_that_comes_after_its_lease_leaves_no_ghost(tmp_path, database):
    """A replica stalls with its report in flight, another one reports and clears: the late report is cleared, too."""
    async with cloud() as aom, replica(tmp_path / "one", aom.url, database) as (one, url):
        late = alert("Late")
        await arm(aom, {"on": "report", "latency_ms": 3_600_000, "count": 1})
        assert (await post(url, late))[0] == 200
        await until(lambda: aom.snapshot()["counts"]["report"] == 1)
        one.process.send_signal(signal.SIGSTOP)
        try:
            async with replica(tmp_path / "two", aom.url, database) as (_, other):
                await until(lambda: active(aom) == {"Late"}, 2 * LEASE_SECONDS)
                assert (await post(other, resolved(late)))[0] == 200
                await until(lambda: [row.state for row in rows(database)] == ["cleared"])
                assert active(aom) == set()
                await disarm(aom)
                await until(lambda: active(aom) == {"Late"})  # the push of the stalled one takes effect only now
                one.process.send_signal(signal.SIGCONT)
                await until(lambda: "claims expired before they could be settled" in one.output)
                await until(lambda: active(aom) == set())
                await until(lambda: [row.state for row in rows(database)] == ["cleared"])
        finally:
            one.process.send_signal(signal.SIGCONT)
        assert aom.snapshot()["violations"] == []


async def test_a_database_that_goes_away_and_comes_back_loses_nothing(tmp_path, postgres, database):
    """Without its database a replica answers 503 and keeps nothing half; with it, it goes on by itself."""
    async with cloud() as aom, replica(tmp_path / "one", aom.url, database) as (_, url):
        await arm(aom, {"on": "report", "status": 503})
        assert (await post(url, alert("Before")))[0] == 200
        postgres.stop()
        try:
            async with asyncio.timeout(PATIENCE):
                status, text = await post(url, alert("Meanwhile"), alert("AsWell"))
            assert (status, text[:16]) == (503, "nothing was kept")
            status, text = await get(f"{url}/-/ready")
            assert (status, text[:24]) == (503, "aom-bridge is not ready:")
            await disarm(aom)
        finally:
            postgres.start()
        await until(lambda: is_ready(url))
        assert [row.state for row in rows(database)][1:] == []
        await until(lambda: active(aom) == {"Before"})
        assert (await post(url, alert("Meanwhile"), alert("AsWell")))[0] == 200
        await until(lambda: active(aom) == {"Before", "Meanwhile", "AsWell"})


async def is_ready(url):
    """Say whether a replica is ready."""
    return (await get(f"{url}/-/ready"))[0] == 200


async def test_the_whole_path_works_through_pgbouncer(tmp_path, postgres, database):
    """A replica behind PgBouncer in transaction mode takes in, reports and clears; no prepared statement is missed."""
    with pgbouncer(postgres, database.rpartition("/")[2]) as through:
        async with cloud() as aom, replica(tmp_path / "one", aom.url, through) as (one, url):
            some = [alert(f"A{i}") for i in range(20)]
            for one_alert in some:
                assert (await post(url, one_alert))[0] == 200
            await until(lambda: len(active(aom)) == 20)
            assert (await post(url, *(resolved(each) for each in some)))[0] == 200
            await until(lambda: {row.state for row in rows(database)} == {"cleared"})
            assert active(aom) == set()
            assert one.terminate() == 0
            assert "prepared" not in one.output
            assert "level=error" not in one.output


SECRETS = ["s3cr3t-p@ss", "s3cr3t-p%40ss", "s3cr3t"]


@pytest.fixture
def locked(postgres):
    """A database that asks for a password."""
    name = postgres.create()
    settings = postgres.folder / "pg_hba.conf"
    before = settings.read_text()
    settings.write_text(f"host {name} bridge 127.0.0.1/32 scram-sha-256\n{before}")
    postgres.execute(f"ALTER ROLE bridge PASSWORD '{SECRETS[0]}'")
    postgres.execute("SELECT pg_reload_conf()")
    yield postgres.url(name)
    settings.write_text(before)
    postgres.execute("SELECT pg_reload_conf()")
    postgres.drop(name)


def leaked(text):
    """Give what a text shows of the password."""
    return [secret for secret in SECRETS if secret in text]


async def test_a_password_in_the_address_is_shown_nowhere(tmp_path, locked):
    """The password of `store.url` stands neither in the log of a run, nor in what the commands print."""
    url = locked.replace("bridge@", "bridge:s3cr3t-p%40ss@")
    async with cloud() as aom, replica(tmp_path / "one", aom.url, url) as (one, address):
        assert (await post(address, alert("A")))[0] == 200
        await until(lambda: active(aom) == {"A"})
        assert "ledger=postgresql" in one.output
        texts = [(await get(address + path))[1] for path in ("/", "/metrics", "/-/ready")]
        file = tmp_path / "one" / "bridge.yaml"
        texts += (await run(*bridge_command("alarms", "list", f"--config.file={file}")))[1:]
        assert one.terminate() == 0
        assert leaked(one.output + "".join(texts)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("bridge@", "bridge:s3cr3t-wrong@"),
        ("bridge@127.0.0.1", "bridge:s3cr3t@nowhere.invalid"),
        ("bridge@127.0.0.1:", "bridge:s3cr3t@127.0.0.1:1"),
        ("bridge@127.0.0.1:", "127.0.0.1:1/none?user=bridge&password=s3cr3t&application_name="),
        ("bridge@127.0.0.1", "bridge:s3cr3t@[127.0.0.1"),
    ],
    ids=["wrong-password", "wrong-host", "wrong-port", "in-the-query", "no-address"],
)
async def test_a_start_that_fails_does_not_show_the_password(tmp_path, locked, old, new):
    """A wrong password, host or address ends the start with a sentence that names the fix and no secret."""
    file = write_settings(tmp_path / "one", "http://127.0.0.1:9", locked.replace(old, new))
    for command in (["serve", "--web.listen-address=127.0.0.1:0"], ["alarms", "list"]):
        code, out, err = await run(*bridge_command(*command, f"--config.file={file}"))
        assert code in (1, 2)
        assert "Fix:" in err or command[0] == "alarms"
        assert "Traceback" not in err
        assert leaked(out + err) == []
