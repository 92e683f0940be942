"""The ledger on PostgreSQL: several replicas of the bridge on one database.

In: the address of `store.url`. Out: an engine whose transactions end by themselves when their process stalls, so that
no replica can hold up the others for longer than that. Nothing lives longer in the session than a transaction, so it
works behind PgBouncer in transaction mode.
"""

from __future__ import annotations

import contextlib
import os
import socket
import weakref
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

from bridge.clock import Millis
from bridge.ledger.storage.migrate import migrate
from bridge.ledger.storage.schema import alarms, contents

_BEGIN = (
    "BEGIN ISOLATION LEVEL READ COMMITTED; "
    "SET LOCAL statement_timeout = '8s'; "
    "SET LOCAL lock_timeout = '4s'; "
    # A replica that stalls inside a transaction loses it, and with it the locks that the others wait for.
    "SET LOCAL idle_in_transaction_session_timeout = '3s'; "
    # 200 means kept: a database set to answer before its disk does must not do so for us.
    "SET LOCAL synchronous_commit = on"
)
_CONNECT = {
    "prepare_threshold": None,  # a prepared statement would outlive its transaction
    "connect_timeout": 4,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "aom-bridge",
}


class PostgresDatabase:
    """A PostgreSQL database.

    Args:
        url: its address, as `store.url` gives it.
    """

    is_shared = True
    identity = None

    def __init__(self, url: sa.URL) -> None:
        # Not its query: libpq takes a password there, too.
        self.location = url.set(drivername="postgresql", password=None, query={}).render_as_string()
        self.engine: Engine = sa.create_engine(
            url.set(drivername="postgresql+psycopg"),
            connect_args=_CONNECT,
            paramstyle="format",  # values by their place, as on SQLite
            pool_size=3,
            max_overflow=2,
            pool_timeout=5,
            pool_pre_ping=True,  # a connection that a restart of the database has cut costs nobody his webhook
        )
        self._connections: weakref.WeakSet[psycopg.Connection[Any]] = weakref.WeakSet()
        event.listen(self.engine, "connect", self._on_connect)
        event.listen(self.engine, "begin", _on_begin)
        self.reads = self.engine

    def _on_connect(self, driver_connection: Any, _record: object) -> None:  # noqa: ANN401 - any DBAPI connection
        driver_connection.autocommit = True  # the driver begins nothing: `_on_begin` does, in one round trip
        self._connections.add(driver_connection)

    def open(self) -> None:
        """Migrate the schema, under a lock that all replicas respect.

        Raises:
            LedgerStartError: it cannot be used; the text names the fix.
        """
        migrate(self.engine, self.location)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def check(self) -> None:
        """Do nothing: PostgreSQL itself answers for its files."""

    def relieve(self, _error: Exception) -> bool:
        """Do nothing: PostgreSQL copies its log back by itself."""
        return False

    def is_log_long(self) -> bool:
        """Do nothing, as above."""
        return False

    def cut(self) -> None:
        """Break every connection: what waits for a server that stands still would wait for as long as that does."""
        for connection in list(self._connections):
            with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as same:
                same.shutdown(socket.SHUT_RDWR)

    def now(self, connection: Connection) -> Millis:
        """Return the database's time."""
        return int(
            connection.exec_driver_sql("SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)").scalar_one()
        )

    def size(self, connection: Connection) -> int:
        """Return the bytes of our tables with their indexes."""
        sizes = [sa.func.pg_total_relation_size(table.name) for table in (alarms, contents)]
        return int(connection.execute(sa.select(sizes[0] + sizes[1])).scalar_one())

    def trim(self, _connection: Connection) -> bool:
        """Do nothing: autovacuum gives purged space back to later rows."""
        return False


def _on_begin(connection: Connection) -> None:
    # Without parameters the driver uses the protocol that takes several statements at a time.
    connection.exec_driver_sql(_BEGIN, execution_options={"no_parameters": True})
