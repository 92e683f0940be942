"""The decisions about one alarm: plain values that can be logged, compared and sent to another process.

In: the results of delivery. Out: a `Decision`, which `bridge.ledger.transitions.apply` applies to the alarm's row as it
is at that time. A decision says what happened, and must not say which column changes.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from bridge.clock import Millis
from bridge.ledger.alarm import Phase
from bridge.ledger.states import Action


class Reported(msgspec.Struct, frozen=True, tag=True):
    """AOM accepted the alarm's report.

    ``sent_starts_at``: the ``startsAt`` of the firing that was reported; ``sent_start``: the start that the report
    carried; ``in_doubt``: another attempt of the report has an unknown outcome, so AOM may apply it later.
    """

    sent_starts_at: Millis
    sent_start: Millis | None = None
    in_doubt: bool = False


class Cleared(msgspec.Struct, frozen=True, tag=True):
    """AOM accepted the alarm's clear, or holds the alarm no longer.

    ``reason``: why it is finished, if not by an accepted clear; ``named``: the ids that the clear named; ``doubt_at``:
    since when AOM may still apply a late report of it; the next alarm of the alert inherits this doubt.
    """

    reason: str | None = None
    named: tuple[str, ...] = ()
    doubt_at: Millis | None = None


class Refused(msgspec.Struct, frozen=True, tag=True):
    """AOM refused the alarm permanently; ``detail`` is AOM's text."""

    action: Action
    reason: str
    detail: str


class Rescheduled(msgspec.Struct, frozen=True, tag=True):
    """An attempt had no final result; the alarm is due again at ``due_at``.

    ``reason`` and ``detail``: why, for people; ``phase``: the same for the next attempt; ``in_doubt``: AOM may have
    accepted the report that was sent, or may apply it later; ``sent_start``: the start that the report carried;
    ``named``: the ids that the clear named; ``refused``: the action that AOM refused because of its content; None: it
    did not.
    """

    due_at: Millis
    phase: Phase
    reason: str
    detail: str
    in_doubt: bool = False
    sent_start: Millis | None = None
    named: tuple[str, ...] = ()
    refused: Action | None = None


class Confirming(msgspec.Struct, frozen=True, tag=True):
    """AOM accepted the clear, but may still apply a late report of the alarm.

    ``due_at``: when AOM's list is read again; ``doubt_at``: since when there is that doubt; ``named``: as in `Cleared`.
    """

    due_at: Millis
    detail: str
    named: tuple[str, ...] = ()
    doubt_at: Millis | None = None


class Unreadable(msgspec.Struct, frozen=True, tag=True):
    """The alarm's stored event cannot be read."""

    detail: str


class Requeued(msgspec.Struct, frozen=True, tag=True):
    """The target was the cause of a refusal, not the alarm; the alarm is due again at ``due_at``."""

    action: Action
    due_at: Millis


class Doubtful(msgspec.Struct, frozen=True, tag=True):
    """AOM may have accepted a report of this alert, sent at ``doubt_at``, whose claim was lost."""

    doubt_at: Millis


class DoubtCleared(msgspec.Struct, frozen=True, tag=True):
    """A search in AOM's list has ended every doubt about the alarm that is older than ``before``."""

    before: Millis


class DoubtPulledBack(msgspec.Struct, frozen=True, tag=True):
    """The time of a doubt is in the future, because a clock has stepped back; it is set to now."""


class Haunted(msgspec.Struct, frozen=True, tag=True):
    """AOM's list shows an alarm open that is finished: its clear is due again, and is confirmed by the list."""


class ClearedElsewhere(msgspec.Struct, frozen=True, tag=True):
    """AOM's list no longer shows an alarm that is open.

    ``then``: ``report`` it again now; ``wait`` for the next firing of its alert, which reports it; or ``finish`` it.
    """

    then: Literal["report", "wait", "finish"]


Decision = (
    Reported
    | Cleared
    | Refused
    | Rescheduled
    | Confirming
    | Unreadable
    | Requeued
    | Doubtful
    | DoubtCleared
    | DoubtPulledBack
    | Haunted
    | ClearedElsewhere
)
