"""Expires and purges alarms, in transactions so small that webhooks do not wait noticeably for them.

In: the time. Out: alarms that AOM has cleared by age are finished as expired, old finished ones are deleted, and how
the counts changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.clock import Millis
from bridge.ledger import transitions
from bridge.ledger.alarm import Alarm
from bridge.ledger.counts import AlarmCounts
from bridge.ledger.operations import history
from bridge.ledger.storage import rows, search_rows
from bridge.ledger.storage.schema import alarms, contents, counters
from bridge.ledger.storage.statements import chunks

ROWS_PER_LOOK = 5_000
ROWS_PER_PURGE = 500


def expirable(connection: Connection, after: int, now: Millis) -> tuple[list[int], int]:
    """Look at the next rows for open alarms that have expired; reads only.

    Args:
        connection: an open transaction.
        after: the number of the last row of the previous look; 0 at first.
        now: the time.

    Returns:
        The numbers of those that seem expired, and ``after`` for the next look; it is 0 again after the last row.
    """
    heard_at = sa.case((alarms.c.reported_at > alarms.c.last_seen, alarms.c.reported_at), else_=alarms.c.last_seen)
    is_old = sa.and_(
        alarms.c.state == "reported",
        alarms.c.due_at.is_(None),
        heard_at + alarms.c.timeout + transitions.EXPIRY_GRACE <= now,
    )
    window = (
        sa.select(alarms.c.seq, is_old.label("is_old"))
        .where(alarms.c.seq > after)
        .order_by(alarms.c.seq)
        .limit(ROWS_PER_LOOK)
        .subquery()
    )
    last, count = connection.execute(sa.select(sa.func.max(window.c.seq), sa.func.count())).one()
    seqs = list(connection.execute(sa.select(window.c.seq).where(window.c.is_old)).scalars())
    return seqs, int(last) if count == ROWS_PER_LOOK else 0


def expire(connection: Connection, seqs: Sequence[int], now: Millis) -> tuple[list[Alarm], AlarmCounts]:
    """Finish those of these alarms that have expired; return them, and how the counts changed."""
    checked = [(row, transitions.expired(row, now)) for row in rows.load(connection, seqs).values()]
    changes = [(before, after) for before, after in checked if before is not after]
    rows.update(connection, changes)
    return [after for _, after in changes], AlarmCounts.of(changes)


def purge(connection: Connection, before: Millis, limit: int = ROWS_PER_PURGE) -> AlarmCounts:
    """Delete the oldest alarms that finished before a time, at most ``limit``; return how the counts changed.

    A rejected alarm whose alert still fires is not deleted, so that its repeats are not taken for new alarms.
    """
    query = (
        sa.select(alarms.c.seq, alarms.c.received_at, alarms.c.state, alarms.c.target)
        .where(alarms.c.finished_at < before, alarms.c.last_seen < before)
        .order_by(alarms.c.finished_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    deleted = connection.execute(query).all()
    counts = Counter((state, target) for *_, state, target in deleted)
    search_rows.delete(connection, [(received_at, seq) for seq, received_at, *_ in deleted])
    for seqs in chunks([row[0] for row in deleted]):
        connection.execute(sa.delete(contents).where(contents.c.seq.in_(seqs)))
        history.purge(connection, seqs)
        connection.execute(sa.delete(alarms).where(alarms.c.seq.in_(seqs)))
    return AlarmCounts({key: -count for key, count in counts.items()})


def mark_probed(connection: Connection, now: Millis) -> None:
    """Store the time of a readiness probe."""
    connection.execute(sa.update(counters).where(counters.c.name == "probed_at").values(value=now))


def is_purgeable(connection: Connection, before: Millis) -> bool:
    """Say whether an alarm finished before a time; reads only."""
    query = sa.select(alarms.c.seq).where(alarms.c.finished_at < before, alarms.c.last_seen < before).limit(1)
    return connection.execute(query).first() is not None
