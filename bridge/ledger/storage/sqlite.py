"""The ledger on SQLite: one file on a local disk, for one bridge at a time: its process and the one that writes for it.

In: the file of `store.url`. Out: an engine whose transactions take the write lock at their start (BEGIN IMMEDIATE), so
they cannot fail half-way for somebody else's. A file that is damaged, foreign or on a network file system is refused
before anything is written to it.
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
from bridge.ledger.storage.migrate import VERSION_TABLE, migrate

_MAX_LOG_PAGES = 8_000
"""So long may the write-ahead log grow, 32 MB: in a storm the same pages are written again and again."""

_LOG_SHARE = 16
"""At most this part of a small volume: a log that fills it cannot be copied back, for the database has to grow then."""

_PAGE_BYTES = 4_096

_PREPARED = 512
"""Statements that a connection keeps ready: those that write rows have a text for each number of them."""

_MODE = "aom-bridge-mode"
_PATIENCE = "PRAGMA busy_timeout=2000"
_PRAGMAS = (
    "PRAGMA auto_vacuum=INCREMENTAL",  # first: it only takes on a file without tables
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    _PATIENCE,
    "PRAGMA cache_size=-6144",  # KiB; the pages that a storm comes back to
    "PRAGMA temp_store=MEMORY",  # or each statement of many rows keeps its way back in files
    "PRAGMA journal_size_limit=67108864",  # a log that a storm or a long reader made large shrinks again
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
        # Reads have connections of their own: a connection forgets its pages whenever another one has written.
        self.engine, self.reads = _engine(path), _engine(path)
        event.listen(self.engine, "begin", self._on_begin)
        event.listen(self.reads, "begin", self._on_begin)
        self._log_pages = _MAX_LOG_PAGES

    @property
    def identity(self) -> Identity | None:
        """Which files they are, once they are open."""
        return self._files.identity

    def open(self) -> None:
        """Lock, examine and migrate the file.

        Raises:
            LedgerStartError: it cannot be used, and was left untouched; the text names the fix.
            LedgerUnavailableError: it cannot be used now; the disk is full, say.
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
        """Work on the files that another process has opened, beside it and under its lock."""
        self._files.identity = identity
        self._measure_volume()

    def close(self) -> None:
        """Close every connection and give the lock back."""
        self._files.before_close()
        self.engine.dispose()
        self.reads.dispose()
        self._files.close()
        self._lock.release()

    def check(self) -> None:
        """Compare the files with those that were opened: one may be deleted, replaced, cut, or unmounted under us.

        Raises:
            LedgerUnavailableError: what is committed now would not be found again.
        """
        self._files.check()

    def relieve(self, error: Exception) -> bool:
        """Copy the log back into the database, which may end what a transaction failed of; nothing else may write.

        Args:
            error: what it failed of: a full disk, or a log that was removed, and what it holds would go with it.

        Returns:
            Whether the transaction may do better now.

        Raises:
            LedgerUnavailableError: it failed because a file was deleted, replaced or cut.
        """
        if isinstance(error, GoneError):
            self._checkpoint("PASSIVE")
            return False
        if _code(error) not in _OF_THE_DISK:
            return False
        self._files.check()  # from a log that was cut a part of a transaction would be copied
        return self._checkpoint("TRUNCATE")

    def is_log_long(self) -> bool:
        """Say whether the log should have been copied back: what does not wait for the disk leaves that to others."""
        return self._log.exists() and self._log.stat().st_size > 2 * self._log_pages * _PAGE_BYTES

    def cut(self) -> None:
        """Do nothing: a transaction ends by itself within two seconds."""

    def now(self, _connection: Connection) -> None:
        """Return nothing: a file has no time of its own, and no other process to differ from."""

    def size(self, _connection: Connection) -> int:
        """Return the bytes of the file and of the log beside it."""
        return sum(file.stat().st_size for file in (self._path, self._log) if file.exists())

    def trim(self, connection: Connection) -> bool:
        """Give some of the space that purged rows have left back to the disk; say whether more is to give."""
        free = int(connection.exec_driver_sql("PRAGMA freelist_count").scalar_one())
        pages = int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
        if free < max(_MIN_FREE_PAGES, pages // 4):
            return False
        # Below SQLAlchemy: it moves one page for each row that is fetched, and the rows have no columns.
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
        is_durable, at_once = options.get("is_durable", True), options.get("at_once", False)
        cursor = connection.connection.cursor()
        if connection.info.get(_MODE) != (is_durable, at_once):
            cursor.execute(f"PRAGMA synchronous={'FULL' if is_durable else 'NORMAL'}")
            # What does not wait for the disk must not be the one that copies the log back, either.
            cursor.execute(f"PRAGMA wal_autocheckpoint={self._log_pages if is_durable else 0}")
            cursor.execute("PRAGMA busy_timeout=0" if at_once else _PATIENCE)
            connection.info[_MODE] = is_durable, at_once
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def _migrate(self) -> None:
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
        """Copy the log back; say whether all of it was."""
        try:
            with self.engine.connect() as connection:
                (is_busy, _, _) = connection.connection.cursor().execute(f"PRAGMA wal_checkpoint({kind})").fetchone()
        except (SQLAlchemyError, sqlite3.Error):
            return False
        return not is_busy


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
            LedgerUnavailableError: it cannot be made now; the disk is full, say.
        """
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            narrow(self._path)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            held = f"another process uses this ledger ({self._path} is locked)"
            raise LedgerStartError(f"{held}. Fix: stop it, or give each its own store.url.") from None
        except OSError as error:
            self.release()
            raise _of_system(f"the ledger's folder {self._path.parent.absolute()} cannot be written", error) from None

    def release(self) -> None:
        """Give the lock back."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def read_only_engine(path: Path) -> Engine:
    """Return an engine that can only read the file, beside the process that runs on it."""
    return sa.create_engine(f"sqlite:///file:{quote(str(path.absolute()))}?mode=ro&uri=true")


def _engine(path: Path) -> Engine:
    engine = sa.create_engine(
        f"sqlite:///file:{quote(str(path.absolute()))}?mode=rw&uri=true",  # never a new file: `Files.create` makes it
        pool_size=1,
        pool_use_lifo=True,
        connect_args={"cached_statements": _PREPARED},
    )
    event.listen(engine, "connect", _on_connect)
    return engine


def _on_connect(driver_connection: Any, _record: object) -> None:  # noqa: ANN401 - any DBAPI connection
    driver_connection.isolation_level = None
    cursor = driver_connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _check_file_system(path: Path) -> None:
    """Refuse a network file system: its locks do not hold, and its fsync may promise what it has not done."""
    kind = _file_system(path)
    if _NETWORK_FILE_SYSTEMS.fullmatch(kind):
        text = f"the ledger at {path} would lie on a network file system ({kind}), where SQLite is not safe"
        fix = "a local disk or block volume for store.url, or PostgreSQL: postgresql://user@host/database"
        raise LedgerStartError(f"{text}. Fix: {fix}.")


def _file_system(path: Path) -> str:
    """Return the type of the file system that a path lies on; empty where the system does not say."""
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    real = path.absolute().parent.resolve()
    found, kind = Path(), ""
    for mount in mounts:
        fields, _, rest = mount.partition(" - ")
        point = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields.split(" ")[4]))
        # Of two mounts on one point the later one is what a path meets.
        if real.is_relative_to(point) and len(point.parts) >= len(found.parts):
            found, kind = point, rest.split(" ", 1)[0]
    return kind


def _examine(path: Path) -> None:
    """Refuse a file that is not a whole ledger, by reading only."""
    try:
        if not path.exists() or path.stat().st_size == 0:
            return
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise _unusable(path, "it is no SQLite database", "name another file in store.url")
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
    wrong = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if wrong != "ok":
        raise _damaged(path, str(wrong))
    names = set(connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars())
    if names and VERSION_TABLE not in names:
        raise _unusable(path, "it is another program's database", "name another file in store.url")


def _of_examination(path: Path, error: SQLAlchemyError) -> BridgeError:
    """Say what an error means for the file: only some say that it is damaged."""
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
    """Return SQLite's primary code of an error; None where it has none."""
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", None)
    return None if code is None else int(code) & 0xFF


def _damaged(path: Path, reason: str) -> LedgerStartError:
    fix = (
        "move it away with its -wal and -shm files and start anew; what fires comes back with Alertmanager's next"
        " repeats. What it held can often be read with: sqlite3 FILE .recover"
    )
    return _unusable(path, f"it is damaged ({' '.join(reason.split())})", fix)


def _unusable(path: Path, problem: str, fix: str) -> LedgerStartError:
    return LedgerStartError(f"the ledger at {path} cannot be used: {problem}. Nothing was changed. Fix: {fix}.")
