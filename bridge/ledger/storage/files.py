"""Checks the files of a SQLite ledger: that none was deleted, replaced or cut since they were opened, and their modes.

In: the path of the database. Out: an error before a commit would go to a file that cannot be found again. SQLite itself
continues to write to a file that was deleted, and leaves a hole in one that was cut. The expected sizes are in the
header of its index (https://www.sqlite.org/walformat.html, "The WAL-Index Header"); the actual ones are compared.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import struct
from pathlib import Path
from typing import NamedTuple

from bridge.errors import LedgerUnavailableError
from bridge.log import logger

_HEADER = struct.Struct("=I10xHII")
"""Of the index: its version, the page size (1 means 65,536), the valid frames of the log, the pages of the database."""

_VERSION = 3_007_000
_LOG_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_ENDINGS = ("", "-wal", "-shm")
_MODE = 0o600
_SHARED_FIRST, _SHARED_BYTES = 0x40000002, 510
"""Where SQLite locks a database (https://www.sqlite.org/src/doc/trunk/src/os.h, SHARED_FIRST)."""

_log = logger("ledger")

Inode = tuple[int, int]
"""Identifies the file at a path: its device and inode number."""


class GoneError(LedgerUnavailableError):
    """A file was deleted or replaced; the open files still contain everything."""


class CutError(LedgerUnavailableError):
    """A file was made shorter; some committed data is lost."""


class Identity(NamedTuple):
    """The files of a ledger: the database, its log and its index, and the size of the database in bytes."""

    database: Inode
    log: Inode
    wal_index: Inode
    size: int


class _State(NamedTuple):
    inode: Inode
    size: int


_MISSING = _State((0, 0), 0)


class Files:
    """The files of one ledger, for one process.

    Args:
        database: the SQLite file.

    Attributes:
        identity: which files were opened; None: not opened yet, and nothing is checked.
    """

    def __init__(self, database: Path) -> None:
        self._paths = [database.with_name(database.name + ending) for ending in _ENDINGS]
        self._index: int | None = None
        self.identity: Identity | None = None

    def create(self) -> None:
        """Create the database's file if there is none, readable by the owner only; SQLite gives the others its mode.

        Raises:
            OSError: it cannot be created.
        """
        try:
            created = os.open(self._paths[0], os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        except FileExistsError:
            for path in self._paths:
                narrow(path)
        else:
            os.fchmod(created, _MODE)
            os.close(created)

    def remember(self) -> None:
        """Record the files as they are now; the database is open, so all of them exist."""
        database, log, index = (_state(path) for path in self._paths)
        self.identity = Identity(database.inode, log.inode, index.inode, database.size)

    def check(self) -> None:
        """Compare the files with those that were opened; called in a write transaction, so that no other one writes.

        Raises:
            GoneError: one was deleted or replaced.
            CutError: the database or its log is shorter than what was committed.
        """
        known = self.identity
        if known is None:
            return
        header = self._header()  # read before the sizes: the log may grow in between
        states = [_state(path) for path in self._paths]
        for path, state, inode in zip(self._paths, states, known, strict=False):
            if state.inode != inode:
                raise GoneError(_gone(path))
        size = states[0].size
        self._expect_whole(header, known.size, database=size, log=states[1].size)
        if size != known.size:
            self.identity = known._replace(size=size)

    def before_close(self) -> None:
        """Keep SQLite from a checkpoint of a log that was cut: it would copy back a part of a transaction.

        SQLite makes a checkpoint when the last connection closes, if it gets an exclusive lock on the database. A lock
        that belongs to an open file and not to a process prevents that until the process ends.
        """
        try:
            self.check()
        except CutError:
            lock = struct.pack("hhqqi", fcntl.F_RDLCK, os.SEEK_SET, _SHARED_FIRST, _SHARED_BYTES, 0)
            with contextlib.suppress(OSError):
                fcntl.fcntl(os.open(self._paths[0], os.O_RDONLY | os.O_CLOEXEC), fcntl.F_OFD_SETLK, lock)
        except LedgerUnavailableError:
            pass

    def close(self) -> None:
        """Close the index; only after SQLite has closed its files, because this close would release SQLite's locks."""
        index, self._index = self._index, None
        if index is not None:
            os.close(index)

    def _header(self) -> tuple[int, int, int, int]:
        """Return the index's version, the page size, the frames of the log, and the pages of the database."""
        if self._index is None:
            try:
                self._index = os.open(self._paths[2], os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                raise GoneError(_gone(self._paths[2])) from error
        version, page, frames, pages = _HEADER.unpack(os.pread(self._index, _HEADER.size, 0))
        return version, page, frames, pages

    def _expect_whole(self, header: tuple[int, int, int, int], known: int, *, database: int, log: int) -> None:
        """Raise where the database or the log is shorter than what was committed."""
        version, page, frames, pages = header
        if version != _VERSION:
            return
        page = 65_536 if page == 1 else page
        if frames and log < _LOG_HEADER_BYTES + frames * (_FRAME_HEADER_BYTES + page):
            raise _cut(self._paths[1])
        # The database grows at a checkpoint, and shrinks to the number of pages in the header.
        if database < (min(known, pages * page) if pages else known):
            raise _cut(self._paths[0])


def narrow(path: Path) -> None:
    """Remove the rights of others on a file; log a warning if that is not possible."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & ~_MODE:
            path.chmod(_MODE)
            _log.info(
                "a file of the ledger was readable by others; it is now readable by its owner only", file=str(path)
            )
    except FileNotFoundError:
        return
    except OSError as error:
        text = "others may read a file of the ledger. Fix: chmod 600"
        _log.warning(text, file=str(path), error=error.strerror)


def _gone(path: Path) -> str:
    what = f"the ledger's file {path} was deleted or replaced while it was open"
    without = "without a backup, set audit_adopt: true first, so that it takes over what AOM holds"
    return f"{what}. Fix: put a backup back, and restart the bridge; {without}"


def _cut(path: Path) -> CutError:
    text = f"the ledger's file {path} was cut by another program, and the data in the missing part is lost"
    return CutError(f"{text}. Fix: restart the bridge; Alertmanager's repeats add the alerts that still fire again")


def _state(path: Path) -> _State:
    try:
        status = os.stat(path)  # noqa: PTH116 - `Path.stat` takes twice as long, and each transaction asks six times
    except OSError:
        return _MISSING
    return _State((status.st_dev, status.st_ino), status.st_size)
