"""When each heartbeat has shown a sign of life last, and when every peer of a source has answered last."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the table and the column."""
    op.add_column("ledger_sources", sa.Column("covered_at", sa.BigInteger()))
    op.create_table(
        "ledger_heartbeats",
        sa.Column("fingerprint", sa.String(64), primary_key=True),
        sa.Column("heartbeat", sa.String(64), nullable=False),
        sa.Column("by_labels", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
    )
