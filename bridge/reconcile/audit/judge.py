"""What differs between AOM's own list and the ledger, and what follows from it; pure.

In: one look at the list of a target, the ledger's alarms, and what the peers of Alertmanager show. Out: a `Finding` for
each difference. No clock is read and nothing is changed here. A single look proves nothing, since a list may lag and
its pages may shift while they are read: `bridge.reconcile.audit.memory` says which findings two looks have shown.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Literal, get_args

import msgspec

from bridge.aom import ListedAlarm
from bridge.clock import Millis
from bridge.ledger import Alarm, Key, OpenAtTarget, State, unpack_ids
from bridge.notification import OWN_SOURCES
from bridge.reconcile.answers import ListedAlert

FindingKind = Literal["ghost", "foreign", "duplicate", "cleared_elsewhere", "unknown"]
"""``ghost``: AOM shows an alarm open that is finished here. ``foreign``: it shows one that this bridge has not
reported. ``duplicate``: it shows several of an alert that fires. ``cleared_elsewhere``: it does not show one that is
open here. ``unknown``: it shows one that the ledger has never heard of, and that is to be taken over or ended."""

FINDING_KINDS: tuple[FindingKind, ...] = get_args(FindingKind)

Action = Literal["clear", "sweep", "report", "wait", "finish", "adopt", "end", "tell"]
"""``clear``: its clear is due again. ``sweep``: all but one are cleared. ``report``: it is reported again. ``wait``:
the next firing of its alert reports it. ``finish``: it ends here, too. ``adopt``: it becomes an open alarm of the
ledger, without a report. ``end``: it becomes an alarm of the ledger whose clear is due. ``tell``: nothing but to
tell."""

CHANGES_AOM: tuple[Action, ...] = ("clear", "report", "finish", "end")
"""The actions of which many at once wait for the brake."""

_MAX_GHOSTS = 2
"""An alarm is cleared so often as a ghost; one that comes again is another bridge's."""

_MAX_NAMED = 5


class ApiView(msgspec.Struct, frozen=True):
    """What the peers of one source show at the time of a look.

    ``shown``: the alerts that fire, by fingerprint, as their last post shows them; ``active``: those of them that no
    peer suppresses. ``is_complete``: whether every peer has answered. ``last_start``: when the last of them was
    started. ``is_settled``: whether all have been the same for so long that an absent alert does not fire.
    """

    shown: Mapping[str, ListedAlert]
    active: frozenset[str]
    is_complete: bool
    last_start: Millis
    is_settled: bool


class Look(msgspec.Struct, frozen=True):
    """One look at a target.

    ``entries``: what AOM's list shows open, by alert. ``is_complete``: it was read to its end; ``is_plausible``: it has
    ever shown an alarm of this bridge. ``open_alarms``: those that AOM should hold. ``newest``: the newest alarm of
    each other alert that the list shows. ``api``: the sources whose Alertmanager is asked. ``created_at``: since when
    the ledger knows of alarms.
    """

    at: Millis
    target: str
    entries: Mapping[Key, Sequence[ListedAlarm]]
    is_complete: bool
    is_plausible: bool
    open_alarms: Mapping[Key, OpenAtTarget]
    newest: Mapping[Key, Alarm]
    api: Mapping[str, ApiView]
    created_at: Millis


class Policy(msgspec.Struct, frozen=True):
    """The settings of the target that decide."""

    lookup_wait: Millis
    adopts: bool
    accepts: bool


class Finding(msgspec.Struct, frozen=True):
    """One difference.

    ``noted``: number, last firing and state of the alert's newest alarm; None: the ledger knows none. ``entry``: what
    AOM shows, as its id and start.
    """

    kind: FindingKind
    action: Action
    key: Key
    noted: tuple[int, Millis, State] | None
    entry: tuple[str, Millis] | None

    @property
    def identity(self) -> Hashable:
        """What makes it the same finding at another look: a repeat of the alert changes nothing."""
        alarm = None if self.noted is None else (self.noted[0], self.noted[2])
        return self.kind, self.action, self.key, alarm, self.entry


def findings(look: Look, policy: Policy, ghosts: Mapping[int, int]) -> list[Finding]:
    """Return what differs.

    Args:
        look: what is there now.
        policy: of the target.
        ghosts: how often each alarm, by its number, has been cleared as a ghost.
    """
    found = [one for key, entries in look.entries.items() for one in _shown(look, policy, ghosts, key, entries)]
    if look.is_complete and look.is_plausible:
        absent = (alarm for key, alarm in look.open_alarms.items() if key not in look.entries)
        found += [one for alarm in absent for one in _absent(look, policy, alarm)]
    return found


def _shown(
    look: Look, policy: Policy, ghosts: Mapping[int, int], key: Key, entries: Sequence[ListedAlarm]
) -> Iterator[Finding]:
    """Yield what follows from what AOM shows open of one alert."""
    alarm = look.open_alarms.get(key)
    if alarm is not None:
        if len(entries) > 1 and alarm.due_at is None and alarm.doubt_at is None:
            yield Finding("duplicate", "sweep", key, (alarm.seq, alarm.last_seen, alarm.state), _named(entries[0]))
        return
    last = look.newest.get(key)
    for entry in entries:
        found = _unknown(look, policy, key, entry) if last is None else _known(look, ghosts, last, entry)
        if found is not None:
            yield found


def _known(look: Look, ghosts: Mapping[int, int], last: Alarm, entry: ListedAlarm) -> Finding | None:
    """Return what follows from an entry whose alert has no open alarm at this target."""
    noted = (last.seq, last.last_seen, last.state)
    foreign = Finding("foreign", "tell", last.key, noted, _named(entry))
    if last.target != look.target:  # two targets may lead to one project, and an alert may have moved
        return foreign if last.finished_at is not None else None
    is_firing = last.ends_at is None and last.state == "rejected"
    if last.finished_at is None or is_firing or last.state == "discarded":
        return None  # its clear is on the way, its alert fires, or an operator wanted AOM to keep it
    if not _explains(last, entry) or _is_of_another(last, entry, ghosts):
        return foreign
    view = look.api.get(last.source)
    if view is not None and (not view.is_complete or last.fingerprint in view.shown):
        return None
    return Finding("ghost", "clear", last.key, noted, _named(entry))


def _explains(last: Alarm, entry: ListedAlarm) -> bool:
    ends_at = last.finished_at if last.ends_at is None else last.ends_at
    return entry.starts_at <= (ends_at or 0) or entry.id in (last.id, *unpack_ids(last.named_ids))


def _is_of_another(last: Alarm, entry: ListedAlarm, ghosts: Mapping[int, int]) -> bool:
    """Say whether another bridge reports the alarm, since it came again after it was cleared as a ghost."""
    if ghosts.get(last.seq, 0) >= _MAX_GHOSTS or len(unpack_ids(last.named_ids)) >= _MAX_NAMED:
        return True
    was_ended_unknown = last.opened_by == "adopted" and last.reported_at is None
    return was_ended_unknown and entry.arrives_at > (last.finished_at or 0)


def _unknown(look: Look, policy: Policy, key: Key, entry: ListedAlarm) -> Finding | None:
    """Return what follows from an entry of an alert that the ledger has never heard of."""
    view = look.api.get(key[0])
    foreign = Finding("foreign", "tell", key, None, _named(entry))
    if not policy.adopts or view is None:
        return foreign
    if key[1] in view.shown:
        return Finding("unknown", "adopt", key, None, _named(entry))
    arrived_at = entry.arrives_at or entry.starts_at
    if arrived_at >= look.created_at:
        return foreign
    is_proved = view.is_complete and (view.is_settled or view.last_start < arrived_at)
    return Finding("unknown", "end", key, None, _named(entry)) if is_proved else None


def _absent(look: Look, policy: Policy, alarm: OpenAtTarget) -> Iterator[Finding]:
    """Yield what follows from an open alarm that AOM does not show."""
    told_at = max(alarm.reported_at or 0, alarm.doubt_at or 0)
    if alarm.state != "reported" or alarm.due_at is not None or look.at - told_at < policy.lookup_wait:
        return
    view = look.api.get(alarm.source)
    is_known_to_fire = alarm.source in OWN_SOURCES  # the bridge itself raises and ends them
    action: Action = "wait" if view is None and not is_known_to_fire else "report"
    if policy.accepts:
        action = "finish"
    elif view is not None and alarm.fingerprint not in view.active:
        return  # it does not fire, or it is not known whether it does
    yield Finding("cleared_elsewhere", action, alarm.key, (alarm.seq, alarm.last_seen, alarm.state), None)


def _named(entry: ListedAlarm) -> tuple[str, Millis]:
    return entry.id, entry.starts_at
