"""What was decided about one alarm: values that can be logged, compared and sent to another process; pure.

In: what the delivering half came to. Out: a `Decision`, which `bridge.ledger.transitions.apply` carries out on the
alarm's row as it is then. A decision says what happened, never which column changes.
"""

from __future__ import annotations

import msgspec

from bridge.clock import Millis
from bridge.ledger.alarm import Action, Phase


class Reported(msgspec.Struct, frozen=True, tag=True):
    """AOM accepted the alarm's report.

    ``sent_starts_at``: the ``startsAt`` of the firing that was reported; ``sent_start``: the start that the report
    carried; ``in_doubt``: an attempt of the report has an unknown outcome, too: AOM may apply it later.
    """

    sent_starts_at: Millis
    sent_start: Millis | None = None
    in_doubt: bool = False


class Cleared(msgspec.Struct, frozen=True, tag=True):
    """AOM accepted the alarm's clear, or holds the alarm no longer.

    ``reason``: why it is finished, if not by an accepted clear; ``named``: the ids that the clear named; ``doubt_at``:
    since when it is in doubt whether AOM will hold it all the same, which is left to the next alarm of the alert.
    """

    reason: str | None = None
    named: tuple[str, ...] = ()
    doubt_at: Millis | None = None


class Refused(msgspec.Struct, frozen=True, tag=True):
    """AOM refused the alarm for good; ``detail`` is in AOM's own words."""

    action: Action
    reason: str
    detail: str


class Rescheduled(msgspec.Struct, frozen=True, tag=True):
    """A try decided nothing; the alarm is due again at ``due_at``.

    ``reason`` and ``detail``: why, for people; ``phase``: what the next try must know; ``in_doubt``: AOM may have taken
    the report that was sent, or take it later; ``sent_start``: the start that the report carried; ``named``: the ids
    that the clear named.
    """

    due_at: Millis
    phase: Phase
    reason: str
    detail: str
    in_doubt: bool = False
    sent_start: Millis | None = None
    named: tuple[str, ...] = ()


class Confirming(msgspec.Struct, frozen=True, tag=True):
    """AOM accepted the clear while it is in doubt whether it will hold the alarm all the same.

    ``due_at``: when AOM's list is asked again; ``doubt_at``: since when it is in doubt; ``named`` as in `Cleared`.
    """

    due_at: Millis
    detail: str
    named: tuple[str, ...] = ()
    doubt_at: Millis | None = None


class Unreadable(msgspec.Struct, frozen=True, tag=True):
    """The alarm's stored event cannot be read."""

    detail: str


class Requeued(msgspec.Struct, frozen=True, tag=True):
    """A refusal turned out to be the target's fault, not the alarm's: it is due again at ``due_at``."""

    action: Action
    due_at: Millis


class Doubtful(msgspec.Struct, frozen=True, tag=True):
    """AOM may have taken a report of this alert, sent at ``doubt_at``, whose claim was lost."""

    doubt_at: Millis


class DoubtCleared(msgspec.Struct, frozen=True, tag=True):
    """A look into AOM has ended every doubt about the alarm that is older than ``before``."""

    before: Millis


class DoubtPulledBack(msgspec.Struct, frozen=True, tag=True):
    """The time of a doubt lies ahead, since a clock has stepped back: it is moved to now."""


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
)
