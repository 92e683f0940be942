"""What the next try of a waiting alarm must know of the last one, in a column of its own instead of the reason."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column; alarms that wait get theirs from the reason of their last try, which has told it until now."""
    op.add_column("alarms", sa.Column("phase", sa.String(16)))
    alarms = sa.table(
        "alarms",
        *(sa.column(name, sa.String) for name in ("state", "reason", "phase")),
        sa.column("due_at", sa.BigInteger),
    )
    same = ("confirming", "paused", "unseen", "not_listed")
    is_refused = sa.and_(alarms.c.reason == "refused", alarms.c.state == "clear_due")
    phase = sa.case((alarms.c.reason.in_(same), alarms.c.reason), (is_refused, "refused_once"), else_="retrying")
    waiting = sa.and_(alarms.c.due_at.is_not(None), alarms.c.reason.is_not(None))
    op.execute(sa.update(alarms).where(waiting).values(phase=phase))
