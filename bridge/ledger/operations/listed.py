"""What Alertmanager's API shows, as the ledger needs it: the alarms that it compares, and the changes that follow.

In: sources, fingerprints, and changes that were decided from a round of answers. Out: alarms, and the effect of each
change. A change is applied only if the alert's newest alarm is the one that it was decided for: a webhook may have come
meanwhile. Which change follows from which answer is decided by `bridge.reconcile`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bridge.clock import Millis
from bridge.ledger.alarm import Adopted, Cause, IncomingAlert
from bridge.ledger.incoming import IncomingNotification, NotificationReader, OpenedNotification, ParsedAlerts
from bridge.ledger.operations.put import Put, PutParameters, PutResult, Refusal
from bridge.ledger.states import State
from bridge.ledger.storage import rows
from bridge.ledger.storage.schema import alarms, listed, sources
from bridge.ledger.storage.schema import differences as stored
from bridge.ledger.storage.statements import chunks

CHANGED = "the alert's alarm has changed since the answer, or another bridge leads"
"""Why a change was refused: it was decided for another alarm, for the same one before a webhook came, or by a bridge
that had lost the lead, whose answers may be old."""


class HeldAlarm(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The newest alarm of an alert, without an end: open, or rejected.

    ``last_seen``: when its last firing was received. ``reported_at``: when AOM accepted it last.
    """

    fingerprint: str
    seq: int
    state: State
    newest_starts_at: Millis
    newest_fired_at: Millis
    last_seen: Millis
    reported_at: Millis | None
    timeout: Millis


class EndedAlarm(msgspec.Struct, frozen=True, array_like=True):
    """The newest alarm of an alert, with an end or finished."""

    fingerprint: str
    seq: int
    state: State
    last_seen: Millis
    ends_at: Millis | None
    ended_by: Cause | None


class Knowledge(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What earlier answers have taught of one alert.

    ``validity``: of its sender's posts, in milliseconds. ``is_quiet``: when it was listed last, no webhook could tell
    of its end: it was suppressed, muted, or without a route to the bridge. ``strikes``: how often its alarm was ended
    by an absence and it fired again soon; ``cleared_at``: when that was done last.
    """

    validity: Millis | None = None
    is_quiet: bool = False
    strikes: int = 0
    cleared_at: Millis | None = None


class ListedDifference(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An alert whose alarm was not what Alertmanager says in the last round, as people are shown it.

    ``kind``: what differs. ``since``: since when. ``due_at``: when it is certain enough to act on; None while that
    cannot be said. ``waits_for``: what it waits for until then.
    """

    kind: str
    since: Millis
    due_at: Millis | None
    waits_for: str


class SourceKnowledge(msgspec.Struct, frozen=True):
    """What is known of one source: the receivers that its notifications have named, and its longest validity."""

    receivers: frozenset[str] = frozenset()
    longest_validity: Millis | None = None


class ListedChange(msgspec.Struct, frozen=True):
    """A change that follows from what the API shows of one alert.

    ``seq``, ``last_seen`` and ``state``: of its newest alarm when that was decided; None if it had none. ``ends_at``:
    when it ended; None: it fires, and ``bodies`` are notifications of it, the first that no rule drops counts; or
    ``alerts`` are put one after another, which are mapped already. ``cause``: None for a repeat. ``adopted``: AOM holds
    its alarm already.
    """

    cause: Cause | None
    fingerprint: str
    seq: int | None
    last_seen: Millis | None
    state: State | None
    ends_at: Millis | None = None
    bodies: tuple[bytes, ...] = ()
    alerts: tuple[IncomingAlert, ...] = ()
    adopted: Adopted | None = None


def held(connection: Connection, source: str) -> list[HeldAlarm]:
    """Return the newest alarm of each alert of a source that has no end."""
    columns = [alarms.c[name] for name in HeldAlarm.__struct_fields__]
    own = sa.select(*columns).where(alarms.c.source == source, alarms.c.is_newest, alarms.c.ends_at.is_(None))
    # The state is written out: a partial index is used only for a query with the same text.
    rejected = own.where(sa.text("state = 'rejected'"))
    query = sa.union_all(own.where(alarms.c.finished_at.is_(None)), rejected)
    return [HeldAlarm(*row) for row in connection.execute(query)]


def ended(connection: Connection, source: str, fingerprints: Collection[str]) -> dict[str, EndedAlarm]:
    """Return the newest alarm of each of these alerts that has an end."""
    columns = [alarms.c[name] for name in EndedAlarm.__struct_fields__]
    found = {}
    for chunk in chunks(rows.newest(connection, [(source, fingerprint) for fingerprint in fingerprints])):
        query = sa.select(*columns).where(alarms.c.seq.in_(chunk))
        found.update({row[0]: EndedAlarm(*row) for row in connection.execute(query)})
    return found


def knowledge(connection: Connection, source: str) -> dict[str, Knowledge]:
    """Return what is known of the alerts of a source, by their fingerprints."""
    columns = [listed.c[name] for name in Knowledge.__struct_fields__]
    query = sa.select(listed.c.fingerprint, *columns).where(listed.c.source == source)
    return {row[0]: Knowledge(*row[1:]) for row in connection.execute(query)}


def learn(connection: Connection, source: str, changed: Mapping[str, Knowledge | None]) -> None:
    """Store what is known of alerts; None: forget it."""
    _replace(connection, listed, source, changed)


def differences(connection: Connection, source: str) -> dict[str, ListedDifference]:
    """Return the differences of a source that were stored after the last round, by fingerprint."""
    return _stored(connection, source)


def still_differs() -> sa.ColumnElement[bool]:
    """Return the condition that a stored difference is not over: no alarm was raised or ended for it since then."""
    is_own = (alarms.c.source == stored.c.source, alarms.c.fingerprint == stored.c.fingerprint, alarms.c.is_newest)
    is_without_end = (alarms.c.ends_at.is_(None), alarms.c.finished_at.is_(None) | (alarms.c.state == "rejected"))
    is_held = sa.exists().where(*is_own, *is_without_end)
    return sa.case((stored.c.kind == "missing", ~is_held), else_=is_held)


def differing(connection: Connection, source: str) -> dict[str, ListedDifference]:
    """Return those differences of a source that are not over, by fingerprint."""
    return _stored(connection, source, still_differs())


def store_differences(connection: Connection, source: str, changed: Mapping[str, ListedDifference | None]) -> None:
    """Store differences that have changed; None: there is none any more."""
    _replace(connection, stored, source, changed)


def source_knowledge(connection: Connection, source: str) -> SourceKnowledge:
    """Return what is known of a source."""
    query = sa.select(sources.c.receivers, sources.c.longest_validity).where(sources.c.source == source)
    row = connection.execute(query).first()
    return SourceKnowledge() if row is None else SourceKnowledge(frozenset(json.loads(row[0])), row[1])


def learn_source(
    connection: Connection, source: str, receivers: Collection[str] = (), longest_validity: Millis | None = None
) -> None:
    """Add to what is known of a source: receivers, and a validity that is longer than those before."""
    _ensure(connection, source)
    before = source_knowledge(connection, source)
    names = sorted(before.receivers.union(receivers))
    longest = max(before.longest_validity or 0, longest_validity or 0) or None
    values = {"receivers": json.dumps(names), "longest_validity": longest}
    connection.execute(sa.update(sources).where(sources.c.source == source).values(values))


def is_led(connection: Connection, source: str, now: Millis) -> bool:
    """Say whether a running bridge compares a source with its Alertmanager."""
    query = sa.select(sources.c.source).where(sources.c.source == source, sources.c.leader_until >= now)
    return connection.execute(query).first() is not None


def covered(connection: Connection) -> dict[str, Millis]:
    """Return when every peer of each source has answered last, by the source."""
    query = sa.select(sources.c.source, sources.c.covered_at).where(sources.c.covered_at.is_not(None))
    return {str(source): int(covered_at) for source, covered_at in connection.execute(query)}


def lead(
    connection: Connection, source: str, holder: str, now: Millis, until: Millis, covered_at: Millis | None = None
) -> bool:
    """Take or keep the lead for a source, until a time; say whether this holder has it.

    ``covered_at``: when every peer answered, if the last round of this holder tells.
    """
    _ensure(connection, source)
    is_free = sa.or_(sources.c.leader.is_(None), sources.c.leader == holder, sources.c.leader_until < now)
    values = {"leader": holder, "leader_until": until}
    if covered_at is not None:
        values["covered_at"] = covered_at
    taken = sa.update(sources).where(sources.c.source == source, is_free).values(values)
    return connection.execute(taken).rowcount == 1


def give_up(connection: Connection, source: str, holder: str) -> None:
    """Give up the lead for a source, so that another bridge need not wait for its end."""
    is_own = sa.and_(sources.c.source == source, sources.c.leader == holder)
    connection.execute(sa.update(sources).where(is_own).values(leader=None, leader_until=None))


def _leader(connection: Connection, source: str) -> str | None:
    """Return who took the lead for a source last, even if its lease has ended since."""
    return connection.execute(sa.select(sources.c.leader).where(sources.c.source == source)).scalar()


def release_leads(connection: Connection) -> None:
    """Give up every lead: no other process uses the ledger."""
    connection.execute(sa.update(sources).values(leader=None, leader_until=None))


def apply(
    connection: Connection,
    source: str,
    holder: str | None,
    changes: Sequence[ListedChange],
    parameters: PutParameters,
    reader: NotificationReader,
    expires_at: float,
) -> PutResult:
    """Apply changes to the newest alarms of their alerts, if these are as they were when the changes were decided.

    Args:
        connection: an open transaction.
        source: the source.
        holder: who has decided the changes; they are applied only if it still leads. None: any bridge.
        changes: the changes, at most one for each alert.
        parameters: as for a put.
        reader: parses and maps the notifications of alerts that fire.
        expires_at: the time on the monotonic clock after which the answers are too old.

    Raises:
        ExpiredError: that time has passed.
    """
    rows.lock_puts(connection)
    leads = holder is None or _leader(connection, source) == holder
    last = rows.last_alarms(connection, [(source, change.fingerprint) for change in changes])
    decided = []
    for change in changes:
        alarm = last.get((source, change.fingerprint))
        noted = (change.seq, change.last_seen, change.state)
        is_same = leads and noted == (
            (None, None, None) if alarm is None else (alarm.seq, alarm.last_seen, alarm.state)
        )
        starts_at = 0 if alarm is None else alarm.newest_starts_at
        incoming = _incoming(source, change, starts_at, reader) if is_same else []
        decided.append(_Decided(incoming, expires_at))
    result = Put(connection, decided, parameters).run()
    for number, one in enumerate(decided):
        if not one.incoming:
            result.effects[number] = Refusal("unavailable", CHANGED)
        one.check()
    return result


class _Decided(OpenedNotification):
    """A change as a notification."""

    def __init__(self, incoming: list[IncomingAlert], expires_at: float) -> None:
        self.incoming = incoming
        super().__init__(IncomingNotification("", b"", len(incoming), incoming, expires_at), _NoReader())


class _NoReader:
    """For notifications whose alerts are mapped."""

    def open(self, _source: str, _body: bytes, /) -> ParsedAlerts:
        raise ValueError("every alert is mapped")


def _incoming(source: str, change: ListedChange, starts_at: Millis, reader: NotificationReader) -> list[IncomingAlert]:
    if change.alerts:
        return [replace(alert, cause=change.cause) for alert in change.alerts]
    if not change.bodies:
        ends_at = change.ends_at
        ended = IncomingAlert(
            source, change.fingerprint, "resolved", starts_at, ends_at, None, is_mapped=True, cause=change.cause
        )
        return [ended]
    alerts = [_mapped(source, body, reader) for body in change.bodies]
    first = replace(next((alert for alert in alerts if alert.mapped is not None), alerts[0]), cause=change.cause)
    return [first if change.adopted is None else _adopted(first, change.adopted)]


def _adopted(alert: IncomingAlert, adopted: Adopted) -> IncomingAlert:
    """Return an alert with the metadata under which AOM holds its alarm: others would be another alarm there."""
    if alert.mapped is None:
        return alert
    contents = alert.mapped.contents
    event = msgspec.json.decode(contents.event)
    event["metadata"] = adopted.metadata
    mapped = replace(
        alert.mapped,
        target=adopted.target,
        severity=adopted.metadata.get("event_severity", alert.mapped.severity),
        contents=replace(contents, event=msgspec.json.encode(event)),
    )
    return replace(alert, mapped=mapped, adopted=adopted)


def _mapped(source: str, body: bytes, reader: NotificationReader) -> IncomingAlert:
    (alert,) = reader.open(source, body).incoming()
    return alert


def _replace(
    connection: Connection, table: sa.Table, source: str, changed: Mapping[str, msgspec.Struct | None]
) -> None:
    """Replace the rows of alerts in a table of a source."""
    for chunk in chunks(list(changed)):
        connection.execute(sa.delete(table).where(table.c.source == source, table.c.fingerprint.in_(chunk)))
    new = [
        {"source": source, "fingerprint": fingerprint, **msgspec.structs.asdict(row)}
        for fingerprint, row in changed.items()
        if row is not None
    ]
    if new:
        connection.execute(sa.insert(table), new)


def _ensure(connection: Connection, source: str) -> None:
    """Add the row of a source if there is none, under the put lock."""
    rows.lock_puts(connection)
    if connection.execute(sa.select(sources.c.source).where(sources.c.source == source)).first() is None:
        connection.execute(sa.insert(sources), {"source": source, "receivers": "[]"})


def _stored(connection: Connection, source: str, *conditions: sa.ColumnElement[bool]) -> dict[str, ListedDifference]:
    columns = [stored.c[name] for name in ListedDifference.__struct_fields__]
    query = sa.select(stored.c.fingerprint, *columns).where(stored.c.source == source, *conditions)
    return {row[0]: ListedDifference(*row[1:]) for row in connection.execute(query)}
