"""The ledger against a model of a few lines: whatever happens in whatever order, AOM ends with exactly what fires."""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from ledger_driver import REASSERT
from ledger_machine import MAX_TIME, LedgerMachine, PostgresMachine
from structlog.testing import capture_logs

from bridge.clock import MINUTE, SECOND
from bridge.ledger.storage.database import database as connect

MANY = 20 if os.environ.get("AOM_BRIDGE_REHEARSAL") == "full" else 0
"""So many times more examples in a rehearsal, which is not the same each time and shrinks what it finds."""

PATIENT = 600 + 60 * MANY


def machine_settings(examples, steps=40):
    """Give the settings of a run: no deadline, and no complaint about a machine that others use as well."""
    return settings(
        max_examples=examples * (MANY or 1),
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        phases=tuple(Phase) if MANY else (Phase.explicit, Phase.generate),  # to shrink takes minutes
        derandomize=not MANY,
    )


def fire(start=0, note="Major"):
    """Alert a fires; a worker looks at once."""
    return "put", {"who": 0, "together": [[("a", "firing", start, None, note)]], "then": True}


def answer(how, which=0, *, wait=0):
    """AOM answers a claim, counted from the oldest one; a release has an unknown outcome, and AOM has taken it."""
    return "answer", {"which": which, "how": how, "wait": wait, "reaches": True, "in_doubt": True}


def later(wait):
    """Time passes."""
    return "wait", {"who": 0, "wait": wait}


RESOLVE = "put", {"who": 0, "together": [[("a", "resolved", 0, None, "Major")]], "then": False}
BOTH = "put", {"who": 0, "together": [[(name, "firing", 0, None, "Major") for name in "ab"]], "then": True}
CLAIM = "claim", {"who": 1, "limit": 100}
DELIVER = "deliver", {"who": 1}
VANISHES = "end_listed", {"who": 0, "name": "a", "is_late": False}
TOLD_LATE = "put", {"who": 0, "together": [[("a", "resolved", 0, 0, "Major")]], "then": False}
APPEARS = "raise_listed", {"who": 1, "name": "a", "note": "Major"}
TWICE = (
    "put",
    {"who": 0, "together": [[("a", "firing", 0, None, "Minor")], [("a", "firing", 0, None, "Major")]], "then": True},
)
TAKEN_OVER = [fire(), answer("overtake"), answer("accept", 1), RESOLVE, later(MAX_TIME)]
"""A worker stalls with its report, another one reports; the alert has resolved, and a clear may trust AOM's list."""

RARE = {
    "a report refused after it may have been taken": [fire(), answer("release"), CLAIM, answer("refuse"), RESOLVE],
    "a report refused after its resolve": [fire(), answer("release"), RESOLVE, CLAIM, answer("refuse")],
    "a report that comes late, after the clear": [*TAKEN_OVER, DELIVER, answer("accept")],
    "a report that comes late, in the middle of the clear": [
        *TAKEN_OVER,
        CLAIM,
        answer("reach", 1),
        answer("accept"),
        answer("accept"),
    ],
    "a report that comes late, after the next one was refused": [
        *TAKEN_OVER,
        DELIVER,
        fire(),
        answer("refuse", 1),
        later(SECOND),
        RESOLVE,
        answer("accept"),
    ],
    "a resolve during a re-report": [fire(), DELIVER, answer("accept"), later(SECOND), fire(), RESOLVE, CLAIM],
    "a start that changes during the report": [fire(), later(SECOND), fire(), answer("accept")],
    "a clear that waits, and the alert fires again": [
        fire(),
        answer("accept"),
        later(SECOND),
        RESOLVE,
        CLAIM,
        answer("release", wait=2 * MINUTE),
        later(SECOND),
        fire(),
    ],
    "a claim of two, for one of which something came in": [BOTH, later(SECOND), RESOLVE, answer("all")],
    "a repeat that keeps an alarm from expiring": [
        fire(),
        answer("accept"),
        later(20 * MINUTE),
        fire(-20 * 60),
        later(110 * MINUTE),
        later(10 * MINUTE),
    ],
    "a repeat at the very moment of reassert_after": [fire(), answer("accept"), later(REASSERT), fire(-30 * 60)],
    "a resolve after the API had ended its alarm": [
        fire(),
        answer("accept"),
        later(SECOND),
        VANISHES,
        CLAIM,
        later(SECOND),
        TOLD_LATE,
        answer("accept"),
        fire(),
        DELIVER,
    ],
    "an alarm ended by the API while its report is in flight, and raised again": [
        fire(),
        later(SECOND),
        VANISHES,
        answer("accept"),
        later(SECOND),
        APPEARS,
        DELIVER,
        DELIVER,
    ],
    "a rejected alarm that changes twice at once": [fire(), answer("refuse"), TWICE],
}


@pytest.mark.slow
@pytest.mark.parametrize("script", RARE.values(), ids=list(RARE))
def test_rare_ways_end_right_as_well(script):
    """What chance seldom plays is played each time: every step leaves the rows as the table of rules says."""
    machine = LedgerMachine()
    try:
        for what in script:
            machine.step(what)
            machine.the_rows_are_the_models()
    finally:
        machine.teardown()


@pytest.mark.slow
@pytest.mark.timeout(PATIENT)
def test_whatever_happens_aom_ends_with_exactly_what_fires():
    """On SQLite: any order of arrivals, answers, crashes and waits leaves every row as the table of rules says."""
    with capture_logs():
        run_state_machine_as_test(LedgerMachine, settings=machine_settings(50))


@pytest.mark.real
@pytest.mark.timeout(PATIENT)
def test_whatever_happens_to_two_replicas_aom_ends_with_exactly_what_fires(database):
    """On PostgreSQL: two replicas on one database, whose workers vanish, stall and come back late."""
    opened = connect(database)
    opened.open()
    opened.close()
    machine = type("Replicas", (PostgresMachine,), {"place": database})
    with capture_logs():
        run_state_machine_as_test(machine, settings=machine_settings(6))
