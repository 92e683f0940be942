"""The rules over hours of a random world: nothing that fires is ever ended, and in the end all is equal."""

from random import Random

import pytest
from reconciled_world import World, by_one_read, by_the_rules, by_three_reads

from bridge.clock import HOUR

HOURS = 6
STEPS = HOURS * HOUR // 10_000
SEEDS = range(200)


def lived(seed, policy):
    """Give a world after some hours in which alerts fire and resolve, webhooks are lost, and peers come and go."""
    world = World(Random(seed), policy)  # noqa: S311 - chance for a test
    world.live(STEPS)
    return world


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_that_fires_is_ended_and_in_the_end_all_is_equal(seed):
    """Whatever restarts, is lost or falls silent meanwhile."""
    world = lived(seed, by_the_rules)
    assert world.wrong == []
    world.settle()
    assert world.wrong == []
    assert world.differing() == set()


@pytest.mark.slow
@pytest.mark.parametrize("policy", [by_one_read, by_three_reads])
def test_the_reconcilers_of_others_are_called_wrong(policy):
    """This world has what makes them end alarms that fire: otherwise it would prove nothing."""
    assert any(lived(seed, policy).wrong for seed in SEEDS)
