"""What looks like an end and is none: nothing that fires is cleared, with two real peers and a real bridge."""

import pytest

pytestmark = pytest.mark.real


async def test_an_ordinary_resolve_is_told_by_its_webhook_alone(in_step):
    """The API shows it first; one row, one clear, and nothing was reconciled."""
    await in_step.cluster.fire("Ordinary")
    await in_step.is_active("Ordinary")
    await in_step.cluster.resolve("Ordinary")
    await in_step.is_active()
    assert await in_step.count("vanished") == 0


async def test_an_alert_that_fires_for_long_is_left_alone(in_step):
    """Twice its validity and more: it is listed in each round."""
    await in_step.cluster.fire("Long")
    await in_step.is_active("Long")
    await in_step.stays_active("Long", seconds=25)
    assert (await in_step.count("vanished"), await in_step.count("missing")) == (0, 0)


async def test_an_alert_that_is_silenced_or_inhibited_before_it_fires_is_never_raised(in_step):
    """Alertmanager would not send it either."""
    await in_step.cluster.fire("First", severity="inhibitor")
    await in_step.is_active("First")
    await in_step.cluster.silence("Quiet")
    await in_step.cluster.fire("Quiet")
    await in_step.cluster.fire("Target", severity="inhibited")
    await in_step.stays_active("First", seconds=12)
