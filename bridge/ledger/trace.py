"""The audit trail of edits by the command line: stored in the transaction of the edit, logged by the running bridge.

In: edits. Out: a log line for each, by a running bridge within about a second, or by the next bridge that starts. A row
is deleted only after its line was written, so that no line is lost.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.clock import Millis, format_rfc3339
from bridge.ledger.history import By, stored_name
from bridge.ledger.operations.edits import Edited
from bridge.ledger.states import Edit
from bridge.ledger.storage.schema import changes
from bridge.log import logger

_MAX_LOGGED_AT_ONCE = 1_000
"""The maximum number of edits logged in one transaction, for which other writes wait."""

_log = logger("ledger")


def keep(
    connection: Connection, edit: Edit, results: Sequence[Edited], by: By, now: Millis, *, is_of_all: bool
) -> None:
    """Record who edited which alarms, or how many if all were requested; refused edits are not recorded."""
    done = [{"id": result.id, "text": result.text} for result in results if result.done]
    if done and is_of_all:
        done = [{"id": "", "text": f"{len(done)} alarm(s)"}]
    if done:
        who = stored_name(by.who)
        connection.execute(
            sa.insert(changes), [{**change, "changed_at": now, "who": who, "edit": edit} for change in done]
        )


def is_unlogged(connection: Connection) -> bool:
    """Say whether there are edits that are not logged yet."""
    return connection.execute(sa.select(changes.c.seq).limit(1)).first() is not None


def log_changes(connection: Connection) -> None:
    """Log the oldest edits that are not logged yet, and delete their rows."""
    oldest = sa.select(changes.c.seq).order_by(changes.c.seq).limit(_MAX_LOGGED_AT_ONCE)
    taken = connection.execute(sa.delete(changes).where(changes.c.seq.in_(oldest)).returning(*changes.c)).all()
    for row in sorted(taken, key=lambda row: int(row.seq)):
        _log.info(
            "alarm edited by the command line",
            edit=row.edit,
            **({"id": row.id} if row.id else {}),
            text=row.text,
            who=row.who,
            at=format_rfc3339(row.changed_at),
        )
