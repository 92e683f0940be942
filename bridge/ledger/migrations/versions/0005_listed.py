"""What Alertmanager's API has shown of each alert and source, and what opened or ended an alarm besides webhooks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the columns and the tables; every alarm so far was opened and ended by webhooks, as far as is known."""
    op.add_column("alarms", sa.Column("opened_by", sa.String(16)))
    op.add_column("alarms", sa.Column("ended_by", sa.String(16)))
    rejected = sa.text("state = 'rejected' AND ends_at IS NULL")
    op.create_index("alarms_rejected", "alarms", ["source"], sqlite_where=rejected, postgresql_where=rejected)
    op.create_table(
        "ledger_listed",
        sa.Column("source", sa.String(64), primary_key=True),
        sa.Column("fingerprint", sa.String(64), primary_key=True),
        sa.Column("validity", sa.BigInteger()),
        sa.Column("is_quiet", sa.Boolean(), nullable=False),
        sa.Column("strikes", sa.Integer(), nullable=False),
        sa.Column("cleared_at", sa.BigInteger()),
    )
    op.create_table(
        "ledger_sources",
        sa.Column("source", sa.String(64), primary_key=True),
        sa.Column("receivers", sa.Text(), nullable=False),
        sa.Column("longest_validity", sa.BigInteger()),
        sa.Column("leader", sa.String(64)),
        sa.Column("leader_until", sa.BigInteger()),
    )
    op.create_table(
        "ledger_differences",
        sa.Column("source", sa.String(64), primary_key=True),
        sa.Column("fingerprint", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger()),
        sa.Column("waits_for", sa.String(16), nullable=False),
    )
