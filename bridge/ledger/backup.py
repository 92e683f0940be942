"""Copies a SQLite ledger into a file, beside the process that runs on it.

In: an address and a path. Out: a complete copy, or none, and the number of alarms in it. For PostgreSQL its own tools
(pg_dump) do this.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from bridge.errors import LedgerStartError
from bridge.ledger.refusals import of_database
from bridge.ledger.storage.database import address

_STEP_PAGES = 1_000


def back_up(url: str, file: Path, on_copied: Callable[[int, int], None]) -> int:
    """Copy the ledger as it is now; return the number of alarms.

    Args:
        url: `store.url`.
        file: the new file; it must not exist yet.
        on_copied: called after each step with the pages that are copied, and with all.

    Raises:
        LedgerStartError: the ledger does not exist or is not a SQLite file, or the copy cannot be written.
    """
    source = address(url)
    if source.drivername != "sqlite":
        raise LedgerStartError("this ledger is in PostgreSQL. Fix: use pg_dump.")
    path = Path(source.database or "")
    if not path.exists():
        raise LedgerStartError(f"no ledger is at {path}. Fix: start serve first, or correct store.url.")
    if file.exists():
        raise LedgerStartError(f"{file} is there already. Fix: another name, or remove it.")
    unfinished = file.with_name(f"{file.name}.unfinished")
    try:
        count = _copy(path, unfinished, on_copied)
        unfinished.rename(file)
    except (sqlite3.Error, OSError) as error:
        raise LedgerStartError(f"the ledger at {path} could not be copied to {file}: {of_database(error)}") from None
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()
    return count


def _copy(path: Path, file: Path, on_copied: Callable[[int, int], None]) -> int:
    # Readable by the owner only: labels of alerts may be confidential.
    os.close(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
    reading = f"file:{quote(str(path.absolute()))}?mode=ro"
    with (
        contextlib.closing(sqlite3.connect(reading, uri=True)) as source,
        contextlib.closing(sqlite3.connect(file)) as target,
    ):
        # Within one read transaction, what the bridge writes meanwhile does not make the steps begin anew.
        source.execute("BEGIN")
        source.execute("SELECT 1 FROM sqlite_master").fetchone()
        source.backup(target, pages=_STEP_PAGES, progress=lambda _, left, total: on_copied(total - left, total))
        # Without WAL the copy is one file, so no -wal file can be forgotten when the copy is moved.
        target.execute("PRAGMA journal_mode=DELETE")
        (count,) = target.execute("SELECT count(*) FROM alarms").fetchone()
    with file.open("rb") as written:
        os.fsync(written.fileno())
    return int(count)
