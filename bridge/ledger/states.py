"""The states of an alarm, and what each of them means.

In: nothing. Out: names and their meaning, and which changes by hand a state forbids; `bridge.ledger.transitions` shows
how one leads to another. It must import nothing that takes time, since the options of commands name the states.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

State = Literal["report_due", "reported", "clear_due", "cleared", "rejected", "expired", "discarded"]
Action = Literal["report", "clear"]


@dataclass(frozen=True, slots=True)
class StateInfo:
    """What a state means.

    Attributes:
        action: the action that an alarm in this state waits for when it is due; None: it is never due.
        is_finished: the bridge does nothing more with the alarm, unless an operator or a new firing changes that.
        may_be_held: AOM may hold the alarm, if a report of it was ever sent.
        needs_target: the alarm's target must stay configured, because requests for the alarm may still be sent to it.
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
"""Every state; `bridge.ledger.transitions` shows the transitions between them."""

StateGroup = Literal["open", "waiting", "in_flight", "finished", "unfinished"]
STATE_GROUPS: tuple[StateGroup, ...] = get_args(StateGroup)
"""Groups of alarms that a search knows beside the states. ``open``: the alert still fires. ``waiting``: due, and held
by no worker. ``in_flight``: held by a worker. ``finished``: the bridge does nothing more with it. ``unfinished``: the
others."""

Order = Literal["newest", "oldest", "worst"]
ORDERS: tuple[Order, ...] = get_args(Order)
"""The orders of a search; ``worst``: by severity, and of each the newest first."""

Edit = Literal["retry", "clear", "discard"]
EDITS: tuple[Edit, ...] = get_args(Edit)
"""What an operator can do with an alarm."""


def forbids(state: State, edit: Edit, *, is_due: bool) -> str:
    """Return why an alarm in this state cannot be changed so, or nothing; ``is_due``: it waits for a request."""
    if edit == "retry" and state != "rejected" and not is_due:
        return f"it is {state}, and only a rejected or waiting alarm can be tried again"
    if edit == "discard" and state != "rejected" and STATES[state].is_finished:
        return f"it is {state} already"
    return ""
