"""Short words for looks at AOM's list beside a ledger, for tests of what an audit makes of them; in milliseconds."""

from peers import T0, listed

from bridge.aom import ListedAlarm
from bridge.clock import HOUR, MINUTE
from bridge.ledger import Alarm, OpenAtTarget
from bridge.ledger.alarm import pack_ids
from bridge.reconcile.audit.judge import ApiView, Look, Policy, findings

SOURCE, TARGET = "s", "default"
WAIT = 2 * MINUTE
"""The target's `lookup_wait`."""


def key(name="a"):
    """Give the key of an alert."""
    return SOURCE, name


def entry(name="a", *, id="aom-1", start=T0 - 2 * HOUR, arrived=..., metadata=None):  # noqa: A002 - AOM's own word
    """Give an alarm that AOM's list shows open; it arrived when it started."""
    return ListedAlarm(
        id, SOURCE, name, start, arrives_at=start if arrived is ... else arrived, metadata=metadata or {}
    )


def row(name="a", *, state="cleared", start=T0 - 2 * HOUR, ends_at=T0 - HOUR, named=(), **more):
    """Give the newest alarm of an alert; by default it was cleared an hour ago."""
    is_finished = state not in ("report_due", "reported", "clear_due")
    fields = {
        "seq": 1,
        "id": "own-1",
        "source": SOURCE,
        "fingerprint": name,
        "target": TARGET,
        "rule": "r",
        "severity": "Major",
        "event_type": "alarm",
        "timeout": 24 * HOUR,
        "digest": "",
        "state": state,
        "is_newest": True,
        "refresh_due": False,
        **dict.fromkeys(("starts_at", "fired_at", "newest_starts_at", "newest_fired_at", "earliest_at"), start),
        **dict.fromkeys(("received_at", "last_seen"), start),
        "ends_at": ends_at,
        "finished_at": T0 - HOUR if is_finished else None,
        "named_ids": pack_ids(named),
    }
    return Alarm(**(fields | more))


def held(name="a", *, state="reported", reported=T0 - HOUR, due=None, doubt=None, seq=1):
    """Give an open alarm that AOM should hold; by default AOM accepted it an hour ago and nothing is due."""
    return OpenAtTarget(SOURCE, name, seq, state, T0 - 2 * HOUR, reported, due, doubt)


def view(*active, suppressed=(), is_complete=True, last_start=T0 - 3 * HOUR, is_settled=False):
    """Give what the peers of the source show: these alerts fire; by default all peers are older than `entry`."""
    shown = {name: listed(name) for name in (*active, *suppressed)}
    return ApiView(shown, frozenset(active), is_complete=is_complete, last_start=last_start, is_settled=is_settled)


def look(*entries, opens=(), rows=(), api=None, is_complete=True, is_plausible=True, created_at=T0 - HOUR, at=T0):
    """Give one look: what AOM shows, the ledger's open alarms and its other rows, and what the peers show."""
    shown = {}
    for one in entries:
        shown.setdefault(key(one.fingerprint), []).append(one)
    return Look(
        at=at,
        target=TARGET,
        entries=shown,
        is_complete=is_complete,
        is_plausible=is_plausible,
        open_alarms={one.key: one for one in opens},
        newest={one.key: one for one in rows},
        api={} if api is None else {SOURCE: api},
        created_at=created_at,
    )


def judged(*entries, adopts=False, accepts=False, ghosts=None, **more):
    """Look once; give each finding."""
    return findings(look(*entries, **more), Policy(WAIT, adopts=adopts, accepts=accepts), ghosts or {})


def said(*entries, **more):
    """Look once; give the kind and the action of each finding."""
    return [(one.kind, one.action) for one in judged(*entries, **more)]
