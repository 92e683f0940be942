"""Claim and settle: the dispatcher's transactions; what changes in a row is decided by `bridge.ledger.transitions`.

A claim moves an alarm's `due_at` to the end of the lease: if its worker dies, the alarm comes due again then. A settle
counts only while its claim holds; what the holder of a lost claim may have done to AOM is a doubt.
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
from bridge.ledger.alarm import Action, Alarm, Claim, Key, Phase, action_of, due_states
from bridge.ledger.counts import AlarmCounts
from bridge.ledger.decisions import Decision
from bridge.ledger.storage import rows
from bridge.ledger.storage.rows import Due
from bridge.ledger.storage.schema import alarms, contents
from bridge.ledger.storage.statements import chunks
from bridge.ledger.writer.packed import Packed

_ENDS_WITH_OUTAGE: tuple[Phase, ...] = ("retrying", "paused")


class Settlement(msgspec.Struct, frozen=True):
    """One alarm as it was claimed, and what was decided about it: carried out on its row as it is at the settle."""

    alarm: Alarm
    decision: Decision


class Settled(msgspec.Struct, frozen=True):
    """The numbers of the alarms whose claim still held, what came due, and how the counts changed."""

    seqs: set[int]
    due: set[tuple[str, Action]]
    changes: AlarmCounts


class Taken(msgspec.Struct, frozen=True, array_like=True):
    """An alarm as it was claimed, with what lies beside its row, unread; the rest as in a `Claim`."""

    alarm: Alarm
    kept: bytes | None
    has_successor: bool
    was_ahead: bool = False


class AllTaken(Packed[Taken], of=Taken):
    """What a claim took, on its way to whoever sends it."""


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
) -> AllTaken:
    """Take up to ``limit`` alarms of a target that are due for an action, for one worker, until ``now + lease``.

    What is due later than ``horizon`` is taken, too: no wait is so long, so a clock has stepped back, or is wrong.
    """
    found: list[Due] = []
    for state in due_states(action):
        if len(found) < limit:
            found += rows.due(connection, target, state, now, limit - len(found))
        if len(found) < limit:
            found += rows.due_ahead(connection, target, state, horizon, limit - len(found))
    taken = rows.take(connection, [row.alarm.seq for row in found], holder, now + lease, now) if found else set()
    fire_again = rows.unfinished(connection, {row.alarm.key for row in found if not row.alarm.is_newest})
    return AllTaken(
        Taken(
            rows.held(row.alarm, holder, now + lease, now),
            row.kept,
            row.alarm.key in fire_again,
            (row.alarm.due_at or 0) > horizon,
        )
        for row in found
        if row.alarm.seq in taken
    )


def decoded(taken: Taken, action: Action) -> Claim:
    """Return what a claim took with the event to send.

    Raises:
        ValueError: what lies beside the row cannot be read.
    """
    return Claim(taken.alarm, action, _event(taken.kept), taken.has_successor, taken.was_ahead)


def doubtful(connection: Connection, target: str, before: Millis, now: Millis, limit: int) -> list[Claim]:
    """Return open alarms of a target that are in doubt, and that no worker holds.

    The doubt, and the first report that AOM accepted, are older than ``before``: AOM's list shows what there is. Or one
    of them lies ahead of ``now``.
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
    found = []
    for *values, kept in connection.execute(query):
        with contextlib.suppress(ValueError):  # a claim of it will say so
            found.append(Claim(Alarm(*values), "clear", rows.codec().event(kept)))
    return found


def _event(kept: bytes | None) -> Event:
    if kept is None:
        raise ValueError("it is missing")
    return rows.codec().event(kept)


def settle(connection: Connection, *, holder: str, decisions: Sequence[tuple[int, Decision]], now: Millis) -> Settled:
    """Carry out decisions about claimed alarms, each named by its number.

    A row whose claim has been lost to another worker is left out. One that finishes while the alert has a later alarm
    leaves to that one what is not settled.
    """
    seqs = [seq for seq, _ in decisions]
    heirs = rows.heirs(connection, seqs)
    by_seq = rows.load(connection, {*seqs, *heirs.values()})
    held = [
        (row, decision)
        for seq, decision in decisions
        if (row := by_seq.get(seq)) is not None and row.claimed_by == holder
    ]
    done = [(row, transitions.apply(row, decision, now)) for row, decision in held]
    done += _succeeding(connection, done, heirs, by_seq, now)
    rows.update(connection, done)
    due = {(after.target, action_of(after.state)) for _, after in done if after.due_at is not None}
    return Settled({row.seq for row, _ in held}, due, AlarmCounts.of(done))


def _succeeding(
    connection: Connection,
    done: Sequence[tuple[Alarm, Alarm]],
    heirs: Mapping[int, int],
    by_seq: Mapping[int, Alarm],
    now: Millis,
) -> list[tuple[Alarm, Alarm]]:
    """Return how the alarms change that come after those which have finished."""
    changed = []
    for before, after in done:
        if before.is_newest or after.finished_at is None:
            continue
        heir = heirs.get(before.seq) or rows.next_of(connection, before.seq, before.source, before.fingerprint)
        row = by_seq.get(heir) or rows.load(connection, [heir])[heir]
        changed.append((row, transitions.succeeding(row, after, now)))
    return changed


def change_newest(
    connection: Connection, keys: Sequence[Key], decision: Decision, now: Millis, seqs: Sequence[int] | None = None
) -> AlarmCounts:
    """Carry out a decision on the newest alarm of each of these alerts, while no other can be added.

    Args:
        connection: an open transaction.
        keys: the alerts.
        decision: what was decided.
        now: the time.
        seqs: change only alarms with these numbers; any by default.
    """
    rows.lock_puts(connection)
    last = rows.last_alarms(connection, sorted(set(keys)))
    decided = [(row, transitions.apply(row, decision, now)) for row in last.values() if seqs is None or row.seq in seqs]
    changed = [(before, after) for before, after in decided if before is not after]
    rows.update(connection, changed)
    return AlarmCounts.of(changed)


def retry_now(connection: Connection, target: str, action: Action, *, now: Millis, limit: int) -> int:
    """Make due at once what waits only because the target did not accept, the oldest first; return how many."""
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
    """Make claimed alarms due again: those of one worker that has stopped, or all where no other process can be.

    Args:
        connection: an open transaction.
        holder: the beginning of its claims' names; None for all.
        now: from when on they are in doubt: what was sent for them is not known.
    """
    column = alarms.c.claimed_by
    claimed = column.is_not(None) if holder is None else column.startswith(holder, autoescape=True)
    # Locked in the order in which puts lock: in any other, two transactions could wait for each other.
    seqs = sa.select(alarms.c.seq).where(claimed).order_by(alarms.c.seq).with_for_update()
    given_back = {"claimed_by": None, "due_at": _due_since(), "doubt_at": now}
    connection.execute(sa.update(alarms).where(alarms.c.seq.in_(seqs)).values(given_back))


def _due_since() -> sa.ColumnElement[Millis]:
    return sa.func.coalesce(alarms.c.due_since, alarms.c.received_at)
