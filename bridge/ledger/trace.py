"""The trace of what the command line changes: kept with the change itself, logged by a bridge that runs on the ledger.

In: changes, in their own transaction. Out: a line in the log for each, by the bridge that notices it within a second
or so, or by the next one that starts. A line is written before its row goes, so that none is lost.
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.clock import Millis, format_rfc3339
from bridge.ledger.operations.edits import Edit, Edited
from bridge.ledger.storage.schema import changes
from bridge.log import logger

_MAX_WHO_CHARACTERS = 255
_MAX_LOGGED_AT_ONCE = 1_000
"""Changes that are logged in one transaction, for which others wait."""

_log = logger("ledger")


def keep(connection: Connection, edit: Edit, results: Sequence[Edited], now: Millis, *, is_of_all: bool) -> None:
    """Keep who changed which alarms, or how many where all were asked for; what was refused changed nothing."""
    done = [{"id": result.id, "text": result.text} for result in results if result.done]
    if done and is_of_all:
        done = [{"id": "", "text": f"{len(done)} alarm(s)"}]
    if done:
        connection.execute(
            sa.insert(changes), [{**one, "changed_at": now, "who": _who(), "edit": edit} for one in done]
        )


def is_unlogged(connection: Connection) -> bool:
    """Say whether there is a change that no log has a line of."""
    return connection.execute(sa.select(changes.c.seq).limit(1)).first() is not None


def log_changes(connection: Connection) -> None:
    """Log the oldest changes that no log has a line of, and forget them."""
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


def copy(there: Connection, here: Connection) -> None:
    """Copy what no log has a line of to another database, which numbers it anew."""
    columns = [column for column in changes.c if column is not changes.c.seq]
    rows = there.execute(sa.select(*columns).order_by(changes.c.seq)).mappings().all()
    if rows:
        here.execute(sa.insert(changes), [dict(row) for row in rows])


def _who() -> str:
    """Return the user of this process, who is behind it where sudo says so, and the machine."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user has often no name
        user = f"uid {os.getuid()}"
    behind = os.environ.get("SUDO_USER")
    name = f"{behind} as {user}" if behind else user
    return f"{name}@{socket.gethostname()}"[:_MAX_WHO_CHARACTERS]
