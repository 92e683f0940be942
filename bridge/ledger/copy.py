"""Copies a whole ledger into another database: from a SQLite file to PostgreSQL, or back.

In: two addresses. Out: the number of alarms copied; all are copied, or none. No bridge may be running on either one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from bridge.clock import Millis
from bridge.errors import LedgerStartError
from bridge.ledger.operations import claims
from bridge.ledger.refusals import of_database
from bridge.ledger.storage.database import Database, address, database
from bridge.ledger.storage.migrate import allow_minutes
from bridge.ledger.storage.schema import (
    alarms,
    changes,
    contents,
    counters,
    differences,
    heartbeats,
    listed,
    search,
    sources,
    steps,
)

_ROWS_AT_ONCE = 500


def check_address(url: str) -> None:
    """Refuse an address with secrets or options: the process list shows the arguments of a command.

    Raises:
        LedgerStartError: it holds a password or options, or cannot be read.
    """
    parts = address(url)
    if parts.password is not None or parts.query:
        text = "an address with a password or options would be visible in the process list"
        raise LedgerStartError(f"{text}. Fix: leave it out, and set PGPASSWORD, PGSSLMODE, or write a ~/.pgpass.")


def copy(from_url: str, to_url: str, now: Millis, on_copied: Callable[[int, int], None] = lambda *_: None) -> int:
    """Copy all alarms with their contents; return how many there were.

    Args:
        from_url: the current `store.url`.
        to_url: the new one; its database exists and holds no alarms.
        now: the time; alarms that were being sent are marked as doubtful since then.
        on_copied: called with the number of alarms that are copied, and of all, again and again.

    Raises:
        LedgerStartError: one of them cannot be used or is in use, or the second one holds alarms.
    """
    _check_present(from_url)
    source, target = database(from_url), database(to_url)
    try:
        source.open()
        target.open()
        with source.reads.connect().execution_options(read_only=True) as reading, target.engine.begin() as writing:
            allow_minutes(reading)
            allow_minutes(writing)
            _check_empty(writing, target.location)
            total = reading.execute(sa.select(sa.func.count()).select_from(alarms)).scalar_one()
            count = _copy_table(reading, writing, alarms, on_rows=lambda rows: on_copied(rows, total))
            for table in (contents, search, listed, sources, differences, heartbeats):
                _copy_table(reading, writing, table)
            for table in (changes, steps):
                _copy_table(reading, writing, table, is_numbered_again=True)
            writing.execute(sa.delete(counters))
            _copy_table(reading, writing, counters)
            claims.release(writing, None, now)
            target.check()
    except SQLAlchemyError as error:
        what, fix = of_database(error)
        raise LedgerStartError(f"the ledger could not be copied: {what}. Nothing was stored. Fix: {fix}.") from None
    finally:
        _close(source, target)
    return count


def _check_present(url: str) -> None:
    source = address(url)
    if source.drivername == "sqlite" and not Path(source.database or "").exists():
        raise LedgerStartError(f"no ledger is at {source.database}. Fix: the store.url that serve has used.")


def _check_empty(connection: Connection, location: str) -> None:
    if connection.execute(sa.select(alarms.c.seq).limit(1)).first() is not None:
        raise LedgerStartError(f"the ledger at {location} holds alarms already. Fix: copy into an empty database.")


def _copy_table(
    reading: Connection,
    writing: Connection,
    table: sa.Table,
    *,
    is_numbered_again: bool = False,
    on_rows: Callable[[int], None] = lambda _: None,
) -> int:
    """Copy the rows of a table, and tell how many again and again.

    ``is_numbered_again``: the other database numbers them, and knows the next one.
    """
    columns = [column for column in table.c if not (is_numbered_again and column.primary_key)]
    query, count = sa.select(*columns).order_by(*table.primary_key), 0
    with reading.execute(query.execution_options(yield_per=_ROWS_AT_ONCE)) as result:
        for rows in result.mappings().partitions():
            writing.execute(sa.insert(table), [dict(row) for row in rows])
            count += len(rows)
            on_rows(count)
    return count


def _close(*databases: Database) -> None:
    for opened in databases:
        opened.close()
