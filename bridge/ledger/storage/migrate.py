"""Migrates the ledger's schema with Alembic, in one transaction, under a lock that all replicas take.

In: an engine. Out: a database with the current schema, or an unchanged one and an error.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from bridge.errors import LedgerStartError
from bridge.ledger.refusals import of_database
from bridge.ledger.storage.schema import VERSION_TABLE, metadata

_MIGRATIONS = Path(__file__).parents[1] / "migrations"
_LOCK = 0x616F6D  # "aom": an arbitrary number, the same for every replica
_TIMEOUTS = (
    "SET LOCAL statement_timeout = '5min'; SET LOCAL lock_timeout = '1min'; "
    "SET LOCAL idle_in_transaction_session_timeout = '1min'"
)


def migrate(engine: Engine, location: str, migrations: Path = _MIGRATIONS) -> None:
    """Bring the schema up to date.

    Args:
        engine: begins transactions that may write.
        location: the database's address without secrets, for messages.
        migrations: the folder of the migrations.

    Raises:
        LedgerStartError: the database cannot be opened or is not a ledger of this or an earlier version.
    """
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    try:
        with engine.begin() as connection:
            _lock(connection)
            _upgrade(connection, config, location)
            if migrations == _MIGRATIONS:
                check_schema(connection, location)
    except (SQLAlchemyError, OSError) as error:
        raise LedgerStartError(f"the ledger at {location} cannot be opened: {of_database(error)}") from error


def check_version(connection: Connection, location: str) -> None:
    """Refuse a ledger whose schema is not of exactly this version.

    Raises:
        LedgerStartError: it is older or newer, or not a ledger.
    """
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    if _revision(connection) != ScriptDirectory.from_config(config).get_current_head():
        text = f"the ledger at {location} is not of this version of aom-bridge"
        raise LedgerStartError(f"{text}. Fix: use the version that serve runs, or start serve once to migrate it.")


def check_schema(connection: Connection, location: str) -> None:
    """Refuse a ledger with the current version number but other tables, columns or indexes.

    Raises:
        LedgerStartError: they differ; the text names the difference and the fix.
    """
    inspector = sa.inspect(connection)
    present = set(inspector.get_table_names())
    for table in metadata.sorted_tables:
        if table.name not in present:
            raise _other_schema(location, f"the table {table.name} is missing")
        columns = {column["name"] for column in inspector.get_columns(table.name)}
        if columns != set(table.c.keys()):
            names = ", ".join(sorted(columns ^ set(table.c.keys())))
            raise _other_schema(location, f"the columns of {table.name} differ: {names}")
        indexes = {(index["name"], *index["column_names"]) for index in inspector.get_indexes(table.name)}
        missing = [index for index in table.indexes if (index.name, *index.columns.keys()) not in indexes]
        if missing:
            names = ", ".join(sorted(str(index.name) for index in missing))
            raise _other_schema(location, f"indexes of {table.name} are missing or different: {names}")


def _other_schema(location: str, difference: str) -> LedgerStartError:
    text = f"the ledger at {location} has the current version but another schema: {difference}. Nothing was changed"
    fix = "run the version of aom-bridge that created it, or move it away; the next repeats add the alerts that fire"
    return LedgerStartError(f"{text}. Fix: {fix}.")


def allow_minutes(connection: Connection) -> None:
    """Raise the time limits of a transaction to minutes: for a copy, a migration, and a start on a busy machine."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_TIMEOUTS)


def _lock(connection: Connection) -> None:
    allow_minutes(connection)
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


def _upgrade(connection: Connection, config: Config, location: str) -> None:
    scripts = ScriptDirectory.from_config(config)
    current = _revision(connection)
    if current == scripts.get_current_head():
        return
    if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
        text = f"the ledger at {location} was written by a later version of aom-bridge (its schema is {current})"
        raise LedgerStartError(f"{text}. Nothing was changed. Fix: run that version or a later one.")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision()
