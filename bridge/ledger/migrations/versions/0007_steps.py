"""What happened to an alarm and does not show in its row: changes by hand, and AOM's refusals."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "ledger_steps",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("alarm", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("who", sa.String(255)),
        sa.Column("origin", sa.String(255)),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_index("steps_of_alarm", "ledger_steps", ["alarm"])
