"""The ledger's database: reads `store.url`, and defines the interface that SQLite and PostgreSQL implement.

In: `store.url`. Out: a `Database`. The statements are the same for both kinds; opening, locking and closing differ.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from bridge.clock import Millis
from bridge.errors import LedgerStartError, LedgerUnavailableError
from bridge.ledger.refusals import of_database
from bridge.ledger.storage.files import Identity
from bridge.ledger.storage.sqlite import SqliteDatabase, read_only_engine
from bridge.typed_yaml.secret import Secret

T = TypeVar("T")

ADDRESSES = "sqlite:///FILE, sqlite:////ABSOLUTE/FILE, or postgresql://USER@HOST/DATABASE"
"""The forms of a valid address, for error messages."""

_POSTGRES = ("postgresql", "postgres", "postgresql+psycopg")


class Database(Protocol):
    """The operations that the ledger needs of its database.

    Attributes:
        engine: for writes; it begins transactions itself. The execution option ``read_only`` makes one read-only.
        reads: the engine for reads beside the writes.
        is_shared: whether other processes may use the database.
        location: its address without secrets.
    """

    engine: Engine
    reads: Engine
    is_shared: bool
    location: str

    @property
    def identity(self) -> Identity | None:
        """The identity of its files, once it is open; None if it is not a file."""

    def open(self) -> None:
        """Open, lock and migrate it; raises `LedgerStartError`."""

    def join(self, identity: Identity | None, /) -> None:
        """Use it in the ledger writer process: the bridge's process has opened it, with files of this identity."""

    def close(self) -> None:
        """Close it."""

    def check(self) -> None:
        """Raise `LedgerUnavailableError` when a commit would go to a file that was deleted or replaced."""

    def relieve(self, error: Exception, /) -> bool:
        """Remove the cause of a transaction's failure, if possible; say whether a retry may succeed.

        Raises:
            LedgerUnavailableError: the actual cause of the failure.
        """

    def is_log_long(self) -> bool:
        """Say whether the write-ahead log is so long that a checkpoint is overdue."""

    def cut(self) -> None:
        """Abort operations that may wait for ever; called from another thread."""

    def now(self, connection: Connection, /) -> Millis | None:
        """Return the database's own time; None if it has none."""

    def size(self, connection: Connection, /) -> int:
        """Return the size of the ledger in bytes."""

    def trim(self, connection: Connection) -> bool:
        """Free some disk space; say whether more can be freed."""


def read_url(text: str) -> sa.URL:
    """Read `store.url`.

    Raises:
        ValueError: it names neither a SQLite file nor a PostgreSQL database. The text does not contain the value, which
            may contain a password.
    """
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError("it is not the address of a database") from None
    if url.drivername == "sqlite" and url.database and url.database != ":memory:" and not url.host:
        return url
    if url.drivername in _POSTGRES and url.database:
        return url
    raise ValueError("it names neither a SQLite file nor a PostgreSQL database")


def address(text: str) -> sa.URL:
    """Read an address that is not checked yet.

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
    """Return the public form of `store.url`: a file's path; a server's address is hidden, as it may contain secrets."""
    return text if text.startswith("sqlite:") else repr(Secret(""))


def database(text: str) -> Database:
    """Return the database of a `store.url`; nothing is opened yet.

    Raises:
        LedgerStartError: the address cannot be read.
    """
    url = address(text)
    file = file_of(text)
    if file is not None:
        return SqliteDatabase(file)
    from bridge.ledger.storage.postgres import PostgresDatabase  # noqa: PLC0415 - its driver takes long to import

    return PostgresDatabase(url)


@contextlib.contextmanager
def looking_at(text: str) -> Iterator[Connection]:
    """Open a ledger for reading; a bridge may be running on it.

    Raises:
        LedgerUnavailableError: there is none, or it cannot be read.
    """
    with _beside(text, can_write=False) as engine, engine.connect() as connection:
        yield connection


@contextlib.contextmanager
def editing(text: str) -> Iterator[Engine]:
    """Open a ledger for changes; a bridge may be running on it. The caller begins each transaction.

    Raises:
        LedgerUnavailableError: there is none, or it cannot be written.
        LedgerStartError: its schema is of another version.
    """
    from bridge.ledger.storage.migrate import check_version  # noqa: PLC0415 - reading a ledger needs no Alembic

    with _beside(text, can_write=True) as engine:
        with engine.connect().execution_options(read_only=True) as connection:
            check_version(connection, database(text).location)
        yield engine


@contextlib.contextmanager
def _beside(text: str, *, can_write: bool) -> Iterator[Engine]:
    ledger = database(text)
    engine = ledger.engine
    if isinstance(ledger, SqliteDatabase):
        path = Path(ledger.location)
        if not path.exists():
            raise LedgerUnavailableError(f"no ledger is at {path}. Fix: start serve first, or correct store.url.")
        engine = engine if can_write else read_only_engine(path)
    try:
        yield engine
    except SQLAlchemyError as error:
        raise LedgerUnavailableError(f"the ledger at {ledger.location} cannot be used: {of_database(error)}") from error
    finally:
        engine.dispose()
