"""Alembic's entry: runs the migrations on the connection that the ledger hands over, in its transaction."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"], transactional_ddl=True, version_table="ledger_version"
)
context.run_migrations()
