"""Says whether a bridge runs on a ledger, without taking the lock that it would hold.

In: `store.url`. Out: True, False, or None where that cannot be seen from outside. A look that took the lock, even for a
moment, could keep a bridge from starting.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path

from bridge.ledger.storage.database import address

_LOCKS = Path("/proc/locks")
"""Every lock of this machine, with the device (in hexadecimal) and the inode of its file; proc(5)."""


def is_in_use(url: str) -> bool | None:
    """Return whether a process holds the lock of a SQLite ledger; None for PostgreSQL, and where no system tells."""
    parts = address(url)
    if parts.drivername != "sqlite":
        return None
    with contextlib.suppress(OSError, ValueError), tempfile.TemporaryFile() as own:
        fcntl.flock(own, fcntl.LOCK_EX)
        held = _held()
        if _key(os.fstat(own.fileno())) in held:  # else this system does not show locks to us
            return _key(Path(f"{parts.database}-lock").stat()) in held
    return None


def _held() -> set[tuple[int, int, int]]:
    """Return device and inode of each file that a process has locked."""
    lines = [line.split() for line in _LOCKS.read_text().splitlines() if " FLOCK " in line and "->" not in line]
    entries = [words[-3].split(":") for words in lines]
    return {(int(major, 16), int(minor, 16), int(inode)) for major, minor, inode in entries}


def _key(status: os.stat_result) -> tuple[int, int, int]:
    return os.major(status.st_dev), os.minor(status.st_dev), status.st_ino
