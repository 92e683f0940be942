"""How an alert is listed by several peers: whose list is the newest, and when its last post came."""

from peers import T0, answer, listed

from bridge.clock import MINUTE, SECOND
from bridge.reconcile.tracks import sightings


def test_the_last_post_is_told_by_our_clock_whatever_the_peers_clocks_say():
    """Of a peer that is ten minutes ahead and a right one, the latter got it last; a Date counts whole seconds."""
    late = listed(at=T0 + 10 * MINUTE, age=20 * SECOND)
    answers = (
        answer(late, url="http://ahead", date=T0 + 10 * MINUTE),
        answer(listed(age=5 * SECOND), url="http://right"),
    )
    (sighting,) = sightings(answers).values()
    assert sighting.newest.updated_at == T0 - 5 * SECOND
    assert sighting.updated_at == T0 - 6 * SECOND
