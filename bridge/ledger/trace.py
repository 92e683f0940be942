"""The trace of what the command line changes: kept with the change itself, told by a bridge that runs on the ledger.

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
from bridge.ledger.edit import Edit, Edited
from bridge.ledger.schema import changes
from bridge.log import logger

_MAX_WHO_CHARACTERS = 255

_log = logger("ledger")


def keep(connection: Connection, edit: Edit, results: Sequence[Edited], now: Millis) -> None:
    """Keep who changed which alarms; what was refused changed nothing."""
    rows = [
        {"changed_at": now, "who": _who(), "edit": edit, "id": result.id, "text": result.text}
        for result in results
        if result.done
    ]
    if rows:
        connection.execute(sa.insert(changes), rows)


def is_untold(connection: Connection) -> bool:
    """Say whether there is a change that no log has a line of."""
    return connection.execute(sa.select(changes.c.seq).limit(1)).first() is not None


def tell(connection: Connection) -> None:
    """Log every change that no log has a line of, and forget it."""
    taken = sa.delete(changes).returning(*changes.c)
    for row in sorted(connection.execute(taken).all(), key=lambda row: row.seq):
        _log.info(
            "alarm edited by the command line",
            edit=row.edit,
            id=row.id,
            text=row.text,
            who=row.who,
            at=format_rfc3339(row.changed_at),
        )


def _who() -> str:
    """Return the user of this process, who is behind it where sudo says so, and the machine."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user has often no name
        user = f"uid {os.getuid()}"
    behind = os.environ.get("SUDO_USER")
    name = f"{behind} as {user}" if behind else user
    return f"{name}@{socket.gethostname()}"[:_MAX_WHO_CHARACTERS]
