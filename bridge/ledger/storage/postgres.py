"""The ledger on PostgreSQL: several replicas of the bridge on one database.

In: the address of `store.url`. Out: an engine whose transactions end by time limits when their process stalls, so that
a stalled replica blocks the others only briefly. It must not set anything in a session that outlives a transaction, so
that it works behind PgBouncer in transaction mode.
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
from bridge.ledger.storage.files import Identity
from bridge.ledger.storage.migrate import migrate
from bridge.ledger.storage.schema import alarms, contents, search

_BEGIN = (
    "BEGIN ISOLATION LEVEL READ COMMITTED; "
    "SET LOCAL statement_timeout = '8s'; "
    "SET LOCAL lock_timeout = '4s'; "
    # Ends the transaction of a stalled replica, and releases the locks that other replicas wait for.
    "SET LOCAL idle_in_transaction_session_timeout = '3s'; "
    # Overrides synchronous_commit=off: the answer 200 means durable.
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
        # Without the query, which may contain a password, too.
        self.location = url.set(drivername="postgresql", password=None, query={}).render_as_string()
        self.engine: Engine = sa.create_engine(
            url.set(drivername="postgresql+psycopg"),
            connect_args=_CONNECT,
            paramstyle="format",  # values by position, as on SQLite
            pool_size=3,
            max_overflow=2,
            pool_timeout=5,
            pool_pre_ping=True,  # detects connections cut by a database restart before they fail a webhook
        )
        self._connections: weakref.WeakSet[psycopg.Connection[Any]] = weakref.WeakSet()
        event.listen(self.engine, "connect", self._on_connect)
        event.listen(self.engine, "begin", _on_begin)
        self.reads = self.engine

    def _on_connect(self, driver_connection: Any, _record: object) -> None:  # noqa: ANN401 - a DBAPI connection has no common type
        driver_connection.autocommit = True  # `_on_begin` begins transactions, in one round trip
        self._connections.add(driver_connection)

    def open(self) -> None:
        """Migrate the schema, under a lock that all replicas take.

        Raises:
            LedgerStartError: it cannot be used; the text names the fix.
        """
        migrate(self.engine, self.location)

    def join(self, _identity: Identity | None) -> None:
        """Do nothing: PostgreSQL has no files of ours."""

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def check(self) -> None:
        """Do nothing: PostgreSQL checks its files itself."""

    def relieve(self, _error: Exception) -> bool:
        """Do nothing: PostgreSQL makes checkpoints by itself."""
        return False

    def is_log_long(self) -> bool:
        """Return False: PostgreSQL makes checkpoints by itself."""
        return False

    def cut(self) -> None:
        """Break every connection: a call to a server that does not answer would wait for an unlimited time."""
        for connection in list(self._connections):
            with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as same:
                same.shutdown(socket.SHUT_RDWR)

    def now(self, connection: Connection) -> Millis:
        """Return the database's time."""
        return int(
            connection.exec_driver_sql("SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)").scalar_one()
        )

    def size(self, connection: Connection) -> int:
        """Return the size of the ledger's tables with their indexes, in bytes."""
        sizes = [sa.func.pg_total_relation_size(table.name) for table in (alarms, contents, search)]
        return int(connection.execute(sa.select(sizes[0] + sizes[1] + sizes[2])).scalar_one())

    def trim(self, _connection: Connection) -> bool:
        """Do nothing: autovacuum makes the space of deleted rows available to later ones."""
        return False


def _on_begin(connection: Connection) -> None:
    # Without parameters the driver uses the simple protocol, which allows several statements in one call.
    connection.exec_driver_sql(_BEGIN, execution_options={"no_parameters": True})
