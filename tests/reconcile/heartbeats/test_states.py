"""What follows from the time of a switch's last sign: ok, late, missing, and for how long nothing is said."""

import pytest
from peers import T0

from bridge.clock import DAY, HOUR, MINUTE, SECOND
from bridge.ledger import SwitchRow
from bridge.mapping.matcher import Matchers
from bridge.notification import Sign
from bridge.reconcile.heartbeats.settings import HeartbeatSettings
from bridge.reconcile.heartbeats.states import verdicts

WATCHDOG = (Matchers.parse("alertname=Watchdog"),)
EU, US = {"cluster": "eu"}, {"cluster": "us"}


def settings(**more):
    """Give the settings of a heartbeat that is expected every five minutes, and missing after fifteen."""
    return HeartbeatSettings(name="main", match=WATCHDOG, **more)


def row(by=None, *, age, ended=None, heartbeat="main"):
    """Give a switch whose last sign is this old; ``ended``: how long ago a resolve of it came."""
    sign = Sign(heartbeat, by or {})
    return SwitchRow(sign.fingerprint, sign, T0 - age, None if ended is None else T0 - ended)


def one(*rows, since=T0 - HOUR, **more):
    """Give the verdict of the only switch."""
    (verdict,) = verdicts(settings(**more), rows, since, T0)
    return verdict


@pytest.mark.parametrize(
    ("age", "state"),
    [(0, "ok"), (5 * MINUTE, "ok"), (5 * MINUTE + 1, "late"), (15 * MINUTE - 1, "late"), (15 * MINUTE, "missing")],
)
def test_a_switch_is_late_before_it_is_missing(age, state):
    """By the time since its last sign."""
    assert one(row(age=age)).state == state


def test_a_switch_that_has_never_shown_a_sign_is_missing_in_the_end():
    """It is declared, so it is expected; one that is learnt from labels is not known before its first sign."""
    assert [one(since=T0 - age).state for age in (0, 6 * MINUTE, 15 * MINUTE)] == ["waiting", "late", "missing"]
    assert list(verdicts(settings(by=("cluster",)), [], T0 - HOUR, T0)) == []


def test_nothing_is_missing_while_the_bridge_itself_has_not_run_for_long_enough():
    """It may have been the bridge that was away: a sign that is old says nothing, nor does a resolve from before."""
    assert one(row(age=HOUR), since=T0 - 14 * MINUTE).state == "late"
    assert one(row(age=HOUR), since=T0 - 15 * MINUTE).state == "missing"
    assert one(row(age=HOUR, ended=50 * MINUTE), since=T0 - 14 * MINUTE).state == "late"


def test_a_resolve_says_at_once_that_a_switch_is_missing():
    """Alertmanager has waited before it told."""
    verdict = one(row(age=4 * MINUTE, ended=SECOND), since=T0 - MINUTE)
    assert (verdict.state, verdict.has_ended, verdict.since) == ("missing", True, T0 - 4 * MINUTE)


def test_each_combination_of_labels_is_a_switch_of_its_own():
    """Those of another heartbeat, or from when `by` named other labels, are not."""
    rows = [row(EU, age=MINUTE), row(US, age=HOUR), row({}, age=MINUTE), row(EU, age=0, heartbeat="other")]
    found = {verdict.sign.by["cluster"]: verdict.state for verdict in verdicts(settings(by=("cluster",)), rows, 0, T0)}
    assert found == {"eu": "ok", "us": "missing"}


def test_a_learnt_switch_is_forgotten_after_seven_days():
    """A cluster may be gone for good; a switch that is declared stays missing."""
    known = [next(verdicts(settings(by=("cluster",)), [row(EU, age=age)], 0, T0)) for age in (7 * DAY - 1, 7 * DAY)]
    assert [verdict.is_forgotten for verdict in known] == [False, True]
    assert not one(row(age=8 * DAY)).is_forgotten


def test_a_paused_switch_is_neither_late_nor_missing():
    """Whatever its signs are."""
    verdict = one(row(age=HOUR), paused=True)
    assert (verdict.state, verdict.holds_back("default", None, T0)) == ("paused", False)


def test_a_late_switch_holds_back_clears_of_its_source_for_a_limited_time():
    """From the moment at which it was late, for `hold` at most."""
    ages = (MINUTE, 6 * MINUTE, 64 * MINUTE, 65 * MINUTE)
    held_back = [one(row(age=age), since=0).holds_back("a", None, T0) for age in ages]
    assert held_back == [False, True, True, False]
    assert [one(row(age=HOUR), source="a", since=0).holds_back(source, None, T0) for source in ("a", "b")] == [
        True,
        False,
    ]


def test_a_switch_holds_back_alerts_with_the_values_of_its_labels():
    """A switch without `by` covers them all; a label that an alert lacks is empty."""
    (verdict,) = verdicts(settings(by=("cluster",)), [row(EU, age=HOUR)], 0, T0)
    assert [verdict.covers(labels) for labels in ({"cluster": "eu", "a": "b"}, US, {})] == [True, False, False]
    assert one(row(age=HOUR)).covers(US)


def test_a_switch_that_alertmanager_no_longer_lists_holds_back_clears_before_it_is_late():
    """All alerts of a Prometheus that has died vanish at the same moment, its sign among them."""
    verdict = one(row(age=MINUTE))
    assert [verdict.holds_back("a", T0 - age, T0) for age in (0, HOUR - 1, HOUR)] == [True, True, False]
    assert not one(row(age=MINUTE), paused=True).holds_back("a", T0, T0)


def test_a_switch_that_is_back_leaves_time_for_the_alerts_that_were_absent_before():
    """For as long as their sender may take to post them again, and for `hold` and that time after they vanished."""
    verdict, back_at = one(row(age=0), source="a"), T0 - MINUTE
    assert [verdict.is_settling("a", back_at, since, 2 * MINUTE, T0) for since in (back_at, back_at + 1)] == [
        True,
        False,
    ]
    assert [verdict.is_settling("a", back_at, back_at, wait, T0) for wait in (MINUTE + 1, MINUTE)] == [True, False]
    ages = (HOUR + 2 * MINUTE - 1, HOUR + 2 * MINUTE)
    assert [verdict.is_settling("a", back_at, T0 - age, 2 * MINUTE, T0) for age in ages] == [True, False]
    assert not verdict.is_settling("b", back_at, back_at, 2 * MINUTE, T0)
    assert not one(row(age=0), paused=True).is_settling("a", back_at, back_at, 2 * MINUTE, T0)
