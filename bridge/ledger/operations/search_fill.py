"""Gives alarms that a replica of an earlier version has added the rows by which they are searched.

In: the number of the last alarm that was looked at. Out: the numbers of later ones without such a row, and their rows.
Numbers are given in the order of commits, so an alarm below one that was looked at is never added later.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.ledger.operations.queries import of_seqs
from bridge.ledger.storage import rows, search_rows
from bridge.ledger.storage.schema import alarms, search

_ROWS_PER_LOOK = 5_000


def lacking(connection: Connection, after: int) -> tuple[list[int], int]:
    """Look at the alarms that follow a number; reads only.

    Returns:
        The numbers of those without a row, and the number after which the next look begins.
    """
    following = sa.select(alarms.c.seq, alarms.c.received_at).where(alarms.c.seq > after)
    window = following.order_by(alarms.c.seq).limit(_ROWS_PER_LOOK).subquery()
    last = connection.execute(sa.select(sa.func.max(window.c.seq))).scalar()
    is_same = sa.and_(search.c.received_at == window.c.received_at, search.c.seq == window.c.seq)
    query = sa.select(window.c.seq).outerjoin(search, is_same).where(search.c.seq.is_(None))
    return list(connection.execute(query).scalars()), after if last is None else int(last)


def fill(connection: Connection, seqs: Sequence[int]) -> None:
    """Write the rows of these alarms."""
    locked = rows.load(connection, seqs)
    named = [
        (view.alarm, view.event.metadata.get("event_name", ""), view.event.metadata.get("resource_id", ""))
        for view in of_seqs(connection, list(locked))
    ]
    search_rows.update(connection, named)
