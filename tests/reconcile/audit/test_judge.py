"""What differs between AOM's list and the ledger: each row of the table, and what each finding depends on."""

import pytest
from audited_world import WAIT, entry, held, judged, key, row, said, view
from peers import T0

from bridge.clock import HOUR, MINUTE, SECOND

GHOST = [("ghost", "clear")]
FOREIGN = [("foreign", "tell")]
ADOPT = [("unknown", "adopt")]
END = [("unknown", "end")]


def test_where_list_and_ledger_agree_nothing_is_found():
    """An open alarm that AOM shows once, and a finished one that it does not show."""
    assert judged(entry(), opens=[held()], rows=[row("b")]) == []


def test_an_open_alarm_that_is_over_here_is_a_ghost_when_it_started_before_that_end():
    """It is the report of the finished alarm, which AOM applied late or whose clear missed it."""
    assert said(entry(start=T0 - HOUR), rows=[row()]) == GHOST
    assert said(entry(start=T0 - HOUR + 1), rows=[row()]) == FOREIGN


def test_an_expired_alarm_explains_what_started_before_it_expired():
    """It has no end but the time at which it was given up."""
    expired = row(state="expired", ends_at=None)
    assert said(entry(start=T0 - HOUR), rows=[expired]) == GHOST
    assert said(entry(start=T0 - HOUR + 1), rows=[expired]) == FOREIGN


def test_an_alarm_whose_clear_was_refused_is_a_ghost():
    """It has ended, so nothing will clear it but its own row."""
    assert said(entry(), rows=[row(state="rejected")]) == GHOST


@pytest.mark.parametrize("own", ["own-1", "aom-7"])
def test_an_entry_with_an_id_of_the_row_is_a_ghost_whenever_it_started(own):
    """The id that the bridge has given, or one that a clear of it has named."""
    last = row(named=("aom-6", "aom-7"))
    assert said(entry(id=own, start=T0 - MINUTE), rows=[last]) == GHOST
    assert said(entry(id="aom-8", start=T0 - MINUTE), rows=[last]) == FOREIGN


def test_a_ghost_says_which_row_and_which_entry_it_was():
    """What is done is done to that row only, and another entry is another finding."""
    (one,) = judged(entry(id="x", start=T0 - 3 * HOUR), rows=[row(seq=7, last_seen=T0 - 90 * MINUTE)])
    assert (one.key, one.noted, one.entry) == (key(), (7, T0 - 90 * MINUTE, "cleared"), ("x", T0 - 3 * HOUR))


def test_a_ghost_waits_while_alertmanager_shows_its_alert():
    """It fires, and its webhook may be on the way; suppressed alerts fire, too."""
    assert said(entry(), rows=[row()], api=view("a")) == []
    assert said(entry(), rows=[row()], api=view(suppressed=("a",))) == []
    assert said(entry(), rows=[row()], api=view("b")) == GHOST


def test_a_ghost_waits_while_a_peer_does_not_answer():
    """That one may show the alert."""
    assert said(entry(), rows=[row()], api=view(is_complete=False)) == []


def test_the_peers_of_another_source_have_no_say():
    """A source without `alertmanagers:` is judged by the ledger alone."""
    assert said(entry(), rows=[row()], api=None) == GHOST


def test_an_alarm_of_another_target_is_foreign_here_once_it_is_over():
    """This target's clear must not follow from what that one holds; while it is open, both may lead to one project."""
    assert said(entry(), rows=[row(target="other")]) == FOREIGN
    assert said(entry(), rows=[row(target="other", state="reported", ends_at=None, finished_at=None)]) == []


def test_what_an_operator_discarded_is_left():
    """Discarding means that AOM keeps the alarm, so nothing differs."""
    assert said(entry(), rows=[row(state="discarded")]) == []


def test_an_alarm_whose_clear_is_on_the_way_does_not_differ():
    """It is not finished yet."""
    assert said(entry(), rows=[row(state="clear_due")]) == []
    assert said(entry(), rows=[row(state="reported", event_type="event")]) == []


def test_an_alarm_that_was_rejected_while_its_alert_fires_is_left():
    """AOM holds an earlier report of it, and its alert still fires; nothing is told either."""
    assert said(entry(), rows=[row(state="rejected", ends_at=None)]) == []


def test_a_ghost_that_comes_again_after_two_clears_is_another_bridges():
    """Two bridges on one source must not clear each other's alarms for ever."""
    for cleared, expected in ((0, GHOST), (1, GHOST), (2, FOREIGN), (3, FOREIGN)):
        assert said(entry(), rows=[row(seq=4)], ghosts={4: cleared, 5: 9}) == expected


def test_a_row_whose_clears_have_named_many_ids_is_not_cleared_again():
    """The same after a restart, which forgets how often: the ids are kept."""
    for count, expected in ((4, GHOST), (5, FOREIGN)):
        assert said(entry(), rows=[row(named=[f"n{one}" for one in range(count)])]) == expected


def test_an_adopted_alarm_that_comes_again_after_its_end_is_another_bridges():
    """Which reports it anew, while this one has only taken it over; one that never left is a ghost."""
    adopted = row(opened_by="adopted")
    assert said(entry(arrived=T0 - HOUR), rows=[adopted]) == GHOST
    assert said(entry(arrived=T0 - HOUR + 1), rows=[adopted]) == FOREIGN
    taken_over = row(opened_by="adopted", reported_at=T0 - 2 * HOUR)
    assert said(entry(arrived=T0 - HOUR + 1), rows=[taken_over]) == GHOST  # its own report may have come late
    assert said(entry(arrived=T0 - HOUR + 1), rows=[row()]) == GHOST


def test_every_entry_of_a_finished_alarm_is_judged_by_itself():
    """One may be explained by the row, and another one may not."""
    both = (entry(id="x"), entry(id="y", start=T0 - MINUTE))
    assert sorted(said(*both, rows=[row()])) == sorted(GHOST + FOREIGN)


def test_an_alarm_that_the_ledger_has_never_heard_of_is_foreign():
    """Without `audit_adopt`, whatever Alertmanager shows; or where no Alertmanager is asked."""
    for api in (None, view(), view("a")):
        (one,) = judged(entry(), api=api)
        assert (one.kind, one.action, one.noted) == ("foreign", "tell", None)
    assert said(entry(), adopts=True) == FOREIGN


def test_an_unknown_alarm_whose_alert_is_shown_is_adopted():
    """A silenced alert fires, too; presence needs neither every peer nor an old entry."""
    assert said(entry(), adopts=True, api=view("a", is_complete=False)) == ADOPT
    assert said(entry(start=T0), adopts=True, api=view("a")) == ADOPT
    assert said(entry(), adopts=True, api=view(suppressed=("a",))) == ADOPT


def test_an_unknown_alarm_is_ended_only_when_every_peer_was_up_before_it_arrived():
    """A peer that was started later may have lost the alert."""
    arrived = T0 - 2 * HOUR
    for last_start, expected in ((arrived - 1, END), (arrived, [])):
        assert said(entry(), adopts=True, api=view(last_start=last_start)) == expected


def test_or_when_the_peers_have_been_the_same_for_so_long_that_senders_posted_again():
    """Then no restart can be the cause of its absence."""
    assert said(entry(), adopts=True, api=view(last_start=T0, is_settled=True)) == END


@pytest.mark.parametrize("is_settled", [False, True])
def test_no_unknown_alarm_is_ended_while_a_peer_does_not_answer(is_settled):
    """That one may show its alert."""
    api = view(is_complete=False, is_settled=is_settled)
    assert said(entry(), adopts=True, api=api) == []


def test_an_unknown_alarm_that_is_younger_than_the_ledger_is_foreign():
    """This ledger would know it, if this bridge had reported it."""
    created_at = T0 - HOUR
    for arrived, expected in ((created_at - 1, END), (created_at, FOREIGN), (created_at + 1, FOREIGN)):
        found = said(entry(arrived=arrived), adopts=True, api=view(is_settled=True), created_at=created_at)
        assert found == expected


def test_an_entry_without_a_time_of_arrival_counts_from_its_start():
    """Older pages of AOM do not show when it arrived."""
    api, created_at = view(is_settled=True), T0 - HOUR
    assert said(entry(arrived=0, start=T0 - HOUR), adopts=True, api=api, created_at=created_at) == FOREIGN
    assert said(entry(arrived=0, start=T0 - HOUR - 1), adopts=True, api=api, created_at=created_at) == END


def test_each_unknown_alarm_of_an_alert_is_a_finding_of_its_own():
    """It is named by AOM's id and its start, so that one that comes again is another finding."""
    first, second = entry(id="x"), entry(id="y")
    found = judged(first, second, adopts=True, api=view("a"))
    assert [one.entry for one in found] == [("x", first.starts_at), ("y", second.starts_at)]


def test_several_alarms_of_an_alert_that_fires_are_swept():
    """All but one are cleared by the sweep of doubts, once, however many there are."""
    three = [entry(id=name) for name in "xyz"]
    assert said(*three, opens=[held()]) == [("duplicate", "sweep")]
    assert said(three[0], opens=[held()]) == []


@pytest.mark.parametrize("busy", [{"due": T0}, {"doubt": T0 - HOUR}])
def test_duplicates_wait_while_something_is_due_or_in_doubt(busy):
    """The sweep is on the way already, or a push changes what AOM shows."""
    assert said(entry(id="x"), entry(id="y"), opens=[held(**busy)]) == []


def test_an_open_alarm_that_aom_does_not_show_is_reported_again_while_its_alert_is_active():
    """Where Alertmanager is asked; it was cleared in the console."""
    (one,) = judged(opens=[held(seq=3)], api=view("a"))
    assert (one.kind, one.action) == ("cleared_elsewhere", "report")
    assert (one.noted, one.entry) == ((3, T0 - 2 * HOUR, "reported"), None)


def test_one_that_alertmanager_does_not_show_active_is_left():
    """It is over, and its webhook will say so; or it is suppressed, and nobody wants to see it."""
    assert said(opens=[held()], api=view()) == []
    assert said(opens=[held()], api=view("b", is_complete=False)) == []
    assert said(opens=[held()], api=view(suppressed=("a",))) == []


def test_without_alertmanager_the_next_firing_reports_it():
    """Nothing else can say whether its alert fires."""
    assert said(opens=[held()]) == [("cleared_elsewhere", "wait")]


@pytest.mark.parametrize("api", [None, view(), view("a"), view(suppressed=("a",))])
def test_where_clears_elsewhere_are_accepted_it_ends(api):
    """Whatever Alertmanager shows."""
    assert said(opens=[held()], accepts=True, api=api) == [("cleared_elsewhere", "finish")]


def test_an_alarm_is_not_missed_before_aoms_list_can_show_it():
    """The list may lag behind the report by `lookup_wait`; a report in doubt may be applied as late."""
    for young in ({"reported": T0 - WAIT + 1}, {"doubt": T0 - WAIT + 1}, {"reported": None, "doubt": T0 - SECOND}):
        assert said(opens=[held(**young)]) == []
    for old in ({"reported": T0 - WAIT}, {"doubt": T0 - WAIT}):
        assert said(opens=[held(**old)]) == [("cleared_elsewhere", "wait")]


def test_an_alarm_is_not_missed_while_something_is_due():
    """Its report is on the way, first or again."""
    assert said(opens=[held(due=T0)]) == []
    assert said(opens=[held(state="report_due", reported=None, due=T0)]) == []
    assert said(opens=[held(state="report_due")]) == []


def test_a_list_that_was_cut_off_or_is_not_ours_misses_nothing():
    """What it does not show may be on another page, or in another project; what it shows counts."""
    for doubtful in ({"is_complete": False}, {"is_plausible": False}):
        assert said(opens=[held()], accepts=True, **doubtful) == []
        assert said(entry("b"), opens=[held()], rows=[row("b")], **doubtful) == GHOST
