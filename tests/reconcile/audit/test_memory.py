"""Which findings are certain: two looks apart have shown them, and many changes at once wait for once more."""

import pytest
from audited_world import SOURCE
from hypothesis import given
from hypothesis import strategies as st
from peers import T0

from bridge.clock import MINUTE, SECOND
from bridge.reconcile.audit.judge import CHANGES_AOM, Finding
from bridge.reconcile.audit.memory import AuditMemory, after

APART = MINUTE
ACTIONS = {
    "clear": "ghost",
    "sweep": "duplicate",
    "report": "cleared_elsewhere",
    "wait": "cleared_elsewhere",
    "finish": "cleared_elsewhere",
    "adopt": "unknown",
    "end": "unknown",
    "tell": "foreign",
}
"""Each action, and a kind that leads to it."""


def finding(name="a", action="clear", *, seen=T0, entry=("x", T0)):
    """Give a finding of an alert."""
    return Finding(ACTIONS[action], action, (SOURCE, str(name)), (1, seen, "cleared"), entry)


def many(count, action="clear", begin=0):
    """Give findings of so many alerts."""
    return [finding(number, action) for number in range(begin, begin + count)]


class Looks:
    """Looks at a target, one after another."""

    def __init__(self, open_now=0):
        self.memory = AuditMemory()
        self.open_now = open_now
        self.now = T0

    def look(self, *found, later=APART):
        """Look once more; give what is to be acted on."""
        self.now += later
        self.memory, due = after(self.memory, found, self.now, apart=APART, open_now=self.open_now)
        return due


def test_a_finding_is_acted_on_when_two_looks_have_shown_it():
    """The list may lag behind, so the second one comes `lookup_wait` later."""
    looks, one = Looks(), finding()
    assert looks.look(one) == []
    assert looks.look(one, later=APART - 1) == []
    assert looks.look(one, later=1) == [one]


def test_a_look_that_does_not_show_it_starts_anew():
    """It was a page that had shifted, or it is mended."""
    looks, one = Looks(), finding()
    looks.look(one)
    assert looks.look() == []
    assert looks.look(one) == []
    assert looks.look(one) == [one]


@pytest.mark.parametrize("other", [{"entry": ("y", T0)}, {"entry": ("x", T0 + 1)}])
def test_an_entry_that_has_changed_starts_anew(other):
    """AOM shows another alarm: the look before proves nothing about it."""
    looks, changed = Looks(), finding(**other)
    looks.look(finding())
    assert looks.look(changed) == []
    assert looks.look(changed) == [changed]


def test_a_repeat_of_the_alert_changes_nothing():
    """Alerts that are repeated each minute would never be mended; what is acted on is the row as it is now."""
    looks, repeated = Looks(), finding(seen=T0 + 1)
    looks.look(finding())
    assert looks.look(repeated) == [repeated]


@pytest.mark.parametrize(("open_now", "most"), [(0, 5), (50, 5), (60, 6), (1_000, 100)])
def test_more_than_five_and_a_tenth_wait_until_the_same_set_has_stood_once_more(open_now, most):
    """So many at once are rather a fault of the list than so many alarms."""
    looks = Looks(open_now)
    looks.look(*many(most))
    assert looks.look(*many(most)) == many(most)
    looks, found = Looks(open_now), many(most + 1)
    looks.look(*found)
    assert looks.look(*found) == []
    assert looks.memory.braked == {one.identity for one in found}
    assert looks.look(*found, later=APART - 1) == []
    assert looks.look(*found, later=1) == found


def test_a_set_that_grows_waits_anew_and_one_that_shrinks_does_not():
    """What has stood is proved by then; what is new is not."""
    looks = Looks()
    looks.look(*many(9))
    looks.look(*many(9))
    looks.look(*many(10), later=APART // 2)
    assert looks.look(*many(7), later=APART // 2) == many(7)
    looks = Looks()
    looks.look(*many(9))
    assert looks.look(*many(10)) == []  # the tenth is shown for the first time
    assert looks.look(*many(10)) == []
    assert looks.look(*many(10)) == many(10)


def test_what_a_few_changes_leave_behind_brakes_nothing_later():
    """When no more than a few are left they go at once, and the next many wait again."""
    looks = Looks()
    looks.look(*many(6))
    assert looks.look(*many(6)) == []
    assert looks.look(*many(5)) == many(5)
    assert looks.memory.braked == frozenset()
    looks.look(*many(6, begin=10))
    assert looks.look(*many(6, begin=10)) == []


@pytest.mark.parametrize("action", ["tell", "wait", "adopt", "sweep"])
def test_what_sends_nothing_new_to_aom_is_never_braked(action):
    """Neither does it count where other changes are many."""
    looks, found, few = Looks(), many(100, action), many(5, begin=200)
    looks.look(*found, *few)
    assert looks.look(*found, *few) == found + few
    looks, others = Looks(), many(6, begin=200)
    looks.look(*found, *others)
    assert looks.look(*found, *others) == found
    assert looks.memory.braked == {one.identity for one in others}


@pytest.mark.parametrize("action", CHANGES_AOM)
def test_each_change_of_alarms_counts_against_the_brake(action):
    """Clears, reports and ends alike."""
    looks, found = Looks(), many(3, action) + many(3, begin=3)
    looks.look(*found)
    assert looks.look(*found) == []
    assert looks.look(*found) == found


findings = st.sets(st.builds(finding, st.integers(0, 8), st.sampled_from(["clear", "report", "tell", "wait"])))
sequences = st.lists(st.tuples(st.integers(1, 90).map(lambda seconds: seconds * SECOND), findings), max_size=12)


@given(sequences, st.sampled_from([0, 70]))
def test_no_finding_is_acted_on_that_every_look_for_long_enough_has_not_shown(sequence, open_now):
    """The model keeps every look; what they prove goes at once, but for changes that are many."""
    looks, shown = Looks(open_now), []
    for later, found in sequence:
        due = looks.look(*found, later=later)
        shown.append((looks.now, found))
        proved = set(found).intersection(*reversed_until(shown, looks.now - APART))
        changes = {one for one in proved if one.action in CHANGES_AOM}
        assert set(due) <= proved
        assert len(due) == len(set(due))
        assert proved - set(due) in (set(), changes)
        if len(changes) <= max(5, open_now / 10):
            assert set(due) == proved


def reversed_until(shown, begin):
    """Give what each look has shown, back to the last one that is old enough; nothing if none is."""
    for at, found in reversed(shown):
        yield found
        if at <= begin:
            return
    yield set()


@given(sequences)
def test_many_changes_go_only_when_each_of_them_was_braked_for_long_enough(sequence):
    """The model notes since when the brake has held a set without others."""
    looks, braked = Looks(), {}
    for later, found in sequence:
        due = {one.identity for one in looks.look(*found, later=later) if one.action in CHANGES_AOM}
        waiting = looks.memory.braked
        if due and waiting:
            assert all(looks.now - braked.get(one, looks.now) >= APART for one in due)
        braked = {one: braked.get(one, looks.now) for one in waiting}
