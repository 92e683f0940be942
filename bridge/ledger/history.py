"""What happened to an alarm and does not show in its row: changes by hand, refusals, what AOM's list led to; pure.

In: edits and decisions, and the alarm as it was before. Out: a `Step`, or None where the row says the same. A report
and a clear that AOM accepts make no step, so the common path costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from bridge.clock import Millis, format_rfc3339
from bridge.ledger.alarm import Alarm
from bridge.ledger.decisions import (
    ClearedElsewhere,
    Decision,
    Doubtful,
    Haunted,
    Refused,
    Requeued,
    Rescheduled,
    Unreadable,
)

StepKind = Literal["retry", "clear", "discard", "refused", "failed", "audit"]
"""``retry``, ``clear``, ``discard``: a change by hand. ``refused``: AOM refused a request because of its content.
``failed``: the first failed try since the alarm became due. ``audit``: AOM's list has led to a change."""

CAPPED: tuple[StepKind, ...] = ("refused", "failed")
"""The kinds that one alarm may get without end; the newest `MAX_CAPPED` of them are kept."""

MAX_CAPPED = 20

_MAX_NAME_CHARACTERS = 255


class By(msgspec.Struct, frozen=True):
    """Who changes alarms by hand.

    ``who``: a user, the name of a token or certificate, or ``anybody``. ``origin``: from where: the way and the address
    or machine, as ``api 10.0.0.7`` or ``command line on host-1``.
    """

    who: str
    origin: str


def stored_name(text: str) -> str:
    """Return a name as both databases can store it: a certificate or a variable may contain anything."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()[:_MAX_NAME_CHARACTERS]


class Step(msgspec.Struct, frozen=True):
    """One thing that happened to an alarm.

    ``who`` and ``origin``: as in `By`; None for what was not done by hand. ``text``: a sentence for people.
    """

    at: Millis
    kind: StepKind
    who: str | None
    origin: str | None
    text: str


def of_edit(kind: StepKind, by: By, text: str, now: Millis) -> Step:
    """Return the step of a change by hand, given the sentence of its result."""
    return Step(now, kind, stored_name(by.who), stored_name(by.origin), text)


def of_decision(before: Alarm, decision: Decision, now: Millis) -> Step | None:
    """Return the step of a result of delivery."""
    tell = _OF_RESULT.get(type(decision))
    return None if tell is None else tell(before, decision, now)


def of_audit(before: Alarm, decision: Haunted | ClearedElsewhere | Doubtful, now: Millis) -> Step:
    """Return the step of a decision that follows from AOM's list."""
    match decision:
        case Haunted():
            ended = f"{before.state} at {format_rfc3339(before.finished_at or now)}"
            text = f"AOM's list showed it open although it was {ended}: its clear is due again"
        case ClearedElsewhere():
            text = f"AOM's list showed it no longer: {_IF_ABSENT[decision.then]}"
        case Doubtful():
            text = "AOM's list showed several alarms of its alert: all but one are cleared"
    return Step(now, "audit", None, None, text)


def _refused(_before: Alarm, decision: Refused, now: Millis) -> Step:
    return Step(now, "refused", None, None, f"AOM refused the {decision.action} for good: {decision.detail}")


def _rescheduled(before: Alarm, decision: Rescheduled, now: Millis) -> Step | None:
    """Tell of the first of several tries that end alike, so that an outage adds one row for an alarm, not one a try."""
    is_known = before.phase == decision.phase and before.reason != _NOT_SENT
    if is_known or decision.phase == "not_listed" or decision.reason == _NOT_SENT:
        return None
    if decision.refused is None:
        return Step(now, "failed", None, None, f"a try failed: {decision.detail}")
    then = "and its list is asked" if decision.phase == "refused_once" else "as it refuses all others now"
    return Step(now, "refused", None, None, f"AOM refused the {decision.refused}, {then}: {decision.detail}")


def _requeued(_before: Alarm, decision: Requeued, now: Millis) -> Step:
    text = f"AOM refuses every {decision.action} in the same way, so its refusal does not count: it is due again"
    return Step(now, "refused", None, None, text)


def _unreadable(_before: Alarm, decision: Unreadable, now: Millis) -> Step:
    return Step(now, "failed", None, None, f"it cannot be sent: {decision.detail}")


_NOT_SENT = "not_sent"
"""The reason of a try in which nothing was sent: it says nothing about AOM, and is not the first failure."""

_OF_RESULT: dict[type, Callable[[Alarm, Any, Millis], Step | None]] = {
    Refused: _refused,
    Rescheduled: _rescheduled,
    Requeued: _requeued,
    Unreadable: _unreadable,
}
_IF_ABSENT = {
    "report": "its alert fires, and it is reported again",
    "wait": "the next firing of its alert reports it again",
    "finish": "it ended there, and so it ends here",
}
