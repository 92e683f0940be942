"""A ledger that cannot be opened says why in one line, and the fix opens it; from a real server and real folders."""

import re
import socket

import pytest
from plain_words import PYTHONS
from process import free_port
from unprivileged import as_unprivileged, open_to_all

from bridge.errors import LedgerStartError
from bridge.ledger.storage import database as ledgers

pytestmark = pytest.mark.real


def refused(url):
    """Try to open a ledger; give the words about it."""
    found = ledgers.database(url)
    try:
        with pytest.raises(LedgerStartError) as caught:
            found.open()
    finally:
        found.close()
    text = str(caught.value)
    assert ". Fix: " in text
    assert not PYTHONS.search(text)
    assert "\n" not in text
    assert not re.search(r"FATAL|LINE \d|\?\.|connection failed:", text)
    return text


def opens(url):
    """Open a ledger, and close it again."""
    found = ledgers.database(url)
    try:
        found.open()
    finally:
        found.close()


@pytest.fixture
def guest(postgres):
    """A user without rights, whom the server asks for a password; give its name."""
    postgres.execute("CREATE ROLE guest LOGIN PASSWORD 'right'")
    file = postgres.folder / "pg_hba.conf"
    before = file.read_text()
    file.write_text(f"host all guest 127.0.0.1/32 scram-sha-256\n{before}")
    postgres.execute("SELECT pg_reload_conf()")
    yield "guest"
    file.write_text(before)
    postgres.execute("SELECT pg_reload_conf()")
    postgres.execute("DROP ROLE guest")


def test_a_server_that_is_not_there_is_told():
    """A refused connection, a name that is not known and a server that says nothing are told apart."""
    assert "it refuses connections. Fix: start PostgreSQL there" in refused(f"postgresql://u@127.0.0.1:{free_port()}/x")
    assert "has a host name that cannot be resolved. Fix: correct" in refused("postgresql://u@no-such-host.invalid/x")
    assert "it has no socket on this machine. Fix: write its host" in refused("postgresql://u@/x?host=/none")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        assert "it did not answer in time. Fix: " in refused(f"postgresql://u@127.0.0.1:{port}/x")


def test_a_name_that_the_server_does_not_know_is_told(postgres, database):
    """A database and a user that are not there are named as that."""
    assert "it does not exist. Fix: create the database" in refused(postgres.url("no_such_database"))
    assert "it has no such user. Fix: create the user" in refused(database.replace("bridge@", "somebody@"))
    opens(database)


def test_an_option_of_the_address_is_told(database):
    """TLS that the server does not speak, and options that there are not, are told."""
    assert "it does not support TLS. Fix: switch ssl on there" in refused(f"{database}?sslmode=require")
    assert "has an option that PostgreSQL does not know. Fix: remove it" in refused(f"{database}?color=red")


def test_a_wrong_password_is_told_and_the_right_one_mends_it(postgres, guest, database):
    """No password, and a wrong one, are told; the text holds none."""
    assert "it requires a password. Fix: correct user and password" in refused(database.replace("bridge@", f"{guest}@"))
    text = refused(database.replace("bridge@", f"{guest}:hunter2@"))
    assert "it rejects the password of this user. Fix: correct user and password" in text
    assert "hunter2" not in text
    address = database.replace("bridge@", f"{guest}:right@")
    name = database.rpartition("/")[2]
    assert "it does not let this user create tables. Fix: make the user the database's owner" in refused(address)
    postgres.execute(f"ALTER DATABASE {name} OWNER TO {guest}")
    opens(address)


def test_a_database_that_takes_no_writes_is_told(postgres, database):
    """A standby, and a database that is set to read-only, name the fix."""
    name = database.rpartition("/")[2]
    postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    assert "it is read-only. Fix: name the primary server" in refused(database)


def test_a_server_without_a_free_connection_is_told(postgres, database):
    """A limit of connections is told as that."""
    name = database.rpartition("/")[2]
    postgres.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
    assert "it has no free connection. Fix: raise its max_connections" in refused(database)


def test_a_ledgers_folder_that_cannot_be_used_is_told(tmp_path):
    """A folder that is missing, and one that is closed to us, name the folder and their own fix."""
    missing = refused(f"sqlite:///{tmp_path}/none/a.db")
    assert (
        f"the ledger's folder {tmp_path}/none cannot be written: it is not there. Fix: create it, or correct the path"
        in missing
    )
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    open_to_all(tmp_path)
    with as_unprivileged():
        text = refused(f"sqlite:///{closed}/a.db")
    assert f"the ledger's folder {closed} cannot be written: the bridge (user " in text
    assert "has no permission for it. Fix: give that user access" in text
