"""The signs of heartbeats as the ledger stores them: when each switch has shown one last.

In: signs from notifications and from Alertmanager's API. Out: a `SwitchRow` for each switch. Whether one is missing is
decided by `bridge.reconcile.heartbeats`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bridge.clock import Millis
from bridge.ledger.alarm import IncomingAlert
from bridge.ledger.storage import rows
from bridge.ledger.storage.schema import alarms, contents
from bridge.ledger.storage.schema import heartbeats as stored
from bridge.ledger.storage.statements import chunks
from bridge.notification import Labels, Sign


class SwitchRow(msgspec.Struct, frozen=True, array_like=True):
    """One switch that has shown a sign; ``fingerprint``: of the alarm that is raised when it is missing.

    ``seen_at``: when its last sign came. ``ended_at``: when a resolve of it came that was newer than that sign; None:
    none came since.
    """

    fingerprint: str
    sign: Sign
    seen_at: Millis
    ended_at: Millis | None = None


def switches(connection: Connection) -> list[SwitchRow]:
    """Return every switch."""
    return [_row(*values) for values in connection.execute(sa.select(stored))]


def row(connection: Connection, fingerprint: str) -> SwitchRow | None:
    """Return one switch; None: it has never shown a sign."""
    values = connection.execute(sa.select(stored).where(stored.c.fingerprint == fingerprint)).first()
    return None if values is None else _row(*values)


def signed(before: SwitchRow | None, sign: Sign, incoming: IncomingAlert, now: Millis) -> SwitchRow | None:
    """Return a switch after an alert of it came by webhook; None: nothing is to be stored.

    A resolve counts only if it ends after the last sign: a peer may send one late. The first thing that comes of a
    switch is no resolve, so that none is learnt that has already gone.
    """
    if incoming.status == "firing":
        return SwitchRow(sign.fingerprint, sign, now)
    if before is None or (incoming.ends_at is not None and incoming.ends_at <= before.seen_at):
        return None
    return replace(before, ended_at=now)


def store(connection: Connection, switched: Sequence[SwitchRow]) -> None:
    """Store switches in the place of what was known of them."""
    forget(connection, [one.fingerprint for one in switched])
    new = [
        {
            "fingerprint": one.fingerprint,
            "heartbeat": one.sign.heartbeat,
            "by_labels": json.dumps(one.sign.by),
            "seen_at": one.seen_at,
            "ended_at": one.ended_at,
        }
        for one in switched
    ]
    if new:
        connection.execute(sa.insert(stored), new)


def note(connection: Connection, signs: Iterable[tuple[Sign, Millis]]) -> None:
    """Note the signs that Alertmanager's API has shown, with the time of each; an older one changes nothing."""
    rows.lock_puts(connection)
    newer = []
    for sign, seen_at in signs:
        before = row(connection, sign.fingerprint)
        if before is None or seen_at > before.seen_at:
            is_over = before is not None and before.ended_at is not None and before.ended_at >= seen_at
            ended_at = before.ended_at if before is not None and is_over else None
            newer.append(SwitchRow(sign.fingerprint, sign, seen_at, ended_at))
    store(connection, newer)


def forget(connection: Connection, fingerprints: Collection[str]) -> None:
    """Forget switches."""
    for chunk in chunks(list(fingerprints)):
        connection.execute(sa.delete(stored).where(stored.c.fingerprint.in_(chunk)))


def open_labels(connection: Connection, source: str, after: int, limit: int) -> list[tuple[int, Labels]]:
    """Return a page of the open alarms of a source: the number of each, and its alert's labels."""
    own = (alarms.c.source == source, alarms.c.is_newest, alarms.c.ends_at.is_(None), alarms.c.finished_at.is_(None))
    query = sa.select(alarms.c.seq, contents.c.kept).join(contents, contents.c.seq == alarms.c.seq)
    query = query.where(*own, alarms.c.seq > after).order_by(alarms.c.seq).limit(limit)
    codec = rows.codec()
    return [(seq, codec.context(kept).alert.labels) for seq, kept in connection.execute(query)]


def _row(fingerprint: str, heartbeat: str, by_labels: str, seen_at: Millis, ended_at: Millis | None) -> SwitchRow:
    return SwitchRow(fingerprint, Sign(heartbeat, json.loads(by_labels)), seen_at, ended_at)
