"""What the whole ledger says at one moment, for people: what waits and why, what is open, and who has answered when.

In: a connection that reads. Out: a `LedgerStatus`. What is said of it is decided by `bridge.web.status`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.clock import Millis
from bridge.ledger.alarm import State
from bridge.ledger.operations import heartbeats, queries
from bridge.ledger.operations.audited import lead_name
from bridge.ledger.operations.heartbeats import SwitchRow
from bridge.ledger.storage.schema import alarms, differences, sources


class WaitingAlarm(msgspec.Struct, frozen=True):
    """The alarm of a target that has waited longest; ``due_since`` and ``due_at``: since when, and until when."""

    state: State
    due_since: Millis
    due_at: Millis
    attempts: int
    reason: str | None
    detail: str | None


class TargetStatus(msgspec.Struct, frozen=True):
    """One target: how many alarms are in each state, and how many of them wait.

    ``accepted_at``: when AOM accepted a report last. ``audited_at``: when an audit of AOM's list ended last.
    """

    states: Mapping[State, int]
    waiting: int
    oldest: WaitingAlarm | None
    accepted_at: Millis | None
    audited_at: Millis | None


class SourceStatus(msgspec.Struct, frozen=True):
    """One source: how many of its alarms are open.

    ``covered_at``: when every peer of its Alertmanager has answered last, if they are asked. ``differences``: how many
    alarms should have changed by now, by the kind of the difference.
    """

    open: int
    covered_at: Millis | None
    differences: Mapping[str, int]


class LedgerStatus(msgspec.Struct, frozen=True):
    """The whole ledger."""

    at: Millis
    targets: Mapping[str, TargetStatus]
    sources: Mapping[str, SourceStatus]
    switches: Sequence[SwitchRow]


def status(connection: Connection, targets: Sequence[str], names: Sequence[str], now: Millis) -> LedgerStatus:
    """Return what the ledger says of these targets and sources.

    Args:
        connection: to read.
        targets: the names of the targets.
        names: those of the sources.
        now: the time.
    """
    counts = queries.counts(connection)
    covered = {name: at for name, at in connection.execute(sa.select(sources.c.source, sources.c.covered_at))}  # noqa: C416 - a Row is no pair for the type checker
    return LedgerStatus(
        at=now,
        targets={name: _target(connection, name, counts, covered) for name in targets},
        sources={name: _source(connection, name, covered, now) for name in names},
        switches=heartbeats.switches(connection),
    )


def _target(
    connection: Connection,
    target: str,
    counts: Mapping[tuple[State, str], int],
    covered: Mapping[str, Millis | None],
) -> TargetStatus:
    is_due = (alarms.c.target == target, alarms.c.due_at.is_not(None))
    columns = [alarms.c[name] for name in WaitingAlarm.__struct_fields__]
    oldest = connection.execute(sa.select(*columns).where(*is_due).order_by(alarms.c.due_since).limit(1)).first()
    accepted = sa.select(sa.func.max(alarms.c.reported_at)).where(alarms.c.target == target)
    return TargetStatus(
        states={state: count for (state, name), count in counts.items() if name == target and count},
        waiting=connection.execute(sa.select(sa.func.count()).where(*is_due)).scalar_one(),
        oldest=None if oldest is None else WaitingAlarm(*oldest),
        accepted_at=connection.execute(accepted).scalar(),
        audited_at=covered.get(lead_name(target)),
    )


def _source(connection: Connection, source: str, covered: Mapping[str, Millis | None], now: Millis) -> SourceStatus:
    is_open = (alarms.c.source == source, alarms.c.ends_at.is_(None), alarms.c.finished_at.is_(None))
    due = sa.select(differences.c.kind, sa.func.count()).where(
        differences.c.source == source, differences.c.due_at <= now
    )
    return SourceStatus(
        open=connection.execute(sa.select(sa.func.count()).select_from(alarms).where(*is_open)).scalar_one(),
        covered_at=covered.get(source),
        differences={kind: count for kind, count in connection.execute(due.group_by(differences.c.kind))},  # noqa: C416 - a Row is no pair for the type checker
    )
