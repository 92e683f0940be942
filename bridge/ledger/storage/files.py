"""The files of a SQLite ledger: that they are the ones that were opened, that none was cut, and who may read them.

In: the path of the database. Out: an error before a commit would be kept where it cannot be found again. SQLite itself
goes on writing into a file that was removed, and leaves a hole in one that was cut. What must be there it notes in the
header of its index (https://www.sqlite.org/walformat.html, "The WAL-Index Header"), which is compared with the sizes.
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
"""Of the index: its version, the page size (1: 65,536), the valid frames of the log, and the pages of the database."""

_VERSION = 3_007_000
_LOG_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_ENDINGS = ("", "-wal", "-shm")
_MODE = 0o600
_SHARED_FIRST, _SHARED_BYTES = 0x40000002, 510
"""Where SQLite locks a database (https://www.sqlite.org/src/doc/trunk/src/os.h, SHARED_FIRST)."""

_log = logger("ledger")

Inode = tuple[int, int]
"""Which file stands at a path: its device and number."""


class GoneError(LedgerUnavailableError):
    """A file was removed or replaced; what is open still holds everything."""


class CutError(LedgerUnavailableError):
    """A file was made shorter; some of what was committed is lost."""


class Identity(NamedTuple):
    """Which files a ledger consists of, the database, its log and its index, and the bytes of the first of them."""

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
        identity: which files they are; None: not opened, and nothing is checked.
    """

    def __init__(self, database: Path) -> None:
        self._paths = [database.with_name(database.name + ending) for ending in _ENDINGS]
        self._index: int | None = None
        self.identity: Identity | None = None

    def create(self) -> None:
        """Make the database's file if there is none, for us alone to read; SQLite gives the others the same rights.

        Raises:
            OSError: it cannot be made.
        """
        try:
            made = os.open(self._paths[0], os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        except FileExistsError:
            for path in self._paths:
                narrow(path)
        else:
            os.fchmod(made, _MODE)
            os.close(made)

    def remember(self) -> None:
        """Take the files as they are now for the ledger's; it is open, and so all of them are there."""
        found = [_state(path) for path in self._paths]
        self.identity = Identity(found[0].inode, found[1].inode, found[2].inode, found[0].size)

    def check(self) -> None:
        """Compare the files with those that were opened; within a transaction that writes, so that no other one does.

        Raises:
            GoneError: one is missing, or is another one.
            CutError: the database or its log is shorter than what was committed.
        """
        known = self.identity
        if known is None:
            return
        header = self._header()  # before the sizes: the log may grow in between
        found = [_state(path) for path in self._paths]
        for path, state, inode in zip(self._paths, found, known, strict=False):
            if state.inode != inode:
                raise GoneError(_gone(path))
        size = found[0].size
        self._expect_whole(header, known.size, database=size, log=found[1].size)
        if size != known.size:
            self.identity = known._replace(size=size)

    def before_close(self) -> None:
        """Let SQLite leave a log that was cut as it is, as after a crash: it would copy back a part of a transaction.

        It does so when the last connection closes, if it gets the database for itself; a lock that belongs to an open
        file and not to a process stands in its way, until the process ends.
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
        """Let go of the index; only after SQLite has closed all of its own: its locks would go with ours."""
        index, self._index = self._index, None
        if index is not None:
            os.close(index)

    def _header(self) -> tuple[int, int, int, int]:
        """Return what the index says: its version, the page size, the frames of the log, the database's pages."""
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
        # It grows when the log is copied back, and shrinks with the pages that it has been told to have.
        if database < (min(known, pages * page) if pages else known):
            raise _cut(self._paths[0])


def narrow(path: Path) -> None:
    """Leave a file to its owner alone; where we may not, say so."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & ~_MODE:
            path.chmod(_MODE)
            _log.info("a file of the ledger could be read by others; now by its owner alone", file=str(path))
    except FileNotFoundError:
        return
    except OSError as error:
        text = "others may read a file of the ledger. Fix: chmod 600"
        _log.warning(text, file=str(path), error=error.strerror)


def _gone(path: Path) -> str:
    return f"the ledger's file {path} was deleted or replaced while it was open. Fix: restart the bridge"


def _cut(path: Path) -> CutError:
    text = f"the ledger's file {path} was cut by another program, and what stood there is lost"
    return CutError(f"{text}. Fix: restart; what still fires comes back with Alertmanager's repeats")


def _state(path: Path) -> _State:
    try:
        found = os.stat(path)  # noqa: PTH116 - `Path.stat` takes twice as long, and each transaction asks six times
    except OSError:
        return _MISSING
    return _State((found.st_dev, found.st_ino), found.st_size)
