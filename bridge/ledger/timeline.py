"""The timeline of one alarm for people and programs: what its row and the steps of its history tell, by time; pure.

In: an alarm and its steps. Out: `TimelineEntry`s, the oldest first. An entry is a word and values, no sentence, so that
pages can write it in any language; the text of a step is the exception.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from bridge.clock import Millis
from bridge.ledger.alarm import Alarm
from bridge.ledger.history import Step, StepKind
from bridge.ledger.states import STATES

TimelineKind = (
    Literal[
        "fired",
        "received",
        "accepted",
        "accepted_again",
        "repeated",
        "resolved",
        "doubted",
        "cleared",
        "rejected",
        "expired",
        "discarded",
        "sending",
        "next_try",
    ]
    | StepKind
)
"""``fired``: the alert began to fire. ``received``: the bridge received it, or its resolve, and kept it. ``accepted``:
AOM accepted the report; ``accepted_again``: the last one of several. ``repeated``: its last firing was received.
``resolved``: its resolve was received, or what stands for one. ``doubted``: the outcome of a report became unknown.
``cleared``, ``rejected``, ``expired``, ``discarded``: it finished so. ``sending``: a worker holds it until then.
``next_try``: it is sent then. Each other one is a `StepKind`."""

_FINISHED: Mapping[str, TimelineKind] = {
    "cleared": "cleared",
    "rejected": "rejected",
    "expired": "expired",
    "discarded": "discarded",
}
Values = Mapping[str, str | int]


class TimelineEntry(msgspec.Struct, frozen=True):
    """What happened to an alarm at one time.

    ``after``: how long after the entry before it, in milliseconds; None for the first one. ``values``: by kind;
    ``rule``, ``target`` and ``opened_by`` of ``received``; ``ends_at`` (a time) and ``ended_by`` of ``resolved``;
    ``reason``, ``detail`` and ``ended_by`` of what finished; ``action``, ``attempts``, ``reason`` and ``detail`` of
    ``next_try``; ``action`` of ``sending``; ``text``, ``who`` and ``origin`` of a step.
    """

    at: Millis
    kind: TimelineKind
    after: Millis | None
    values: Values


_Event = tuple[Millis, TimelineKind, Values]


def timeline_of(alarm: Alarm, steps: Sequence[Step]) -> list[TimelineEntry]:
    """Return what happened to an alarm, the oldest first; what is to come is last."""
    # A step comes before what it has changed at the same time, and the sort leaves equal times in their order.
    past = sorted((*_beginning(alarm), *_steps(steps), *_middle(alarm), *_end(alarm)), key=lambda event: event[0])
    events = (*past, *_ahead(alarm))
    before = (None, *(at for at, _, _ in events))
    return [
        TimelineEntry(at, kind, None if earlier is None else max(0, at - earlier), values)
        for (at, kind, values), earlier in zip(events, before, strict=False)
    ]


def _beginning(alarm: Alarm) -> Iterator[_Event]:
    yield alarm.earliest_at, "fired", {}
    yield alarm.received_at, "received", _given(rule=alarm.rule, target=alarm.target, opened_by=alarm.opened_by)


def _steps(steps: Sequence[Step]) -> Iterator[_Event]:
    for step in steps:
        yield step.at, step.kind, _given(text=step.text, who=step.who, origin=step.origin)


def _middle(alarm: Alarm) -> Iterator[_Event]:
    if alarm.first_reported_at is not None:
        yield alarm.first_reported_at, "accepted", {}
    if alarm.reported_at is not None and alarm.reported_at != alarm.first_reported_at:
        yield alarm.reported_at, "accepted_again", {}
    if alarm.last_seen > alarm.received_at:
        yield alarm.last_seen, "repeated", {}
    if alarm.doubt_at is not None:
        yield alarm.doubt_at, "doubted", {}
    if alarm.resolved_at is not None:
        yield alarm.resolved_at, "resolved", _given(ends_at=alarm.ends_at, ended_by=alarm.ended_by)


def _end(alarm: Alarm) -> Iterator[_Event]:
    if alarm.finished_at is not None:
        values = _given(reason=alarm.reason, detail=alarm.detail, ended_by=alarm.ended_by)
        yield alarm.finished_at, _FINISHED[alarm.state], values


def _ahead(alarm: Alarm) -> Iterator[_Event]:
    action = STATES[alarm.state].action
    if alarm.due_at is None or action is None:
        return
    if alarm.claimed_by is not None:
        yield alarm.due_at, "sending", {"action": action}
        return
    waits = _given(action=action, attempts=alarm.attempts, reason=alarm.reason, detail=alarm.detail)
    yield alarm.due_at, "next_try", waits


def _given(**values: str | int | None) -> Values:
    return {name: value for name, value in values.items() if value is not None}
