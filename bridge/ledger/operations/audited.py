"""What AOM's list shows, as the ledger needs it: the alarms that AOM should hold, and the changes that follow.

In: targets, alerts, and decisions that follow from AOM's list. Out: alarms, and which decisions were carried out: only
those whose alarm is still as it was when the list was read. Which decision follows from which list is decided by
`bridge.reconcile.audit`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.clock import Millis
from bridge.ledger import transitions
from bridge.ledger.alarm import Alarm, Key
from bridge.ledger.counts import AlarmCounts
from bridge.ledger.decisions import ClearedElsewhere, Doubtful, Haunted
from bridge.ledger.history import Step, of_audit
from bridge.ledger.operations import history
from bridge.ledger.states import State
from bridge.ledger.storage import rows
from bridge.ledger.storage.schema import alarms, counters

_CREATED_AT = "created_at"
_LEAD = "audit:{}"
"""What the lead of a target is called among those of sources, whose names have no colon."""

_MAX_NAME = 64


class OpenAtTarget(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An alarm that is open, and that AOM should hold once it is reported.

    ``reported_at``: when AOM accepted it last. ``due_at``: when it is sent next; None: nothing is due.
    """

    source: str
    fingerprint: str
    seq: int
    state: State
    last_seen: Millis
    reported_at: Millis | None
    due_at: Millis | None
    doubt_at: Millis | None

    @property
    def key(self) -> Key:
        """The key of its alert."""
        return self.source, self.fingerprint


class AuditChange(msgspec.Struct, frozen=True):
    """A decision about the newest alarm of an alert, and what that alarm was when it was decided."""

    key: Key
    seq: int
    last_seen: Millis
    state: State
    decision: Haunted | ClearedElsewhere | Doubtful


def open_at(connection: Connection, target: str) -> list[OpenAtTarget]:
    """Return the open alarms of a target that AOM should hold, without those of `event_type: event`."""
    columns = [alarms.c[name] for name in OpenAtTarget.__struct_fields__]
    is_open = (alarms.c.ends_at.is_(None), alarms.c.finished_at.is_(None))
    query = sa.select(*columns).where(alarms.c.target == target, alarms.c.event_type == "alarm", *is_open)
    return [OpenAtTarget(*row) for row in connection.execute(query)]


def newest(connection: Connection, keys: Collection[Key]) -> dict[Key, Alarm]:
    """Return the newest alarm of each of these alerts, where there is one."""
    return {alarm.key: alarm for alarm in rows.load(connection, rows.newest(connection, keys)).values()}


def doubted_since(connection: Connection, target: str, at: Millis) -> bool:
    """Say whether a push for an alarm of a target got into doubt at this time or later."""
    query = sa.select(alarms.c.seq).where(alarms.c.target == target, alarms.c.doubt_at >= at).limit(1)
    return connection.execute(query).first() is not None


def apply(connection: Connection, changes: Sequence[AuditChange], now: Millis) -> tuple[list[bool], AlarmCounts]:
    """Carry out decisions about alarms that are as they were when these were decided; say which were carried out."""
    rows.lock_puts(connection)
    last = rows.last_alarms(connection, sorted({change.key for change in changes}))
    changed: list[tuple[Alarm, Alarm]] = []
    told: list[tuple[int, Step]] = []
    results = []
    for change in changes:
        alarm = last.get(change.key)
        is_same = alarm is not None and (alarm.seq, alarm.last_seen, alarm.state) == (
            change.seq,
            change.last_seen,
            change.state,
        )
        after = transitions.apply(alarm, change.decision, now) if alarm is not None and is_same else alarm
        results.append(after is not alarm)
        if alarm is not None and after is not None and after is not alarm:
            changed.append((alarm, after))
            told.append((alarm.seq, of_audit(alarm, change.decision, now)))
            last[change.key] = after  # AOM may show several alarms of one alert, each of which has led to a decision
    rows.update(connection, changed)
    history.add(connection, told)
    return results, AlarmCounts.of(changed)


def lead_name(target: str) -> str:
    """Return what the lead of a target is called."""
    return _LEAD.format(target)[:_MAX_NAME]


def created_at(connection: Connection) -> Millis | None:
    """Return since when this ledger knows of alarms; None: no bridge has used it yet."""
    return connection.execute(sa.select(counters.c.value).where(counters.c.name == _CREATED_AT)).scalar()


def ensure_created_at(connection: Connection, now: Millis) -> Millis:
    """Return since when this ledger knows of alarms; a new one begins now."""
    value = created_at(connection)
    if value is None:
        first = connection.execute(sa.select(alarms.c.received_at).order_by(alarms.c.seq).limit(1)).scalar()
        value = now if first is None else min(first, now)
        connection.execute(sa.insert(counters), {"name": _CREATED_AT, "value": value})
    return value
