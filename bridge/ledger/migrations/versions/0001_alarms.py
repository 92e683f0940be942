"""The first schema: one row per alarm, its blobs beside it, and the counters."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_OPEN = sa.text("ends_at IS NULL AND finished_at IS NULL")
_DUE = sa.text("due_at IS NOT NULL")
_DOUBTED = sa.text("doubt_at IS NOT NULL")
_FINISHED = sa.text("finished_at IS NOT NULL")
_LAST = sa.text("is_newest AND (ends_at IS NOT NULL OR finished_at IS NOT NULL)")
_WAITED_FOR = sa.text("finished_at IS NULL AND NOT is_newest")
_PAST = sa.text("NOT is_newest")
# SQLite takes a partial index only for a query with the same words, and there a boolean is a number.
_LAST_SQLITE = sa.text("is_newest = 1 AND (ends_at IS NOT NULL OR finished_at IS NOT NULL)")
_WAITED_FOR_SQLITE = sa.text("finished_at IS NULL AND is_newest = 0")
_PAST_SQLITE = sa.text("is_newest = 0")
_TIMES = (
    "starts_at",
    "fired_at",
    "newest_starts_at",
    "newest_fired_at",
    "earliest_at",
    "received_at",
    "last_seen",
)


def upgrade() -> None:
    """Create the tables."""
    seq = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "alarms",
        sa.Column("seq", seq, primary_key=True, autoincrement=False),
        sa.Column("id", sa.String(64), nullable=False),
        *(sa.Column(name, sa.String(64), nullable=False) for name in ("source", "fingerprint")),
        *(sa.Column(name, sa.String, nullable=False) for name in ("target", "rule")),
        *(sa.Column(name, sa.String(16), nullable=False) for name in ("severity", "event_type")),
        sa.Column("timeout", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        *(sa.Column(name, sa.Boolean, nullable=False) for name in ("is_newest", "refresh_due")),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _TIMES),
        *(
            sa.Column(name, sa.BigInteger)
            for name in ("ends_at", "resolved_at", "first_reported_at", "reported_at", "reported_starts_at")
        ),
        *(sa.Column(name, sa.BigInteger) for name in ("due_since", "due_at")),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("claimed_by", sa.String(64)),
        sa.Column("doubt_at", sa.BigInteger),
        sa.Column("reason", sa.String(32)),
        sa.Column("detail", sa.Text),
        sa.Column("finished_at", sa.BigInteger),
    )
    _create_indexes()
    op.create_table(
        "alarm_contents",
        sa.Column("seq", seq, primary_key=True, autoincrement=False),
        sa.Column("kept", sa.LargeBinary, nullable=False),
    )
    counters = op.create_table(
        "ledger_counters",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(counters, [{"name": name, "value": 0} for name in ("alarm_seq", "edits", "probed_at")])


def _create_indexes() -> None:
    def index(
        name: str,
        columns: list[str],
        where: sa.TextClause,
        on_sqlite: sa.TextClause | None = None,
        *,
        unique: bool = False,
    ) -> None:
        sqlite_where = where if on_sqlite is None else on_sqlite
        op.create_index(name, "alarms", columns, unique=unique, sqlite_where=sqlite_where, postgresql_where=where)

    index("alarms_open", ["source", "fingerprint"], _OPEN, unique=True)
    index("alarms_last", ["source", "fingerprint"], _LAST, _LAST_SQLITE, unique=True)
    index("alarms_waited_for", ["source", "fingerprint", "seq"], _WAITED_FOR, _WAITED_FOR_SQLITE)
    index("alarms_past_id", ["id"], _PAST, _PAST_SQLITE, unique=True)
    index("alarms_due", ["target", "state", "due_at", "seq", "due_since"], _DUE)
    index("alarms_doubted", ["target", "doubt_at"], _DOUBTED)
    index("alarms_finished", ["finished_at"], _FINISHED)
