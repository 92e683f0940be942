"""The real PostgreSQL and PgBouncer for tests: on loopback, in a temporary folder, as an unprivileged user."""

import contextlib
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
from process import free_port
from programs import need
from waiting import PATIENCE

_NOBODY = "nobody"


def _unprivileged():
    """Give Popen's arguments for a user that PostgreSQL runs as: it refuses to run as root."""
    return {"user": _NOBODY, "group": pwd.getpwnam(_NOBODY).pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}


def _program(name):
    """Find a server program: Debian keeps them out of the PATH, one folder per version."""
    found = sorted(Path("/").glob(f"usr/lib/postgresql/*/bin/{name}"), key=lambda p: int(p.parts[-3]))
    return str(found[-1]) if found else need(name)


class Postgres:
    """A running server with a user that has no rights beyond its own databases."""

    def __init__(self, folder, port):
        self.folder = folder
        self.port = port
        self.process = None

    def url(self, name, port=None):
        """Give a database's address as `store.url` takes it."""
        return f"postgresql://bridge@127.0.0.1:{port or self.port}/{name}"

    def create(self):
        """Create an empty database; give its name."""
        name = f"t{secrets.token_hex(6)}"
        self.execute(f"CREATE DATABASE {name} OWNER bridge")
        return name

    def drop(self, name):
        """Remove a database, even if clients are still connected."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def execute(self, statement):
        """Run one statement as the server's owner."""
        with psycopg.connect(f"postgresql://owner@127.0.0.1:{self.port}/postgres", autocommit=True) as connection:
            connection.execute(statement)

    def start(self):
        """Start the server and wait until it answers."""
        command = [
            _program("postgres"),
            f"-D{self.folder}",
            f"-p{self.port}",
            "-clisten_addresses=127.0.0.1",
            "-cunix_socket_directories=",
            "-cmax_connections=60",
        ]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **_unprivileged())
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.execute("SELECT 1")
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self.folder / "server.log").read_text()
                time.sleep(0.05)
            else:
                return

    def stop(self):
        """End the server as an immediate shutdown does."""
        self.process.send_signal(subprocess.signal.SIGQUIT)
        self.process.wait(timeout=PATIENCE)


@contextlib.contextmanager
def owned_folder(prefix):
    """Give a temporary folder that the unprivileged user may write in."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, _NOBODY)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def postgres_server():
    """Run a server in a folder of its own."""
    program = _program("initdb")
    with owned_folder("aom-bridge-postgres-") as folder:
        subprocess.run(
            [program, f"-D{folder}", "-Uowner", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"],
            check=True,
            capture_output=True,
            cwd="/",
            **_unprivileged(),
        )
        server = Postgres(folder, free_port())
        server.start()
        server.execute("CREATE ROLE bridge LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE")
        try:
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def pgbouncer(server, database):
    """Run PgBouncer in transaction mode before a database, with fewer server connections than clients; give its url."""
    program = _sbin("pgbouncer")
    with owned_folder("aom-bridge-pgbouncer-") as folder:
        port = free_port()
        users = folder / "users.txt"
        users.write_text('"bridge" ""\n')
        settings = folder / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\n{database} = host=127.0.0.1 port={server.port} dbname={database} user=bridge\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
            f"auth_file = {users}\npool_mode = transaction\ndefault_pool_size = 2\nmax_client_conn = 100\n"
        )
        with (folder / "bouncer.log").open("ab") as log:
            process = subprocess.Popen([program, str(settings)], stdout=log, stderr=log, cwd="/", **_unprivileged())
        try:
            _until_open(server.url(database, port), folder / "bouncer.log")
            yield server.url(database, port)
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE)


def _sbin(name):
    path = Path("/usr/sbin") / name
    return str(path) if path.exists() else need(name)


def _until_open(url, log):
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        else:
            return
