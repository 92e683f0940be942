"""Claim and settle: the dispatcher's two transactions; the rules decide, this module keeps.

A claim moves an alarm's `due_at` to the end of the lease: whoever dies while holding it lets it come due again by
itself. A settle counts only for the worker that still holds the claim.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bridge.clock import Millis
from bridge.ledger import tables
from bridge.ledger.alarm import Action, Alarm, Claim
from bridge.ledger.put import Changes
from bridge.ledger.schema import alarms


class Settlement(msgspec.Struct, frozen=True):
    """What became of one claimed alarm: ``step`` is the rule to apply to the row as it is at the settle."""

    seq: int
    claimed_by: str
    step: Callable[[Alarm], Alarm]


def claim(
    connection: Connection, target: str, action: Action, *, holder: str, lease: Millis, limit: int, now: Millis
) -> list[Claim]:
    """Take up to ``limit`` alarms of a target that are due for an action, for one worker, until ``now + lease``."""
    found = tables.due(connection, target, action, now, limit)
    held = [replace(alarm, claimed_by=holder, due_at=now + lease) for alarm, _, _ in found]
    if held:
        take = sa.update(alarms).values(claimed_by=holder, due_at=now + lease)
        for some in tables.chunks([alarm.seq for alarm in held]):
            connection.execute(take.where(alarms.c.seq.in_(some)))
    return [
        Claim(alarm, action, event, has_successor) for alarm, (_, event, has_successor) in zip(held, found, strict=True)
    ]


def settle(connection: Connection, settlements: Sequence[Settlement]) -> tuple[list[Alarm], Changes]:
    """Apply what became of claimed alarms; return those that changed, and how the counts did.

    A settlement whose claim has been lost to another worker is left out.
    """
    rows = tables.load(connection, [settlement.seq for settlement in settlements])
    changed: list[Alarm] = []
    changes: Changes = Counter()
    for settlement in settlements:
        row = rows.get(settlement.seq)
        if row is None or row.claimed_by != settlement.claimed_by:
            continue
        alarm = settlement.step(row)
        changed.append(alarm)
        changes[row.state, row.target] -= 1
        changes[alarm.state, alarm.target] += 1
    tables.update(connection, changed)
    return changed, changes


def give_back(connection: Connection, holder: str | None = None) -> None:
    """Make claimed alarms due again: those of one worker that has stopped, or all where no other process can be."""
    claimed = alarms.c.claimed_by.is_not(None) if holder is None else alarms.c.claimed_by == holder
    due_at = sa.func.coalesce(alarms.c.due_since, alarms.c.received_at)
    connection.execute(sa.update(alarms).where(claimed).values(claimed_by=None, due_at=due_at))
