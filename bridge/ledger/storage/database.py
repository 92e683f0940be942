"""Which database the ledger lies in: reads `store.url`, and is the seam between the two kinds.

All statements are the same for both; what differs is how a file or a server is opened, locked and left.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from bridge.clock import Millis
from bridge.errors import LedgerStartError, LedgerUnavailableError
from bridge.ledger.refusals import of_database
from bridge.ledger.storage.files import Identity
from bridge.ledger.storage.migrate import check_version
from bridge.ledger.storage.postgres import PostgresDatabase
from bridge.ledger.storage.sqlite import SqliteDatabase, read_only_engine
from bridge.secret import Secret

T = TypeVar("T")

ADDRESSES = "sqlite:///FILE, sqlite:////ABSOLUTE/FILE, or postgresql://USER@HOST/DATABASE"
"""What an address looks like, for whoever wrote none."""

_POSTGRES = ("postgresql", "postgres", "postgresql+psycopg")


class Database(Protocol):
    """What the ledger asks of its database.

    Attributes:
        engine: for writes; begins its transactions itself. ``read_only`` among the execution options asks for one that
            only reads.
        reads: for what only reads, beside the writes.
        is_shared: whether other processes may be running on it.
        location: its address without secrets.
    """

    engine: Engine
    reads: Engine
    is_shared: bool
    location: str

    @property
    def identity(self) -> Identity | None:
        """Which file it is, once it is open; None where it is no file."""

    def open(self) -> None:
        """Make it ready and migrate it; raises `LedgerStartError`."""

    def close(self) -> None:
        """Leave it."""

    def check(self) -> None:
        """Raise `LedgerUnavailableError` when a commit would be kept where it is not found again."""

    def relieve(self, error: Exception, /) -> bool:
        """Mend what a transaction failed of, if that can be; say whether it may do better now.

        Raises:
            LedgerUnavailableError: what it really failed of.
        """

    def is_log_long(self) -> bool:
        """Say whether the log of what was written should have been copied back."""

    def cut(self) -> None:
        """End what is under way and may wait for ever; called from another thread."""

    def now(self, connection: Connection, /) -> Millis | None:
        """Return its own time; None where it has none."""

    def size(self, connection: Connection, /) -> int:
        """Return how many bytes it takes."""

    def trim(self, connection: Connection) -> bool:
        """Give some free space back; say whether more is to give."""


class WriteConnection:
    """The connection that small writes share: to get one for each costs as much as its transaction.

    Args:
        database: which one writes to.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._connection: Connection | None = None

    def get(self, *, is_durable: bool, at_once: bool) -> Connection:
        """Return it, for a transaction that waits for the disk, or fails at once where another process writes."""
        if self._connection is None:
            self._connection = self.database.engine.connect()
        return self._connection.execution_options(is_durable=is_durable, at_once=at_once)

    def let_go(self) -> None:
        """Close it, which rolls back whatever was begun on it."""
        held, self._connection = self._connection, None
        if held is not None:
            held.close()


def checked(database: Database, step: Callable[[Connection], T], connection: Connection) -> T:
    """Run a step on an open transaction that writes, between two looks at the database's files.

    Raises:
        LedgerUnavailableError: what is committed now would not be found again.
    """
    database.check()
    result = step(connection)
    database.check()
    return result


def read_url(text: str) -> sa.URL:
    """Read `store.url`.

    Raises:
        ValueError: it names neither a SQLite file nor a PostgreSQL database; the text never holds the value, which
            may carry a password.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError("it is not a database's address") from None
    if url.drivername == "sqlite" and url.database and url.database != ":memory:" and not url.host:
        return url
    if url.drivername in _POSTGRES and url.database:
        return url
    raise ValueError("it names neither a SQLite file nor a PostgreSQL database")


def address(text: str) -> sa.URL:
    """Read an address that nobody has checked yet.

    Raises:
        LedgerStartError: as `read_url`, with the fix.
    """
    try:
        return read_url(text)
    except ValueError as error:
        raise LedgerStartError(f"{error}. Fix: {ADDRESSES}.") from None


def file_of(text: str) -> Path | None:
    """Return the file that a readable `store.url` names; None for a server."""
    url = read_url(text)
    return Path(url.database or "") if url.drivername == "sqlite" else None


def conceal_url(text: str) -> str:
    """Return what anybody may see of `store.url`: a file's path; the address of a server may hold a secret anywhere."""
    return text if text.startswith("sqlite:") else repr(Secret(""))


def database(text: str) -> Database:
    """Return the database of a `store.url`; nothing is opened yet.

    Raises:
        LedgerStartError: the address cannot be read.
    """
    url = address(text)
    file = file_of(text)
    return PostgresDatabase(url) if file is None else SqliteDatabase(file)


@contextlib.contextmanager
def looking_at(text: str) -> Iterator[Connection]:
    """Open a ledger for reading, beside the process that runs on it.

    Raises:
        LedgerUnavailableError: there is none, or it cannot be read.
    """
    with _beside(text, can_write=False) as engine, engine.connect() as connection:
        yield connection


@contextlib.contextmanager
def editing(text: str) -> Iterator[Engine]:
    """Open a ledger for changes, beside the process that runs on it; each transaction is the caller's own.

    Raises:
        LedgerUnavailableError: there is none, or it cannot be written.
        LedgerStartError: it is of another version.
    """
    with _beside(text, can_write=True) as engine:
        with engine.connect().execution_options(read_only=True) as connection:
            check_version(connection, database(text).location)
        yield engine


@contextlib.contextmanager
def _beside(text: str, *, can_write: bool) -> Iterator[Engine]:
    found = database(text)
    engine = found.engine
    if isinstance(found, SqliteDatabase):
        path = Path(found.location)
        if not path.exists():
            raise LedgerUnavailableError(f"no ledger is at {path}. Fix: start serve first, or correct store.url.")
        engine = engine if can_write else read_only_engine(path)
    try:
        yield engine
    except SQLAlchemyError as error:
        raise LedgerUnavailableError(f"the ledger at {found.location} cannot be used: {of_database(error)}") from error
    finally:
        engine.dispose()
