"""Runs write transactions one after the other, on one connection.

In: a request, or an operation on an open transaction. Out: its result after the commit, or an error, and then nothing
was stored. The ledger writer process has one for the requests that it is sent, and the bridge's process has one for all
other writes. It must not know what an operation does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TypeVar

from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from bridge.errors import LedgerUnavailableError
from bridge.ledger.incoming import NotificationReader
from bridge.ledger.refusals import of_database
from bridge.ledger.storage.database import Database
from bridge.ledger.writer.messages import Operation, Request

T = TypeVar("T")


class DatabaseUnavailableError(LedgerUnavailableError):
    """The database refused a transaction, or did not answer."""


class Executor:
    """Runs the write transactions of one process; all calls are made on one thread.

    Args:
        database: the database, open.
        reader: parses and maps notifications.

    Attributes:
        reader: the same; replaced when the rules change.
    """

    def __init__(self, database: Database, reader: NotificationReader) -> None:
        self.reader = reader
        self._database = database
        self._connection: Connection | None = None

    def execute(self, request: Request[T]) -> T:
        """Run a request.

        Raises:
            LedgerUnavailableError: it failed, and nothing was stored.
        """
        first, *others = request.operations(self.reader)
        with explained(self._database.location):
            try:
                return self._relieved(first, is_durable=request.is_durable)
            except OperationalError:
                raise
            except Exception:
                if not others:
                    raise
            return self._relieved(others[0], is_durable=request.is_durable)

    def run(self, operation: Operation[T]) -> T:
        """Run an operation in a durable transaction.

        Raises:
            LedgerUnavailableError: it failed, and nothing was stored.
        """
        with explained(self._database.location):
            return self._relieved(operation, is_durable=True)

    def close(self) -> None:
        """Close the connection, which rolls back an open transaction."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _relieved(self, operation: Operation[T], *, is_durable: bool) -> T:
        """Run a transaction, and retry it once if the cause of its failure could be removed."""
        try:
            return self._once(operation, is_durable=is_durable)
        except (OperationalError, LedgerUnavailableError) as error:
            if not self._database.relieve(error):
                raise
        return self._once(operation, is_durable=is_durable)

    def _once(self, operation: Operation[T], *, is_durable: bool) -> T:
        try:
            with self._connected().execution_options(is_durable=is_durable).begin() as transaction:
                self._database.check()
                result = operation(transaction.connection)
                self._database.check()
        except BaseException:
            self.close()
            raise
        if self._database.is_shared:
            self.close()  # the pool tests a connection before its next use, since a server can restart
        return result

    def _connected(self) -> Connection:
        """Return the connection; it stays open, as a checkout from the pool costs as much as a small transaction."""
        if self._connection is None:
            self._connection = self._database.engine.connect()
        return self._connection


@contextlib.contextmanager
def explained(location: str) -> Iterator[None]:
    """Raise an error of the database at this address as `DatabaseUnavailableError`, with a text for people."""
    try:
        yield
    except SQLAlchemyError as error:
        raise DatabaseUnavailableError(f"the ledger cannot be used now: {location}: {of_database(error)}") from error
