"""Coverage: when the answers of the peers prove that an alert is absent."""

import pytest
from peers import T0, answer, round_of

from bridge.clock import MINUTE, SECOND
from bridge.reconcile.coverage import Coverage, after, started_at

INTERVAL = 30 * SECOND


def covered(*rounds):
    """Give the coverage after these rounds."""
    coverage = Coverage()
    for one in rounds:
        coverage = after(coverage, one)
    return coverage


def pair(at, **more):
    """Give a round in which both peers of a cluster answered."""
    names = ("one", "two")
    both = [answer(url=f"http://{name}", at=at, peers=names, **more) for name in names]
    return round_of(*both, at=at)


def test_peers_that_stay_the_same_cover_since_the_first_complete_round():
    """The wait counts from the end of the first round in which every peer answered."""
    coverage = covered(pair(T0), pair(T0 + INTERVAL), pair(T0 + 2 * INTERVAL))
    assert coverage.since == T0
    assert coverage.lasts(2 * INTERVAL, T0 + 2 * INTERVAL)
    assert not coverage.lasts(2 * INTERVAL + 1, T0 + 2 * INTERVAL)


def test_a_peer_that_does_not_answer_ends_the_coverage_and_starts_the_wait_anew():
    """Its absence from a round proves nothing of the others' lists, and the wait begins again when it is back."""
    silent = round_of(
        answer(url="http://one", peers=("one", "two")), at=T0 + INTERVAL, failures={"http://two": "time-out"}
    )
    assert covered(pair(T0), silent).since is None
    back = T0 + 2 * INTERVAL
    assert covered(pair(T0), silent, pair(back)).since == back


def test_a_peer_that_was_restarted_starts_the_wait_anew():
    """It has forgotten its alerts until their senders post them again."""
    at = T0 + INTERVAL
    restarted = round_of(
        answer(url="http://one", at=at, peers=("one", "new")),
        answer(url="http://two", at=at, name="new", peers=("one", "new"), started=at - SECOND),
        at=at,
    )
    coverage = covered(pair(T0), restarted)
    assert coverage.since == at
    assert coverage.balancers == frozenset()


def test_a_peer_that_no_address_shows_prevents_coverage_and_is_named():
    """A cluster with a peer that is not configured may hold alerts that nobody asked for."""
    alone = round_of(answer(url="http://one", peers=("one", "two")))
    coverage = covered(alone)
    assert coverage.since is None
    assert coverage.unnamed == ("two",)


def test_no_peer_at_all_covers_nothing():
    """A name without an address, and a round without an answer, prove nothing."""
    assert covered(round_of()).since is None
    assert covered(round_of(answer(), listed=False)).since is None


@pytest.mark.parametrize("back", [False, True], ids=["another one", "the first one again"])
def test_an_address_with_several_processes_behind_it_never_covers(back):
    """A load balancer shows one peer after the other; none of them was started since the last round."""
    rounds = [round_of(answer(name="one"), at=T0)]
    rounds.append(round_of(answer(name="two", at=T0 + INTERVAL, started=T0 - MINUTE), at=T0 + INTERVAL))
    if back:
        rounds.append(round_of(answer(name="one", at=T0 + 2 * INTERVAL), at=T0 + 2 * INTERVAL))
    coverage = covered(*rounds)
    assert coverage.since is None
    assert coverage.balancers == {"http://one"}


def test_without_a_time_of_its_own_a_process_that_returns_is_a_load_balancer():
    """A proxy may remove the Date header: then only a process that was there before gives it away."""
    one, two = (answer(name=name, date=None) for name in ("one", "two"))
    assert covered(round_of(one), round_of(two)).balancers == frozenset()
    assert covered(round_of(one), round_of(two), round_of(one)).balancers == {"http://one"}


def test_a_clock_that_is_wrong_makes_no_load_balancer_and_no_restart():
    """A peer's own clock is compared with itself only, however far it is from ours."""
    off = 10 * MINUTE
    rounds = [
        round_of(answer(at=T0 + n * INTERVAL, date=T0 + n * INTERVAL - off, started=T0 - 2 * off), at=T0 + n * INTERVAL)
        for n in range(3)
    ]
    coverage = covered(*rounds)
    assert coverage.since == T0
    last = rounds[-1].answers[0]
    assert last.skew == -off
    assert started_at(coverage, last) == T0 - off


def test_the_start_of_a_peer_that_does_not_say_the_time_is_when_it_was_seen_first():
    """Without a Date header its uptime cannot be told by our clock."""
    first = answer(date=None)
    later = answer(date=None, at=T0 + MINUTE)
    coverage = covered(round_of(first), round_of(later, at=T0 + MINUTE))
    assert started_at(coverage, later) == T0


def test_an_address_that_a_name_no_longer_has_starts_the_wait_anew():
    """The peer behind it may hold alerts; the others have to be asked for as long as their senders may take."""
    one = answer(url="http://10.0.0.1", name="one", peers=("one",), at=T0 + INTERVAL)
    coverage = covered(
        round_of(answer(url="http://10.0.0.1", name="one"), answer(url="http://10.0.0.2", name="one")),
        round_of(one, at=T0 + INTERVAL),
    )
    assert coverage.since == T0 + INTERVAL
