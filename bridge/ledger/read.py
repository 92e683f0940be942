"""Reads of the ledger for people and metrics; they change nothing and never hold up a put."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.clock import Millis
from bridge.event import Event
from bridge.ledger.alarm import DUE_STATES, Action, Alarm, Context, State
from bridge.ledger.schema import alarms, contents, counters
from bridge.ledger.tables import Codec, is_behind_another
from bridge.ledger.tables import codec as own_codec
from bridge.notification import Alert, Group

_columns = [alarms.c[name] for name in Alarm.__struct_fields__]


class AlarmView(msgspec.Struct, frozen=True):
    """One alarm as people look at it: its row, the event for AOM, and the alert with its group."""

    alarm: Alarm
    event: Event
    context: Context


def edits(connection: Connection) -> int:
    """Return how often the command line has changed something."""
    return int(connection.execute(sa.select(counters.c.value).where(counters.c.name == "edits")).scalar_one())


def counts(connection: Connection) -> dict[tuple[State, str], int]:
    """Count the alarms by state and target; once, at the start."""
    query = sa.select(alarms.c.state, alarms.c.target, sa.func.count()).group_by(alarms.c.state, alarms.c.target)
    return {(state, target): count for state, target, count in connection.execute(query)}


def open_counts(connection: Connection) -> dict[tuple[str, str], int]:
    """Count the alarms that still fire by target and severity; once, at the start."""
    still_open = (alarms.c.ends_at.is_(None), alarms.c.finished_at.is_(None))
    query = sa.select(alarms.c.target, alarms.c.severity, sa.func.count()).where(*still_open)
    rows = connection.execute(query.group_by(alarms.c.target, alarms.c.severity))
    return {(target, severity): count for target, severity, count in rows}


def waiting_since(connection: Connection, target: str) -> Millis | None:
    """Return since when the longest waiting alarm of a target is due."""
    query = sa.select(sa.func.min(alarms.c.due_since)).where(alarms.c.target == target, alarms.c.due_at.is_not(None))
    found = connection.execute(query).scalar_one()
    return None if found is None else int(found)


def next_due(connection: Connection, target: str, action: Action) -> Millis | None:
    """Return when the next alarm of a target comes due for an action."""
    found = [_next_due(connection, target, state) for state in DUE_STATES[action]]
    return min((due_at for due_at in found if due_at is not None), default=None)


def _next_due(connection: Connection, target: str, state: State) -> Millis | None:
    is_due = (alarms.c.target == target, alarms.c.state == state, alarms.c.due_at.is_not(None), ~is_behind_another)
    found = connection.execute(sa.select(alarms.c.due_at).where(*is_due).order_by(alarms.c.due_at).limit(1)).scalar()
    return None if found is None else int(found)


def listing(
    connection: Connection,
    *,
    states: Sequence[str] = (),
    target: str | None = None,
    source: str | None = None,
    before: int | None = None,
    limit: int = 1_000,
) -> list[AlarmView]:
    """Return alarms, the newest first; ``before``: only those with smaller numbers."""
    query = sa.select(*_columns, contents.c.kept)
    query = query.outerjoin(contents, contents.c.seq == alarms.c.seq).order_by(alarms.c.seq.desc()).limit(limit)
    if states:
        query = query.where(alarms.c.state.in_(states))
    if target is not None:
        query = query.where(alarms.c.target == target)
    if source is not None:
        query = query.where(alarms.c.source == source)
    if before is not None:
        query = query.where(alarms.c.seq < before)
    return _views(connection, query)


def show(connection: Connection, alarm_id: str) -> AlarmView | None:
    """Return the alarm with this id, or the only one whose id begins so."""
    query = sa.select(*_columns, contents.c.kept)
    query = query.outerjoin(contents, contents.c.seq == alarms.c.seq)
    found = _views(connection, query.where(alarms.c.seq.in_(seqs_of(connection, alarm_id))))
    return found[0] if len(found) == 1 else None


def seqs_of(connection: Connection, alarm_id: str) -> list[int]:
    """Return the number of the alarm with this id; without one, those of up to two whose ids begin so."""
    begins = alarms.c.id.startswith(alarm_id, autoescape=True)
    query = sa.select(alarms.c.seq, alarms.c.id).where(begins).order_by(sa.func.length(alarms.c.id)).limit(2)
    found = [(int(seq), str(own_id)) for seq, own_id in connection.execute(query)] if alarm_id else []
    return [seq for seq, own_id in found if own_id == alarm_id] or [seq for seq, _ in found]


def _views(connection: Connection, query: sa.Select[tuple[Any, ...]]) -> list[AlarmView]:
    codec = own_codec()
    return [_view(codec, Alarm(*values), kept or b"") for *values, kept in connection.execute(query)]


def _view(codec: Codec, alarm: Alarm, kept: bytes) -> AlarmView:
    """Join what belongs together; what cannot be read is shown as such, for it must not hide the other alarms."""
    try:
        return AlarmView(alarm, codec.event(kept), codec.context(kept))
    except ValueError:
        fields = {"event_name": "unreadable", "event_severity": alarm.severity, "event_type": alarm.event_type}
        event = Event({**fields, "resource_id": "unreadable"}, {}, alarm.timeout)
        lost = Alert(alarm.fingerprint, "firing", {}, {}, alarm.starts_at, alarm.ends_at, "")
        return AlarmView(alarm, event, Context(lost, Group("", "", {}, {}, {}, "")))
