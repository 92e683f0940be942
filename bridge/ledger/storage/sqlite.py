"""The ledger on SQLite: one file on a local disk, used by one bridge at a time and its ledger writer process.

In: the file of `store.url`. Out: an engine whose transactions take the write lock when they begin (BEGIN IMMEDIATE), so
that they do not fail later because another one writes. It must not write to a file that is damaged, belongs to another
program, or is on a network file system; such a file is refused.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from bridge.errors import BridgeError, LedgerStartError, LedgerUnavailableError, of_file
from bridge.ledger.storage.files import Files, GoneError, Identity, narrow
from bridge.ledger.storage.schema import VERSION_TABLE

_MAX_LOG_PAGES = 8_000
"""The length of the write-ahead log at which it is copied back, 32 MB: a storm writes the same pages repeatedly."""

_LOG_SHARE = 16
"""On a small volume the log may use 1/16 of it: a checkpoint needs free space, because the database grows then."""

_PAGE_BYTES = 4_096

_PREPARED = 512
"""Prepared statements cached for each connection: those that write rows have a text for each number of rows."""

_IS_DURABLE = "aom-bridge-is-durable"
_PRAGMAS = (
    "PRAGMA auto_vacuum=INCREMENTAL",  # first: it has an effect only on a file without tables
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA busy_timeout=2000",
    "PRAGMA cache_size=-6144",  # in KiB; for the pages that a storm uses again
    "PRAGMA temp_store=MEMORY",  # otherwise statements of many rows write temporary files
    "PRAGMA journal_size_limit=67108864",  # truncates a log that became large by a storm or a long read
)
_OF_THE_DISK = frozenset((sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR))
_MENDED_BY_TIME = _OF_THE_DISK | {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM}
_MAGIC = b"SQLite format 3\0"
_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK_FILE_SYSTEMS = re.compile(r"(nfs|nfs4|cifs|smb\w*|9p|afs|ceph|lustre|ocfs2|gfs2|glusterfs|beegfs|fuse\..+)")
_MIN_FREE_PAGES = 256
_PAGES_PER_TRIM = 512


class SqliteDatabase:
    """A SQLite file.

    Args:
        path: the file; its folder exists.

    """

    is_shared = False

    def __init__(self, path: Path) -> None:
        self.location = str(path)
        self._path = path
        self._log = path.with_name(path.name + "-wal")
        self._lock = FileLock(path)
        self._files = Files(path)
        # Reads have their own engine: a connection drops its cached pages whenever another one has written.
        self.engine, self.reads = _engine(path), _engine(path)
        event.listen(self.engine, "begin", self._on_begin)
        event.listen(self.reads, "begin", self._on_begin)
        self._log_pages = _MAX_LOG_PAGES

    @property
    def identity(self) -> Identity | None:
        """The identity of the files, once they are open."""
        return self._files.identity

    def open(self) -> None:
        """Lock, examine and migrate the file.

        Raises:
            LedgerStartError: it cannot be used, and was not changed; the text names the fix.
            LedgerUnavailableError: it cannot be used now, for example because the disk is full.
        """
        _check_file_system(self._path)
        self._lock.take()
        try:
            _examine(self._path)
            self._files.create()
            self._measure_volume()
            self._migrate()
            self._files.remember()
        except OSError as error:
            self.close()
            raise _of_system(f"the ledger at {self._path} cannot be used", error) from None
        except BaseException:
            self.close()
            raise

    def join(self, identity: Identity | None) -> None:
        """Use the files that the bridge's process has opened and locked."""
        self._files.identity = identity
        self._measure_volume()

    def close(self) -> None:
        """Close every connection and release the lock."""
        self._files.before_close()
        self.engine.dispose()
        self.reads.dispose()
        self._files.close()
        self._lock.release()

    def check(self) -> None:
        """Compare the files with those that were opened.

        Raises:
            LedgerUnavailableError: one was deleted, replaced, cut or unmounted; a commit would be lost.
        """
        self._files.check()

    def relieve(self, error: Exception) -> bool:
        """Make a checkpoint, which may remove the cause of a transaction's failure; nothing else may write meanwhile.

        Args:
            error: the failure: of a full disk, or of a deleted log, whose contents must be saved in the database.

        Returns:
            Whether a retry of the transaction may succeed.

        Raises:
            LedgerUnavailableError: it failed because a file was deleted, replaced or cut.
        """
        if isinstance(error, GoneError):
            self._checkpoint("PASSIVE")
            return False
        if _code(error) not in _OF_THE_DISK:
            return False
        self._files.check()  # a checkpoint of a log that was cut would copy a part of a transaction
        return self._checkpoint("TRUNCATE")

    def is_log_long(self) -> bool:
        """Say whether a checkpoint is overdue: transactions that are not durable do not make one."""
        return self._log.exists() and self._log.stat().st_size > 2 * self._log_pages * _PAGE_BYTES

    def cut(self) -> None:
        """Do nothing: a transaction fails after two seconds by itself."""

    def now(self, _connection: Connection) -> None:
        """Return None: SQLite has no time of its own."""

    def size(self, _connection: Connection) -> int:
        """Return the size of the file and of its log, in bytes."""
        return sum(file.stat().st_size for file in (self._path, self._log) if file.exists())

    def trim(self, connection: Connection) -> bool:
        """Return some space of deleted rows to the disk; say whether there is more."""
        free = int(connection.exec_driver_sql("PRAGMA freelist_count").scalar_one())
        pages = int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
        if free < max(_MIN_FREE_PAGES, pages // 4):
            return False
        # Without SQLAlchemy: SQLite frees one page for each row that is fetched, and these rows have no columns.
        connection.connection.cursor().execute(f"PRAGMA incremental_vacuum({_PAGES_PER_TRIM})").fetchall()
        return True

    def _measure_volume(self) -> None:
        volume = os.statvfs(self._path.parent)
        self._log_pages = min(_MAX_LOG_PAGES, volume.f_blocks * volume.f_frsize // _LOG_SHARE // _PAGE_BYTES)

    def _on_begin(self, connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("read_only", False):
            connection.exec_driver_sql("BEGIN")
            return
        is_durable = options.get("is_durable", True)
        cursor = connection.connection.cursor()
        if connection.info.get(_IS_DURABLE) != is_durable:
            cursor.execute(f"PRAGMA synchronous={'FULL' if is_durable else 'NORMAL'}")
            # A transaction that is not durable must not make a checkpoint, which waits for the disk.
            cursor.execute(f"PRAGMA wal_autocheckpoint={self._log_pages if is_durable else 0}")
            connection.info[_IS_DURABLE] = is_durable
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def _migrate(self) -> None:
        from bridge.ledger.storage.migrate import migrate  # noqa: PLC0415 - reading a ledger needs no Alembic

        try:
            migrate(self.engine, self.location)
        except LedgerStartError as error:
            cause = error.__cause__
            is_full = _code(cause) == sqlite3.SQLITE_CANTOPEN and os.statvfs(self._path.parent).f_bavail == 0
            if is_full or _code(cause) in _MENDED_BY_TIME:
                reason = " ".join(str(getattr(cause, "orig", cause)).split())
                raise LedgerUnavailableError(f"the ledger at {self._path} cannot be opened now: {reason}") from None
            raise

    def _checkpoint(self, kind: str) -> bool:
        """Make a checkpoint; say whether it was complete."""
        try:
            with self.engine.connect() as connection:
                (is_busy, _, _) = connection.connection.cursor().execute(f"PRAGMA wal_checkpoint({kind})").fetchone()
        except (SQLAlchemyError, sqlite3.Error):
            return False
        return not is_busy


class FileLock:
    """Prevents a second bridge from using the same SQLite file; the lock ends with its process.

    Args:
        database: the SQLite file; the lock file has the same name with ``-lock`` at the end.
    """

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + "-lock")
        self._file: int | None = None

    def take(self) -> None:
        """Take the lock.

        Raises:
            LedgerStartError: another process has the lock, or the folder cannot be written.
            LedgerUnavailableError: it cannot be created now, for example because the disk is full.
        """
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            narrow(self._path)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            text = f"another process uses this ledger ({self._path} is locked)"
            raise LedgerStartError(f"{text}. Fix: stop it, or give each its own store.url.") from None
        except OSError as error:
            self.release()
            raise _of_system(f"the ledger's folder {self._path.parent.absolute()} cannot be written", error) from None

    def release(self) -> None:
        """Release the lock."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def read_only_engine(path: Path) -> Engine:
    """Return an engine that can only read the file; a bridge may be running on it."""
    return sa.create_engine(f"sqlite:///file:{quote(str(path.absolute()))}?mode=ro&uri=true")


def _engine(path: Path) -> Engine:
    engine = sa.create_engine(
        f"sqlite:///file:{quote(str(path.absolute()))}?mode=rw&uri=true",  # never creates the file: `Files.create` does
        pool_size=1,
        pool_use_lifo=True,
        connect_args={"cached_statements": _PREPARED},
    )
    event.listen(engine, "connect", _on_connect)
    return engine


def _on_connect(driver_connection: Any, _record: object) -> None:  # noqa: ANN401 - a DBAPI connection has no common type
    driver_connection.isolation_level = None
    cursor = driver_connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _check_file_system(path: Path) -> None:
    """Refuse a network file system: its locks and its fsync are not reliable."""
    kind = _file_system(path)
    if _NETWORK_FILE_SYSTEMS.fullmatch(kind):
        text = f"the ledger at {path} would be on a network file system ({kind}), where SQLite is not safe"
        fix = "a local disk or block volume for store.url, or PostgreSQL: postgresql://user@host/database"
        raise LedgerStartError(f"{text}. Fix: {fix}.")


def _file_system(path: Path) -> str:
    """Return the type of a path's file system; empty if it is unknown."""
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    real = path.absolute().parent.resolve()
    longest, kind = Path(), ""
    for mount in mounts:
        fields, _, file_system = mount.partition(" - ")
        point = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields.split(" ")[4]))
        # Of two mounts on one point the later one is effective.
        if real.is_relative_to(point) and len(point.parts) >= len(longest.parts):
            longest, kind = point, file_system.split(" ", 1)[0]
    return kind


def _examine(path: Path) -> None:
    """Refuse a file that is not a complete ledger; reads only."""
    try:
        if not path.exists() or path.stat().st_size == 0:
            return
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise _unusable(path, "it is not a SQLite database", "name another file in store.url")
    except OSError as error:
        raise _of_system(f"the ledger at {path} cannot be used", error) from None
    engine = read_only_engine(path)
    try:
        with engine.connect() as connection:
            _examine_tables(path, connection)
    except SQLAlchemyError as error:
        raise _of_examination(path, error) from None
    finally:
        engine.dispose()


def _examine_tables(path: Path, connection: Connection) -> None:
    damage = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if damage != "ok":
        raise _damaged(path, str(damage))
    names = set(connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars())
    if names and VERSION_TABLE not in names:
        raise _unusable(path, "it is another program's database", "name another file in store.url")


def _of_examination(path: Path, error: SQLAlchemyError) -> BridgeError:
    """Return the error for a failed examination: only some errors mean that the file is damaged."""
    reason = " ".join(str(getattr(error, "orig", None) or error).split())
    code = _code(error)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return _damaged(path, reason)
    if code in _MENDED_BY_TIME:
        return LedgerUnavailableError(f"the ledger at {path} cannot be read now: {reason}")
    return _unusable(path, reason, "let the bridge read and write it, its folder, and its -wal and -shm files")


def _of_system(begin: str, error: OSError) -> BridgeError:
    what, fix = of_file(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
        return LedgerUnavailableError(f"{begin}: {what}. Fix: {fix}")
    return LedgerStartError(f"{begin}: {what}. Fix: {fix}, in store.url.")


def _code(error: BaseException | None) -> int | None:
    """Return SQLite's primary code of an error; None if it has none."""
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", None)
    return None if code is None else int(code) & 0xFF


def _damaged(path: Path, reason: str) -> LedgerStartError:
    fix = (
        "move it away with its -wal and -shm files and start again; Alertmanager's next repeats add the alerts that"
        " fire. Its contents can often be read with: sqlite3 FILE .recover"
    )
    return _unusable(path, f"it is damaged ({' '.join(reason.split())})", fix)


def _unusable(path: Path, problem: str, fix: str) -> LedgerStartError:
    return LedgerStartError(f"the ledger at {path} cannot be used: {problem}. Nothing was changed. Fix: {fix}.")
