"""Claim and settle: the dispatcher's transactions; what changes in a row is decided by `bridge.ledger.transitions`.

In: claims and decisions. Out: claimed alarms, and how the counts changed. A claim sets an alarm's `due_at` to the end
of the lease, so the alarm becomes due again if its worker dies. A settle is applied only while its claim holds; if a
claim was lost, its worker may have sent something to AOM, and the alarm is in doubt.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bridge.clock import Millis
from bridge.event import Event
from bridge.ledger import transitions
from bridge.ledger.alarm import (
    Alarm,
    Claim,
    Key,
    Phase,
    action_of,
    due_states,
)
from bridge.ledger.counts import AlarmCounts
from bridge.ledger.decisions import Decision
from bridge.ledger.history import of_decision
from bridge.ledger.operations import history
from bridge.ledger.states import Action
from bridge.ledger.storage import rows
from bridge.ledger.storage.rows import Due
from bridge.ledger.storage.schema import alarms, contents
from bridge.ledger.storage.statements import chunks

_ENDS_WITH_OUTAGE: tuple[Phase, ...] = ("retrying", "paused")


class Settlement(msgspec.Struct, frozen=True):
    """One alarm as it was claimed, and the decision about it, which is applied to its row as it is at the settle."""

    alarm: Alarm
    decision: Decision


class Settled(msgspec.Struct, frozen=True, tag=True):
    """The numbers of the alarms whose claim still held, the targets and actions now due, and the change of counts."""

    seqs: set[int]
    due: set[tuple[str, Action]]
    changes: AlarmCounts


class Taken(msgspec.Struct, frozen=True, array_like=True):
    """An alarm as it was claimed, with its packed contents; the other fields are as in `Claim`."""

    alarm: Alarm
    contents: bytes | None
    has_successor: bool
    was_ahead: bool = False


class Claimed(msgspec.Struct, frozen=True, tag=True):
    """The alarms of one claim."""

    alarms: list[Taken]


def claim(
    connection: Connection,
    target: str,
    action: Action,
    *,
    holder: str,
    lease: Millis,
    limit: int,
    now: Millis,
    horizon: Millis,
) -> Claimed:
    """Take up to ``limit`` alarms of a target that are due for an action, for one worker, until ``now + lease``.

    An alarm that is due later than ``horizon`` is claimed, too: no wait is so long, so a clock has stepped back or is
    wrong.
    """
    due: list[Due] = []
    for state in due_states(action):
        if len(due) < limit:
            due += rows.due(connection, target, state, now, limit - len(due))
        if len(due) < limit:
            due += rows.due_ahead(connection, target, state, horizon, limit - len(due))
    taken = rows.take(connection, [row.alarm.seq for row in due], holder, now + lease, now) if due else set()
    fire_again = rows.firing_again(connection, {row.alarm.key for row in due if not row.alarm.is_newest})
    return Claimed(
        [
            Taken(
                rows.as_claimed(row.alarm, holder, now + lease, now),
                row.contents,
                row.alarm.key in fire_again,
                (row.alarm.due_at or 0) > horizon,
            )
            for row in due
            if row.alarm.seq in taken
        ]
    )


def decoded(taken: Taken, action: Action) -> Claim:
    """Return a claimed alarm with the event to send.

    Raises:
        ValueError: the contents of the alarm cannot be read.
    """
    return Claim(taken.alarm, action, _event(taken.contents), taken.has_successor, taken.was_ahead)


def doubtful(connection: Connection, target: str, before: Millis, now: Millis, limit: int) -> list[Claim]:
    """Return open alarms of a target that are in doubt and that no worker holds.

    The doubt, and the first report that AOM accepted, are older than ``before``, so AOM's list is up to date for them;
    or the time of one of them is later than ``now``.
    """
    is_old = sa.and_(alarms.c.doubt_at <= before, alarms.c.first_reported_at <= before)
    query = (
        sa.select(*(alarms.c[name] for name in Alarm.__struct_fields__), contents.c.kept)
        .join(contents, contents.c.seq == alarms.c.seq)
        .where(alarms.c.target == target, alarms.c.doubt_at.is_not(None), alarms.c.state == "reported")
        .where(sa.or_(is_old, alarms.c.doubt_at > now, alarms.c.first_reported_at > now))
        .where(alarms.c.ends_at.is_(None), alarms.c.finished_at.is_(None), alarms.c.claimed_by.is_(None))
        .order_by(alarms.c.doubt_at)
        .limit(limit)
    )
    claims = []
    for *values, packed in connection.execute(query):
        with contextlib.suppress(ValueError):  # the next claim of this alarm reports it
            claims.append(Claim(Alarm(*values), "clear", rows.codec().event(packed)))
    return claims


def _event(packed: bytes | None) -> Event:
    if packed is None:
        raise ValueError("it is missing")
    return rows.codec().event(packed)


def settle(connection: Connection, *, holder: str, decisions: Sequence[tuple[int, Decision]], now: Millis) -> Settled:
    """Apply decisions about claimed alarms, each named by its number.

    An alarm whose claim was lost is left out. When an alarm finishes and its alert has a later one, that one inherits
    its doubt, ids and starts.
    """
    seqs = [seq for seq, _ in decisions]
    heirs = rows.heirs(connection, seqs)
    by_seq = rows.load(connection, {*seqs, *heirs.values()})
    still_claimed = [
        (row, decision)
        for seq, decision in decisions
        if (row := by_seq.get(seq)) is not None and row.claimed_by == holder
    ]
    changes = [(row, transitions.apply(row, decision, now)) for row, decision in still_claimed]
    changes += _succeeding(connection, changes, heirs, by_seq, now)
    rows.update(connection, changes)
    _tell(connection, still_claimed, now)
    due = {(after.target, action_of(after.state)) for _, after in changes if after.due_at is not None}
    return Settled({row.seq for row, _ in still_claimed}, due, AlarmCounts.of(changes))


def _tell(connection: Connection, decided: Sequence[tuple[Alarm, Decision]], now: Millis) -> None:
    """Add to the history of alarms what their rows will not show."""
    told = [(row.seq, step) for row, decision in decided if (step := of_decision(row, decision, now)) is not None]
    history.add(connection, told)


def _succeeding(
    connection: Connection,
    settled: Sequence[tuple[Alarm, Alarm]],
    heirs: Mapping[int, int],
    by_seq: Mapping[int, Alarm],
    now: Millis,
) -> list[tuple[Alarm, Alarm]]:
    """Return the changes of the alarms that follow alarms which have finished."""
    changes = []
    for before, after in settled:
        if before.is_newest or after.finished_at is None:
            continue
        heir = heirs.get(before.seq) or rows.next_of(connection, before.seq, before.source, before.fingerprint)
        row = by_seq.get(heir) or rows.load(connection, [heir])[heir]
        changes.append((row, transitions.succeeding(row, after, now)))
    return changes


def change_newest(
    connection: Connection, keys: Sequence[Key], decision: Decision, now: Millis, seqs: Sequence[int] | None = None
) -> AlarmCounts:
    """Apply a decision to the newest alarm of each of these alerts, under the put lock.

    Args:
        connection: an open transaction.
        keys: the alerts.
        decision: the decision.
        now: the time.
        seqs: change only alarms with these numbers; any by default.
    """
    rows.lock_puts(connection)
    last = rows.last_alarms(connection, sorted(set(keys)))
    decided = [(row, transitions.apply(row, decision, now)) for row in last.values() if seqs is None or row.seq in seqs]
    changes = [(before, after) for before, after in decided if before is not after]
    rows.update(connection, changes)
    _tell(connection, [(before, decision) for before, _ in changes], now)
    return AlarmCounts.of(changes)


def retry_now(connection: Connection, target: str, action: Action, *, now: Millis, limit: int) -> int:
    """Make alarms due now that wait only because the target did not accept, the oldest first; return how many."""
    waits = (
        alarms.c.target == target,
        alarms.c.state.in_(due_states(action)),
        alarms.c.due_at > now,
        alarms.c.claimed_by.is_(None),
        alarms.c.phase.in_(_ENDS_WITH_OUTAGE),
    )
    oldest = sa.select(alarms.c.seq).where(*waits).order_by(alarms.c.due_since).limit(limit)
    seqs = list(connection.execute(oldest.with_for_update(skip_locked=True)).scalars())
    for chunk in chunks(seqs):
        connection.execute(sa.update(alarms).where(alarms.c.seq.in_(chunk)).values(due_at=_due_since()))
    return len(seqs)


def release(connection: Connection, holder: str | None, now: Millis) -> None:
    """Make claimed alarms due again: those of one stopped worker, or all, if no other process uses the ledger.

    Args:
        connection: an open transaction.
        holder: the prefix of its claims' names; None for all.
        now: the time since when the alarms are in doubt, because it is not known what was sent for them.
    """
    column = alarms.c.claimed_by
    claimed = column.is_not(None) if holder is None else column.startswith(holder, autoescape=True)
    # Locked in the same order as by puts, to avoid deadlocks.
    seqs = sa.select(alarms.c.seq).where(claimed).order_by(alarms.c.seq).with_for_update()
    released = {"claimed_by": None, "due_at": _due_since(), "doubt_at": now}
    connection.execute(sa.update(alarms).where(alarms.c.seq.in_(seqs)).values(released))


def _due_since() -> sa.ColumnElement[Millis]:
    return sa.func.coalesce(alarms.c.due_since, alarms.c.received_at)
