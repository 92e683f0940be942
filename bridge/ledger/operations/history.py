"""The steps in the history of alarms: added beside the changes that they tell of, and read for people.

In: alarms' numbers and `Step`s, on the transaction of the change. Out: one alarm with its steps. What is a step is
decided by `bridge.ledger.history`. Without a step nothing may be executed: a settle calls this for each batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa
from msgspec.structs import asdict
from sqlalchemy.engine import Connection

from bridge.ledger.history import CAPPED, MAX_CAPPED, Step
from bridge.ledger.operations import queries
from bridge.ledger.operations.queries import AlarmView
from bridge.ledger.storage.schema import steps
from bridge.ledger.storage.statements import chunks

_columns = [steps.c[name] for name in Step.__struct_fields__]


class AlarmDetail(msgspec.Struct, frozen=True):
    """One alarm as it is shown to people, and the steps of its history, the oldest first."""

    view: AlarmView
    steps: Sequence[Step]


def add(connection: Connection, happened: Sequence[tuple[int, Step]]) -> None:
    """Add steps, each with the number of its alarm."""
    if not happened:
        return
    connection.execute(sa.insert(steps), [{"alarm": alarm, **asdict(step)} for alarm, step in happened])
    capped = {alarm for alarm, step in happened if step.kind in CAPPED}
    for chunk in chunks(sorted(capped)):
        connection.execute(_surplus(chunk))


def of_alarm(connection: Connection, alarm: int) -> list[Step]:
    """Return the steps of the alarm with a number, the oldest first."""
    query = sa.select(*_columns).where(steps.c.alarm == alarm).order_by(steps.c.seq)
    return [Step(*row) for row in connection.execute(query)]


def show(connection: Connection, name: str) -> AlarmDetail:
    """Return the alarm with a name, and its steps; the name is read as by `queries.named`."""
    view = queries.show(connection, name)
    return AlarmDetail(view, of_alarm(connection, view.alarm.seq))


def purge(connection: Connection, seqs: Sequence[int]) -> None:
    """Delete the steps of alarms that are deleted."""
    connection.execute(sa.delete(steps).where(steps.c.alarm.in_(seqs)))


def _surplus(alarms: Sequence[int]) -> sa.Delete:
    """Return the deletion of the oldest capped steps of alarms that have more than `MAX_CAPPED`."""
    rank = sa.func.row_number().over(partition_by=steps.c.alarm, order_by=steps.c.seq.desc()).label("rank")
    ranked = sa.select(steps.c.seq, rank).where(steps.c.alarm.in_(alarms), steps.c.kind.in_(CAPPED)).subquery()
    return sa.delete(steps).where(steps.c.seq.in_(sa.select(ranked.c.seq).where(ranked.c.rank > MAX_CAPPED)))
