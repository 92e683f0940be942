"""Two real bridges on one real PostgreSQL, of which one leads: it is killed, ended, or stopped at a bad moment."""

import pytest
from in_step import LIMIT
from waiting import until

pytestmark = pytest.mark.real


async def test_when_the_lease_of_a_killed_leader_has_ended_the_other_clears_what_vanished(pair):
    """The other bridge takes over then, not before, and clears once what resolved under a silence meanwhile."""
    await pair.start()
    await pair.cluster.fire("Silenced")
    await pair.cluster.fire("Stays")
    await pair.is_seen("Silenced", "Stays")
    await pair.cluster.silence("Silenced")
    assert await pair.rounds() == 0
    pair.first.kill()
    killed, until_then = pair.lead()
    await pair.cluster.resolve("Silenced")
    await until(lambda: sorted(row.state for row in pair.rows()) == ["cleared", "reported"], LIMIT)
    assert pair.active() == ["Stays"]
    other, _ = pair.lead()
    silenced, stays = sorted(pair.rows(), key=lambda row: row.state)  # their webhooks may come in either order
    assert other != killed
    assert silenced.finished_at > until_then
    assert (silenced.ended_by, stays.ended_by) == ("vanished", None)
    assert await pair.count("vanished") == 1


async def test_a_leader_that_stood_still_with_old_lists_does_not_clear_what_was_reported_anew(pair):
    """The other bridge clears the absent alert and reports its next fire; then the first one goes on with its lists."""
    await pair.start()
    silence, rounds = await stopped_with_lists_without(pair, "Again")
    await until(lambda: pair.active() == [], LIMIT)
    await pair.cluster.expire(silence)
    await pair.cluster.fire("Again")
    await until(lambda: pair.active() == ["Again"], LIMIT)
    await goes_on(pair, rounds)
    await pair.stays_active("Again", seconds=4)
    assert [row.ended_by for row in pair.rows()] == ["vanished", None]
    assert await pair.count("vanished") == 1


async def test_a_leader_that_stood_still_with_old_lists_does_not_clear_what_fires_again_unseen(pair):
    """The alert fires again under its silence, so that no webhook tells it and its alarm in the ledger is the same."""
    await pair.start()
    first, _ = pair.lead()
    _, rounds = await stopped_with_lists_without(pair, "Again")
    await pair.cluster.fire("Again")
    await pair.leads_now(first)
    begin = await pair.rounds()
    await until(lambda: pair.has_rounds(begin + 2), LIMIT)
    await goes_on(pair, rounds)
    await pair.stays_active("Again", seconds=4)
    assert [row.ended_by for row in pair.rows()] == [None]


async def test_a_leader_that_is_ended_in_order_gives_up_the_lead_at_once(pair):
    """Its lease would last for half an hour: three of its pauses."""
    await pair.start(interval="10m")
    first, until_then = pair.lead()
    await pair.cluster.fire("Silenced")
    await until(lambda: pair.active() == ["Silenced"], LIMIT)
    await pair.cluster.silence("Silenced")
    assert await pair.rounds() == 0
    assert pair.first.terminate() == 0
    assert pair.lead()[0] != first
    await pair.cluster.resolve("Silenced")
    await until(lambda: [row.state for row in pair.rows()] == ["cleared"], LIMIT)
    assert pair.active() == []
    (silenced,) = pair.rows()
    assert silenced.finished_at < until_then
    assert silenced.ended_by == "vanished"
    assert await pair.count("vanished") == 1


async def stopped_with_lists_without(pair, name):
    """Let an alert fire and resolve under a silence, and stop the first bridge just before it would clear its alarm.

    It has seen one list of each peer without the alert, and the next ones come to it while it stands still.

    Returns:
        The id of the silence, and how many rounds the first bridge has made.
    """
    await pair.cluster.fire(name)
    await pair.is_seen(name)
    silence = await pair.cluster.silence(name)
    await pair.first_has_rounds(await pair.first_rounds() + 2)
    await pair.hold_lists()
    await pair.cluster.resolve(name)
    assert await pair.listed() == [[], []]
    await pair.let_lists(2)
    rounds = await pair.first_rounds()
    await pair.stop_first()
    assert pair.active() == [name]
    return silence, rounds


async def goes_on(pair, rounds):
    """Let the first bridge go on, and wait until it has compared the lists that it waited for."""
    assert await pair.rounds() > 0
    pair.continue_first()
    await pair.first_has_rounds(rounds + 1)
