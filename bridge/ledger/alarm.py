"""The values of the ledger: an alarm (one row, one episode of an alert from firing to cleared), its states, claims.

Times are epoch milliseconds. Metrics, web pages and the command line use the same names for the states. Nothing here
reads or writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import Literal, NamedTuple, get_args

import msgspec

from bridge.clock import Millis
from bridge.event import ID_LENGTH, Event, Mapped
from bridge.ledger.states import STATES, Action, State
from bridge.notification import Alert, Group, Sign, Status

Effect = Literal["new", "repeat", "resolved", "orphan", "duplicate", "stale", "dropped", "heartbeat"]
Key = tuple[str, str]
"""(source, fingerprint): identifies an alert; each alert has at most one open alarm."""

Phase = Literal["retrying", "paused", "not_listed", "refused_once", "confirming", "unseen"]
"""Why an alarm waits for another attempt; the next attempt depends on it.

``retrying``: AOM could not be reached or did not accept; the alarm waits for its backoff, which ends early when the
target accepts again. ``paused``: the same, while the target refuses every alarm in the same way. ``not_listed``: AOM's
list does not contain the alarm yet. ``refused_once``: AOM refused the clear; its list will show whether it holds the
alarm. ``confirming``: AOM accepted the clear while a report was in doubt; its list will show whether it holds the alarm
again. ``unseen``: AOM accepted the alarm, but its list does not contain it.
"""


Cause = Literal[
    "missing", "remapped", "vanished", "unrouted", "silenced", "operator", "heartbeat", "adopted", "elsewhere", "canary"
]
"""What opened or ended an alarm, if not a webhook.

By what Alertmanager's API shows: ``missing``: its alert fires, and no webhook told of it. ``remapped``: the same, and
earlier rules dropped it. ``vanished``: no peer lists its alert. ``unrouted``: its alert goes to none of the receivers
that send to the bridge. ``silenced``: its alert is suppressed. Else: ``operator``: a command. ``heartbeat``: a
heartbeat was missing or came back, or the alert has become a sign of one. By what AOM's list shows: ``adopted``: AOM
held the alarm open, and the ledger did not know it. ``elsewhere``: AOM no longer held it, and `cleared_elsewhere`
accepts that. ``canary``: it is an alarm of the bridge's own, which shows that the whole chain works.
"""

API_OPENINGS: tuple[Cause, ...] = ("missing", "remapped")
"""The causes for which an alarm is raised by what the API shows."""

API_ENDINGS: tuple[Cause, ...] = ("vanished", "unrouted", "silenced")
"""The causes for which Alertmanager does not know that the alarm was ended: its own resolve may still come."""

ENDINGS_BY_HAND: tuple[Cause, ...] = ("operator", "elsewhere")
"""The causes for which people have ended an alarm whose alert may fire: that it is listed does not raise it again."""


ACTIONS: tuple[Action, ...] = get_args(Action)
EFFECTS: dict[str, tuple[Effect, ...]] = {
    "firing": ("new", "repeat", "dropped", "heartbeat"),
    "resolved": ("resolved", "orphan", "duplicate", "stale", "dropped", "heartbeat"),
}


def due_states(action: Action) -> tuple[State, ...]:
    """Return the states in which a due alarm waits for an action."""
    return tuple(state for state, info in STATES.items() if info.action == action)


def action_of(state: State) -> Action:
    """Return the action that a due alarm in a state waits for."""
    return STATES[state].action or "report"


OWN_ID = re.compile(rf"[0-9a-f]{{{ID_LENGTH}}}(-[0-9]+)?")
"""The bridge's own ids: `alarm_id`, or that with a number."""


class Alarm(msgspec.Struct, frozen=True, array_like=True):
    """One alarm; its fields are the columns of the table, in the same order.

    A new field goes to the end, with its column in `bridge.ledger.storage.schema` and in a new migration.
    """

    seq: int
    """Ascending in the order in which alarms were added; the alarms of one alert are delivered in this order."""
    id: str
    """The bridge's id: a hash of source, fingerprint and first ``startsAt``; with ``-n`` if that id is used already."""
    source: str
    fingerprint: str
    target: str
    rule: str
    severity: str
    event_type: str
    timeout: Millis
    """AOM clears the alarm by itself after this long without a report."""
    digest: str
    """A hash of the event as last mapped; shows whether a repeat changed it."""
    state: State
    is_newest: bool
    """Whether it is the newest alarm of its alert: only that one decides the effect of the next alert that is received.
    Delivery of an alarm waits only for older ones of its alert."""
    refresh_due: bool
    """Whether the alarm, which AOM has accepted, must be reported again."""
    starts_at: Millis
    """``startsAt`` of the last firing received, unchanged."""
    fired_at: Millis
    """The same, but never later than its time of receipt; this start is reported to AOM."""
    newest_starts_at: Millis
    newest_fired_at: Millis
    """``startsAt`` of the firing with the latest start, unchanged and capped; used to recognise a stale resolve."""
    earliest_at: Millis
    """The earliest start that may have been reported to AOM; a search in AOM's list begins there."""
    received_at: Millis
    last_seen: Millis
    ends_at: Millis | None = None
    resolved_at: Millis | None = None
    """When the resolve was received."""
    first_reported_at: Millis | None = None
    reported_at: Millis | None = None
    reported_starts_at: Millis | None = None
    """When AOM accepted the first and the last report, and the ``starts_at`` of the last one."""
    due_since: Millis | None = None
    due_at: Millis | None = None
    """Since when it waits, and when it is sent next; None when nothing is due. A claim sets ``due_at`` to its end."""
    attempts: int = 0
    claimed_by: str | None = None
    doubt_at: Millis | None = None
    """When the last report with an unknown outcome was sent, for this alarm or an earlier one of its alert: AOM may
    apply it late. None when there is no doubt."""
    reason: str | None = None
    detail: str | None = None
    """Why the last attempt failed, for people: a code word, and AOM's text. Decisions use ``phase`` instead."""
    finished_at: Millis | None = None
    first_sent_start: Millis | None = None
    sent_start: Millis | None = None
    """The starts in the first and in the last report that AOM has, or may have, accepted."""
    named_ids: str | None = None
    """AOM's ids that its clears have named; packed by `pack_ids`."""
    earlier_ids: str | None = None
    """AOM's ids that clears of earlier alarms of its alert have named; in AOM's list they are not this alarm."""
    earlier_starts: str | None = None
    """The starts in reports of earlier alarms of its alert whose clears may have missed them."""
    phase: Phase | None = None
    """Why it waits for another attempt; None when it does not."""
    opened_by: Cause | None = None
    ended_by: Cause | None = None
    """What opened and what ended it, if not a webhook."""

    @property
    def key(self) -> Key:
        """The key of its alert."""
        return self.source, self.fingerprint

    @property
    def is_open(self) -> bool:
        """Whether the alert still fires, as far as the ledger knows."""
        return self.ends_at is None and self.finished_at is None


class ArrivedAlert(msgspec.Struct, frozen=True):
    """One alert as the receiving side hands it to the ledger.

    ``mapped`` returns its mapping; for a resolve it is called only if the ledger has no open alarm of the alert.
    ``sign``: the alert is a sign of a heartbeat and is not mapped.
    """

    source: str
    alert: Alert
    group: Group
    mapped: Callable[[], Mapped]
    sign: Sign | None = None

    @property
    def key(self) -> Key:
        """The key of the alert."""
        return self.source, self.alert.fingerprint


class AlertContext(msgspec.Struct, frozen=True):
    """The part of a webhook that is stored beside a row, so that the alert can be mapped again."""

    alert: Alert
    group: Group


class StoredContents(msgspec.Struct, frozen=True, array_like=True):
    """The contents stored beside a row, as JSON: the frozen event, the current annotations, the alert and its group."""

    event: bytes
    annotations: bytes
    context: bytes


class MappedAlert(msgspec.Struct, frozen=True, array_like=True):
    """The mapping of an alert, as its rows store it; ``digest`` is a hash of the event with its annotations."""

    target: str
    rule: str
    severity: str
    event_type: str
    timeout: Millis
    digest: str
    contents: StoredContents
    event_name: str
    resource: str


class Adopted(msgspec.Struct, frozen=True, array_like=True):
    """An alarm that AOM holds open, and that the ledger takes over without a report, as AOM's list shows it."""

    target: str
    id: str
    starts_at: Millis
    arrives_at: Millis
    metadata: Mapping[str, str]


class IncomingAlert(msgspec.Struct, frozen=True, array_like=True):
    """One alert as a put takes it in; it can be sent to another process.

    ``mapped`` is None if a rule drops the alert, or while the alert is not mapped yet (``is_mapped`` is False).
    ``cause``: why it is put, if it is not of a webhook. ``sign``: it is a sign of a heartbeat and no alarm.
    ``adopted``: AOM holds its alarm already.
    """

    source: str
    fingerprint: str
    status: Status
    starts_at: Millis
    ends_at: Millis | None
    mapped: MappedAlert | None
    is_mapped: bool
    cause: Cause | None = None
    sign: Sign | None = None
    adopted: Adopted | None = None

    @property
    def key(self) -> Key:
        """The key of the alert."""
        return self.source, self.fingerprint


class PutReceipt(NamedTuple):
    """The result of a put for one notification: the effect of each alert, and the packed report of the mapping."""

    effects: list[Effect]
    report: bytes


class Claim(msgspec.Struct, frozen=True):
    """An alarm that one worker holds until the lease ends, with the action and the event to send.

    ``has_successor``: the alert fires again, and its next alarm waits for this one; an alarm that a resolve without a
    firing has added does not count. ``was_ahead``: it was due later than any wait allows, because a clock has stepped
    back or is wrong.
    """

    alarm: Alarm
    action: Action
    event: Event
    has_successor: bool = False
    was_ahead: bool = False


_MAX_IDS = 20
"""The maximum number of AOM's ids stored with an alarm; a list that lags behind shows the last ones."""


def pack_ids(*groups: Iterable[str]) -> str | None:
    """Return AOM's ids as a row stores them, as a JSON list: the last `_MAX_IDS`, each once; None if there are none."""
    return _packed(chain.from_iterable(groups))


def unpack_ids(packed: str | None) -> tuple[str, ...]:
    """Return what `pack_ids` packed."""
    return tuple(json.loads(packed)) if packed else ()


def pack_starts(*groups: Iterable[Millis | None]) -> str | None:
    """Return starts in the form of `pack_ids`."""
    return _packed(start for start in chain.from_iterable(groups) if start is not None)


def unpack_starts(packed: str | None) -> tuple[Millis, ...]:
    """Return what `pack_starts` packed."""
    return tuple(json.loads(packed)) if packed else ()


def _packed(values: Iterable[str | Millis]) -> str | None:
    last = list(dict.fromkeys(values))[-_MAX_IDS:]
    return json.dumps(last) if last else None
