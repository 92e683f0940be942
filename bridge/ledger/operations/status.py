"""What the whole ledger says at one moment, for people: what waits and why, what is open, and who has answered when.

In: a connection that reads. Out: a `LedgerStatus`. What is said of it is decided by `bridge.web.status`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.clock import Millis
from bridge.ledger.operations import heartbeats
from bridge.ledger.operations.audited import lead_name
from bridge.ledger.operations.heartbeats import SwitchRow
from bridge.ledger.operations.listed import still_differs
from bridge.ledger.states import STATES, Action, State
from bridge.ledger.storage.schema import alarms, differences, sources

_NEWEST = 200
"""How many finished alarms of a target and state are looked at for when AOM accepted or refused one last."""


class WaitingAlarm(msgspec.Struct, frozen=True):
    """The alarm of a target that has waited longest; ``due_since`` and ``due_at``: since when, and until when."""

    state: State
    due_since: Millis
    due_at: Millis
    attempts: int
    reason: str | None
    detail: str | None


class Stage(msgspec.Struct, frozen=True):
    """How many alarms of a target are in one stage of their way, and a time: since when, or when last."""

    count: int = 0
    at: Millis | None = None


class Stages(msgspec.Struct, frozen=True):
    """The alarms of a target by the stages of their way.

    ``reports`` and ``clears`` wait to be reported and cleared, and ``in_flight`` are held by a worker; their times are
    those since when the oldest one waits. ``accepted``: those that AOM holds open, and when it accepted a report last.
    ``rejected``: those that AOM has refused, and when it refused the last one.
    """

    reports: Stage = Stage()
    in_flight: Stage = Stage()
    accepted: Stage = Stage()
    clears: Stage = Stage()
    rejected: Stage = Stage()


class TargetStatus(msgspec.Struct, frozen=True):
    """One target: how many alarms are in each state, and how many of them wait.

    ``accepted_at``: when AOM accepted a report last; of finished alarms the newest ones are looked at.
    ``audited_at``: when an audit of AOM's list ended last.
    """

    states: Mapping[State, int]
    waiting: int
    oldest: WaitingAlarm | None
    accepted_at: Millis | None
    audited_at: Millis | None
    stages: Stages = Stages()


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


class _Group(msgspec.Struct, frozen=True, array_like=True):
    """How many unfinished alarms have these values, since when the oldest of them is due, and the last acceptance."""

    target: str
    source: str
    state: State
    is_open: bool
    is_due: bool
    is_claimed: bool
    count: int
    due_since: Millis | None
    reported_at: Millis | None


def status(
    connection: Connection,
    targets: Sequence[str],
    names: Sequence[str],
    now: Millis,
    counts: Mapping[tuple[State, str], int] | None = None,
) -> LedgerStatus:
    """Return what the ledger says of these targets and sources.

    It reads every unfinished alarm once, and of finished ones an index at most.

    Args:
        connection: to read.
        targets: the names of the targets.
        names: those of the sources.
        now: the time.
        counts: how many alarms there are by state and target, if that is known.
    """
    covered = dict(connection.execute(sa.select(sources.c.source, sources.c.covered_at)).all())
    groups = _unfinished(connection)
    finished = _finished_counts(connection) if counts is None else counts
    return LedgerStatus(
        at=now,
        targets={name: _target(connection, name, groups, finished, covered) for name in targets},
        sources={name: _source(connection, name, groups, covered, now) for name in names},
        switches=heartbeats.switches(connection),
    )


def _unfinished(connection: Connection) -> list[_Group]:
    values = (
        alarms.c.target,
        alarms.c.source,
        alarms.c.state,
        alarms.c.ends_at.is_(None),
        alarms.c.due_at.is_not(None),
        alarms.c.claimed_by.is_not(None),
    )
    totals = (sa.func.count(), sa.func.min(alarms.c.due_since), sa.func.max(alarms.c.reported_at))
    query = sa.select(*values, *totals).where(alarms.c.finished_at.is_(None)).group_by(*values)
    return [_Group(*row) for row in connection.execute(query)]


def _finished_counts(connection: Connection) -> dict[tuple[State, str], int]:
    columns = (alarms.c.state, alarms.c.target)
    query = sa.select(*columns, sa.func.count()).where(alarms.c.finished_at.is_not(None)).group_by(*columns)
    return {(state, target): count for state, target, count in connection.execute(query)}


def _target(
    connection: Connection,
    target: str,
    groups: Sequence[_Group],
    finished: Mapping[tuple[State, str], int],
    covered: Mapping[str, Millis | None],
) -> TargetStatus:
    own = [group for group in groups if group.target == target]
    states: Counter[State] = Counter()
    for group in own:
        states[group.state] += group.count
    for (state, name), count in finished.items():
        if name == target and count and STATES[state].is_finished:
            states[state] = count
    ended = [_newest(connection, target, state, alarms.c.reported_at) for state in states if STATES[state].is_finished]
    accepted_at = max((at for at in (*(group.reported_at for group in own), *ended) if at is not None), default=None)
    is_refused = states["rejected"] > 0
    return TargetStatus(
        states=dict(states),
        waiting=sum(group.count for group in own if group.is_due),
        oldest=_oldest(connection, target),
        accepted_at=accepted_at,
        audited_at=covered.get(lead_name(target)),
        stages=Stages(
            reports=_waiting(own, "report"),
            in_flight=_stage([group for group in own if group.is_claimed]),
            accepted=Stage(states["reported"], accepted_at),
            clears=_waiting(own, "clear"),
            rejected=Stage(
                states["rejected"],
                _newest(connection, target, "rejected", alarms.c.finished_at) if is_refused else None,
            ),
        ),
    )


def _waiting(groups: Sequence[_Group], action: Action) -> Stage:
    return _stage([one for one in groups if one.is_due and not one.is_claimed and STATES[one.state].action == action])


def _stage(groups: Sequence[_Group]) -> Stage:
    times = [group.due_since for group in groups if group.due_since is not None]
    return Stage(sum(group.count for group in groups), min(times, default=None))


def _oldest(connection: Connection, target: str) -> WaitingAlarm | None:
    is_due = (alarms.c.target == target, alarms.c.due_at.is_not(None))
    first = sa.select(alarms.c.seq).where(*is_due).order_by(alarms.c.due_since, alarms.c.seq).limit(1)
    columns = [alarms.c[name] for name in WaitingAlarm.__struct_fields__]
    row = connection.execute(sa.select(*columns).where(alarms.c.seq == first.scalar_subquery())).first()
    return None if row is None else WaitingAlarm(*row)


def _newest(connection: Connection, target: str, state: State, column: sa.Column[Millis]) -> Millis | None:
    """Return the latest time in a column of the newest finished alarms of a target in a state."""
    is_ended = (alarms.c.state == state, alarms.c.target == target, alarms.c.finished_at.is_not(None))
    newest = sa.select(column).where(*is_ended).order_by(alarms.c.received_at.desc(), alarms.c.seq.desc())
    some = newest.limit(_NEWEST).subquery()
    return connection.execute(sa.select(sa.func.max(some.c[column.name]))).scalar()


def _source(
    connection: Connection, source: str, groups: Sequence[_Group], covered: Mapping[str, Millis | None], now: Millis
) -> SourceStatus:
    due = sa.select(differences.c.kind, sa.func.count()).where(
        differences.c.source == source, differences.c.due_at <= now, still_differs()
    )
    return SourceStatus(
        open=sum(group.count for group in groups if group.source == source and group.is_open),
        covered_at=covered.get(source),
        differences=dict(connection.execute(due.group_by(differences.c.kind)).all()),
    )
