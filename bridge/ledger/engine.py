"""Opens the ledger's database: engine, transactions, the lock on the file, migrations.

In: `store.url`. Out: an engine on which every `begin()` is a real transaction: the driver's own habit of opening one
late, and committing savepoints early, is turned off, and we emit BEGIN ourselves. On SQLite a transaction that may
write takes the write lock at its start (BEGIN IMMEDIATE), so it cannot fail half-way for somebody else's.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from bridge.errors import LedgerStartError, LedgerUnavailableError

_MIGRATIONS = Path(__file__).parent / "migrations"
_PRAGMAS = (
    "PRAGMA auto_vacuum=INCREMENTAL",  # first: it only takes on a file without tables
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA busy_timeout=2000",
)


def database_path(url: str) -> Path:
    """Return the file of a SQLite URL.

    Raises:
        LedgerStartError: the URL names none.
    """
    try:
        name = make_url(url).database
    except ArgumentError:
        name = None
    if not name:
        raise LedgerStartError(f"store.url: {url!r} names no file. Fix: such as sqlite:///aom-bridge.db.")
    return Path(name)


def create_engine(url: str) -> Engine:
    """Return an engine that begins its transactions itself; nothing is opened yet."""
    engine = sa.create_engine(url)
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def migrate(engine: Engine) -> None:
    """Bring the schema up to date.

    Raises:
        LedgerStartError: the database cannot be opened or is not a ledger of this or an earlier version.
    """
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    try:
        with engine.begin() as connection:
            if _revision(connection) == ScriptDirectory.from_config(config).get_current_head():
                return
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except (SQLAlchemyError, OSError) as error:
        raise LedgerStartError(_start_problem(engine, error)) from error


class DatabaseFile:
    """Notices that the file is not the one that was opened: deleted, replaced, or unmounted under us.

    SQLite goes on writing into a file that nobody will find again, and a 200 for that would be a lie.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity = (0, 0)

    def remember(self) -> None:
        """Take note of the file that is open now."""
        self._identity = self._present()

    def check(self) -> None:
        """Compare before a commit.

        Raises:
            LedgerUnavailableError: the path leads somewhere else now.
        """
        if self._present() != self._identity:
            raise LedgerUnavailableError(f"the ledger's file {self._path} has gone or was replaced. Fix: restart")

    def _present(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return 0, 0
        return found.st_dev, found.st_ino


class FileLock:
    """Keeps a second process off the same SQLite file; the lock dies with its process.

    Args:
        database: the SQLite file; the lock lies beside it, with ``-lock`` at the end of its name.
    """

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + "-lock")
        self._file: int | None = None

    def take(self) -> None:
        """Take the lock.

        Raises:
            LedgerStartError: another process has it, or the folder cannot be written.
        """
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held = f"another process uses this ledger ({self._path} is locked)"
            raise LedgerStartError(f"{held}. Fix: stop it, or give each its own store.url.") from None
        except OSError as error:
            text = f"{self._path}: {error.strerror}. Fix: the folder of store.url must exist and be ours to write in."
            raise LedgerStartError(text) from None

    def release(self) -> None:
        """Give the lock back."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _on_connect(driver_connection: Any, _record: object) -> None:  # noqa: ANN401 - any DBAPI connection
    driver_connection.isolation_level = None
    cursor = driver_connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _on_begin(connection: Connection) -> None:
    read_only = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")


def _revision(connection: Connection) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table": "ledger_version"})
    return context.get_current_revision()


def _start_problem(engine: Engine, error: Exception) -> str:
    reason = str(getattr(error, "orig", None) or error)
    place = engine.url.render_as_string(hide_password=True)
    return f"the ledger at {place} cannot be opened: {reason}. Fix: name an empty place or a ledger of this version."
