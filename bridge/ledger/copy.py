"""Copies a whole ledger into another database: from a SQLite file to PostgreSQL, or back.

In: two addresses. Out: how many alarms were copied, all of them or none. Nobody may be running on either.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from bridge.clock import Millis
from bridge.errors import LedgerStartError
from bridge.ledger import trace
from bridge.ledger.operations import claims
from bridge.ledger.refusals import of_database
from bridge.ledger.storage.database import Database, address, database
from bridge.ledger.storage.schema import alarms, contents, counters

_ROWS_AT_ONCE = 500


def check_address(url: str) -> None:
    """Refuse an address that holds what must not stand in the process list.

    Raises:
        LedgerStartError: it holds a password or options, or cannot be read.
    """
    parts = address(url)
    if parts.password is not None or parts.query:
        text = "an address with a password or options would stand in the process list"
        raise LedgerStartError(f"{text}. Fix: leave it out, and set PGPASSWORD, PGSSLMODE, or write a ~/.pgpass.")


def copy(from_url: str, to_url: str, now: Millis) -> int:
    """Copy all alarms with all that lies beside them; return how many there were.

    Args:
        from_url: what `store.url` is today.
        to_url: what it will be; the database is there, and holds no alarm.
        now: the time: from then on it is in doubt what became of alarms that were being sent.

    Raises:
        LedgerStartError: one of them cannot be used, somebody runs on it, or the second one holds alarms.
    """
    _check_present(from_url)
    source, target = database(from_url), database(to_url)
    try:
        source.open()
        target.open()
        with source.reads.connect().execution_options(read_only=True) as there, target.engine.begin() as here:
            _check_empty(here, target.location)
            count = _copy_table(there, here, alarms)
            _copy_table(there, here, contents)
            trace.copy(there, here)
            here.execute(sa.delete(counters))
            _copy_table(there, here, counters)
            claims.release(here, None, now)
            target.check()
    except SQLAlchemyError as error:
        what, fix = of_database(error)
        raise LedgerStartError(f"the ledger could not be copied: {what}. Nothing was kept of it. Fix: {fix}.") from None
    finally:
        _close(source, target)
    return count


def _check_present(url: str) -> None:
    found = address(url)
    if found.drivername == "sqlite" and not Path(found.database or "").exists():
        raise LedgerStartError(f"no ledger is at {found.database}. Fix: the store.url that serve has used.")


def _check_empty(connection: Connection, location: str) -> None:
    if connection.execute(sa.select(alarms.c.seq).limit(1)).first() is not None:
        raise LedgerStartError(f"the ledger at {location} holds alarms already. Fix: copy into an empty database.")


def _copy_table(there: Connection, here: Connection, table: sa.Table) -> int:
    count = 0
    with there.execute(sa.select(table).execution_options(yield_per=_ROWS_AT_ONCE)) as found:
        for rows in found.mappings().partitions():
            here.execute(sa.insert(table), [dict(row) for row in rows])
            count += len(rows)
    return count


def _close(*databases: Database) -> None:
    for one in databases:
        one.close()
