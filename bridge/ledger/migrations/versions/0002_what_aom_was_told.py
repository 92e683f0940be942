"""What AOM was told of an alarm: the starts that were sent, and the ids that clears have named."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns; an alarm from before keeps them empty, and is looked up by the starts of its firings."""
    for name in ("first_sent_start", "sent_start"):
        op.add_column("alarms", sa.Column(name, sa.BigInteger))
    for name in ("named_ids", "earlier_ids", "earlier_starts"):
        op.add_column("alarms", sa.Column(name, sa.Text))
