"""Reads of the ledger for people and metrics.

In: filters and names of alarms. Out: `AlarmView`s, counts and times. They must change nothing and must not block a put.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.clock import Millis
from bridge.errors import UnknownAlarmError
from bridge.event import Event
from bridge.ledger.alarm import Alarm, AlertContext, due_states
from bridge.ledger.states import Action, State
from bridge.ledger.storage.rows import Codec, is_behind_another
from bridge.ledger.storage.rows import codec as own_codec
from bridge.ledger.storage.schema import alarms, contents, counters
from bridge.ledger.storage.statements import chunks
from bridge.notification import Alert, Group

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,80}")
_CANDIDATES = 10
_columns = [alarms.c[name] for name in Alarm.__struct_fields__]


class AlarmView(msgspec.Struct, frozen=True):
    """One alarm as it is shown to people: its row, the event for AOM, and the alert with its group."""

    alarm: Alarm
    event: Event
    context: AlertContext


def edits(connection: Connection) -> int:
    """Return the number of edits by the command line."""
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
    """Return since when the longest waiting alarm of a target has been due."""
    query = sa.select(sa.func.min(alarms.c.due_since)).where(alarms.c.target == target, alarms.c.due_at.is_not(None))
    due_since = connection.execute(query).scalar_one()
    return None if due_since is None else int(due_since)


def next_due(connection: Connection, target: str, action: Action) -> Millis | None:
    """Return when the next alarm of a target comes due for an action."""
    times = [_next_due(connection, target, state) for state in due_states(action)]
    return min((due_at for due_at in times if due_at is not None), default=None)


def _next_due(connection: Connection, target: str, state: State) -> Millis | None:
    is_due = (alarms.c.target == target, alarms.c.state == state, alarms.c.due_at.is_not(None), ~is_behind_another)
    due_at = connection.execute(sa.select(alarms.c.due_at).where(*is_due).order_by(alarms.c.due_at).limit(1)).scalar()
    return None if due_at is None else int(due_at)


def of_seqs(connection: Connection, seqs: Collection[int]) -> list[AlarmView]:
    """Return the alarms with these numbers."""
    query = sa.select(*_columns, contents.c.kept).outerjoin(contents, contents.c.seq == alarms.c.seq)
    return [view for chunk in chunks(list(seqs)) for view in _views(connection, query.where(alarms.c.seq.in_(chunk)))]


def show(connection: Connection, name: str) -> AlarmView:
    """Return the alarm with a name; the name is read as by `named`."""
    query = sa.select(*_columns, contents.c.kept).outerjoin(contents, contents.c.seq == alarms.c.seq)
    (view,) = _views(connection, query.where(alarms.c.seq == named(connection, name)))
    return view


def named(connection: Connection, name: str) -> int:
    """Return the number of the alarm with this id, else with this fingerprint, else with an id of this prefix.

    A fingerprint means the newest alarm of the alert, which is the open one if one is open.

    Raises:
        UnknownAlarmError: no alarm has this name, or several have.
    """
    is_id, is_alert = alarms.c.id == name, sa.and_(alarms.c.fingerprint == name, alarms.c.is_newest)
    meant = sa.or_(is_id, is_alert, alarms.c.id.startswith(name, autoescape=True))
    rank = sa.case((is_id, 0), (is_alert, 1), else_=2)
    query = sa.select(rank, alarms.c.seq, alarms.c.id, alarms.c.source).where(meant).order_by(rank, alarms.c.seq.desc())
    rows = connection.execute(query.limit(_CANDIDATES)).all() if _NAME.fullmatch(name) else []
    best = [
        (int(seq), f"{own_id} of {source}") for rank_of_row, seq, own_id, source in rows if rank_of_row == rows[0][0]
    ]
    if not best:
        raise UnknownAlarmError("no alarm has this id or fingerprint")
    if len(best) > 1:
        listed = ", ".join(text for _, text in best) + (", ..." if len(best) == _CANDIDATES else "")
        raise UnknownAlarmError(f"more than one alarm has this name: {listed}. Fix: give the id of one of them")
    return best[0][0]


def _views(connection: Connection, query: sa.Select[tuple[Any, ...]]) -> list[AlarmView]:
    codec = own_codec()
    return [_view(codec, Alarm(*values), packed or b"") for *values, packed in connection.execute(query)]


def _view(codec: Codec, alarm: Alarm, packed: bytes) -> AlarmView:
    """Join a row with its contents; contents that cannot be read are shown as such, so that other alarms are listed."""
    try:
        return AlarmView(alarm, codec.event(packed), codec.context(packed))
    except ValueError:
        fields = {"event_name": "unreadable", "event_severity": alarm.severity, "event_type": alarm.event_type}
        event = Event({**fields, "resource_id": "unreadable"}, {}, alarm.timeout)
        lost = Alert(alarm.fingerprint, "firing", {}, {}, alarm.starts_at, alarm.ends_at, "")
        return AlarmView(alarm, event, AlertContext(lost, Group("", "", {}, {}, {}, "")))
