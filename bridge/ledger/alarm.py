"""One row of the ledger: an alarm, the open-to-cleared episode of one alert; pure values.

Times are epoch milliseconds. The words for the states are those of metrics, pages and the command line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Literal, NamedTuple, get_args

import msgspec

from bridge.clock import Millis
from bridge.event import Event, Mapped
from bridge.notification import Alert, Group, Status

State = Literal["report_due", "reported", "clear_due", "cleared", "rejected", "expired", "discarded"]
Action = Literal["report", "clear"]
Effect = Literal["new", "repeat", "resolved", "orphan", "duplicate", "stale", "dropped"]
Key = tuple[str, str]
"""(source, fingerprint): what an alert is; at most one open alarm for each."""

Phase = Literal["retrying", "paused", "not_listed", "refused_once", "confirming", "unseen"]
"""What the next try of an alarm that waits must know of the last one.

``retrying``: AOM could not be reached or did not accept; the alarm waits for its backoff, which ends early when the
target accepts again. ``paused``: likewise, while the target refuses every alarm in the same way. ``not_listed``: AOM's
list did not show the alarm yet. ``refused_once``: AOM refused the clear, and its list is asked whether it holds the
alarm. ``confirming``: AOM accepted the clear while a report was in doubt, and its list is asked again. ``unseen``: AOM
accepted the alarm and shows it in no list.
"""


@dataclass(frozen=True, slots=True)
class StateInfo:
    """What a state means.

    Attributes:
        action: what an alarm that is due in this state waits for; None: nothing is due in it.
        is_finished: the bridge will do nothing more with the alarm by itself.
        may_be_held: AOM may hold the alarm, if it was ever told of it.
        needs_target: the alarm's target must stay in the configuration: something is, or may yet be, sent to it.
    """

    action: Action | None
    is_finished: bool
    may_be_held: bool
    needs_target: bool


STATES: Mapping[State, StateInfo] = {
    "report_due": StateInfo("report", is_finished=False, may_be_held=True, needs_target=True),
    "reported": StateInfo("report", is_finished=False, may_be_held=True, needs_target=True),
    "clear_due": StateInfo("clear", is_finished=False, may_be_held=True, needs_target=True),
    "cleared": StateInfo(None, is_finished=True, may_be_held=False, needs_target=False),
    "rejected": StateInfo(None, is_finished=True, may_be_held=True, needs_target=True),
    "expired": StateInfo(None, is_finished=True, may_be_held=False, needs_target=False),
    "discarded": StateInfo(None, is_finished=True, may_be_held=True, needs_target=False),
}
"""Every state; `bridge.ledger.transitions` draws how an alarm goes from one to the next."""

ACTIONS: tuple[Action, ...] = get_args(Action)
EFFECTS: dict[str, tuple[Effect, ...]] = {
    "firing": ("new", "repeat", "dropped"),
    "resolved": ("resolved", "orphan", "duplicate", "stale", "dropped"),
}


def due_states(action: Action) -> tuple[State, ...]:
    """Return in which states an alarm that is due waits for an action."""
    return tuple(state for state, info in STATES.items() if info.action == action)


def action_of(state: State) -> Action:
    """Return what an alarm waits for when it is due in a state."""
    return STATES[state].action or "report"


_ID_LENGTH = 32


class Alarm(msgspec.Struct, frozen=True, array_like=True):
    """One alarm; its fields are the columns of the table, in the same order.

    A new field goes to the end, with its column in `bridge.ledger.storage.schema` and in a new migration.
    """

    seq: int
    """Order of birth; rows of one alert are served in it."""
    id: str
    """Ours: a hash of source, fingerprint and first ``startsAt``, with ``-n`` where that one is held already."""
    source: str
    fingerprint: str
    target: str
    rule: str
    severity: str
    event_type: str
    timeout: Millis
    """After how long without a report AOM clears it by itself."""
    digest: str
    """Of the event as last mapped: tells whether a repeat changed anything."""
    state: State
    is_newest: bool
    """Of its alert; only the newest one decides what the next arrival is, and only older ones are waited for."""
    refresh_due: bool
    """An open, reported alarm is to be reported once more."""
    starts_at: Millis
    """The last received firing's ``startsAt``, as it came."""
    fired_at: Millis
    """The same, a future one as its time of receipt: what AOM is told."""
    newest_starts_at: Millis
    newest_fired_at: Millis
    """``startsAt`` of the newest firing seen, as it came and capped: what a stale resolve is told by."""
    earliest_at: Millis
    """The earliest start that AOM may have been told: where a look-up begins."""
    received_at: Millis
    last_seen: Millis
    ends_at: Millis | None = None
    resolved_at: Millis | None = None
    """When the resolve was received."""
    first_reported_at: Millis | None = None
    reported_at: Millis | None = None
    reported_starts_at: Millis | None = None
    """The first and the last time AOM accepted a report, and the ``starts_at`` of the last."""
    due_since: Millis | None = None
    due_at: Millis | None = None
    """Since when it waits, and when it is tried next; None when nothing is due. A claim moves ``due_at`` to its end."""
    attempts: int = 0
    claimed_by: str | None = None
    doubt_at: Millis | None = None
    """When the last report of unknown outcome was sent, for this alarm or for an earlier one whose clear has not
    settled it: AOM may apply it late."""
    reason: str | None = None
    detail: str | None = None
    """Why it last failed, for people: a word, and AOM's own text. What the next try must know is ``phase``."""
    finished_at: Millis | None = None
    first_sent_start: Millis | None = None
    sent_start: Millis | None = None
    """The start that AOM was told by the first and by the last report that it may have taken."""
    named_ids: str | None = None
    """The ids under which its clears named it to AOM; as `pack_ids` packs them."""
    earlier_ids: str | None = None
    """The ids that clears of earlier alarms of its alert have named: if AOM's list shows one, that proves nothing."""
    earlier_starts: str | None = None
    """The starts that AOM was told of earlier alarms of its alert whose clears have perhaps missed them."""
    phase: Phase | None = None
    """While it waits after a try: what the next try must know of that one."""

    @property
    def key(self) -> Key:
        """What alert this is an alarm of."""
        return self.source, self.fingerprint

    @property
    def is_open(self) -> bool:
        """Whether the alert still fires, as far as we know."""
        return self.ends_at is None and self.finished_at is None


class ArrivedAlert(msgspec.Struct, frozen=True):
    """One alert on its way into the ledger.

    ``mapped`` gives what mapping makes of it; a resolve asks only where no row of its own is there.
    """

    source: str
    alert: Alert
    group: Group
    mapped: Callable[[], Mapped]

    @property
    def key(self) -> Key:
        """What alert this is."""
        return self.source, self.alert.fingerprint


class AlertContext(msgspec.Struct, frozen=True):
    """What a row keeps of its webhook: enough to map it anew."""

    alert: Alert
    group: Group


class StoredContents(msgspec.Struct, frozen=True, array_like=True):
    """What lies beside a row, as JSON: the event frozen at the fire, today's annotations, the alert and its group."""

    event: bytes
    annotations: bytes
    context: bytes


class MappedAlert(msgspec.Struct, frozen=True, array_like=True):
    """What mapping made of an alert, as far as its row needs it; ``digest`` is that of the event."""

    target: str
    rule: str
    severity: str
    event_type: str
    timeout: Millis
    digest: str
    kept: StoredContents


class IncomingAlert(msgspec.Struct, frozen=True, array_like=True):
    """One alert as a put takes it in; it can go to another process.

    ``outline`` is None where a rule drops the alert, and as long as nobody has mapped it (``is_mapped``).
    """

    source: str
    fingerprint: str
    status: Status
    starts_at: Millis
    ends_at: Millis | None
    outline: MappedAlert | None
    is_mapped: bool

    @property
    def key(self) -> Key:
        """What alert this is."""
        return self.source, self.fingerprint


class PutReceipt(NamedTuple):
    """What a put says of one notification: the outcome of each alert, and what its sender wants to hear besides."""

    outcomes: list[Effect]
    notes: bytes


class Claim(msgspec.Struct, frozen=True):
    """An alarm that one worker holds until the lease ends, with what to do and the event to do it with.

    ``has_successor``: the alert fires again already, and its next alarm waits behind this one. ``was_ahead``: it was
    due later than any wait allows, for a clock has stepped back or is wrong.
    """

    alarm: Alarm
    action: Action
    event: Event
    has_successor: bool = False
    was_ahead: bool = False


_MAX_IDS = 20
"""Ids of AOM that an alarm keeps; a list that lags shows the last ones."""


def pack_ids(*some: Iterable[str]) -> str | None:
    """Return ids of AOM as a row keeps them: the last ones, each once; None where there is none."""
    return _packed(chain.from_iterable(some))


def unpack_ids(packed: str | None) -> tuple[str, ...]:
    """Return what `pack_ids` packed."""
    return tuple(json.loads(packed)) if packed else ()


def pack_starts(*some: Iterable[Millis | None]) -> str | None:
    """Return starts as a row keeps them, like ids."""
    return _packed(start for start in chain.from_iterable(some) if start is not None)


def unpack_starts(packed: str | None) -> tuple[Millis, ...]:
    """Return what `pack_starts` packed."""
    return tuple(json.loads(packed)) if packed else ()


def _packed(some: Iterable[str | Millis]) -> str | None:
    last = list(dict.fromkeys(some))[-_MAX_IDS:]
    return json.dumps(last) if last else None


def alarm_id(key: Key, starts_at: Millis) -> str:
    """Return our id of an alarm: the same for the same source, fingerprint and start in milliseconds."""
    text = "\0".join((*key, str(starts_at)))
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_LENGTH]
