"""What became of a push is written down alarm by alarm, whatever its neighbours in the push were."""

from types import SimpleNamespace

import pytest
from ledger_driver import T0, LedgerDriver
from ledger_rows import listing

from bridge.aom import Outcome
from bridge.app.label_sets import LABEL_SETS
from bridge.delivery.result import DeliveryResult
from bridge.delivery.settings import DeliverySettings
from bridge.delivery.settler import Settler
from bridge.metrics import Metrics


@pytest.fixture
async def driver(tmp_path):
    """A fresh ledger."""
    async with LedgerDriver(tmp_path / "ledger.db") as made:
        yield made


def settler(driver):
    """Give what settles the clears of the ledger's target."""
    metrics = Metrics("0", "3", LABEL_SETS)
    target = SimpleNamespace(target="default", looks_up=True)
    clock = lambda: driver.now  # noqa: E731 - as short as it is
    return Settler(
        driver.ledger.due, target, "clear", DeliverySettings(), metrics=metrics, clock=clock, random=lambda: 0.5
    )


async def test_a_hurried_clear_hands_its_doubt_on_whatever_its_neighbours_are(driver, capsys):
    """A push may end with one clear to be looked at again and one that did not wait, whose successor is in doubt."""
    for name in ("slow", "hurried"):
        await driver.fire(name)
    await driver.deliver()
    for name in ("slow", "hurried"):
        await driver.resolve(name, end=T0 + 1)
    await driver.fire("hurried", start=T0 + 2)
    claims = {claim.alarm.fingerprint: claim for claim in await driver.ledger.due.claim("default", "clear", "w", 100)}
    assert [claims[name].has_successor for name in ("slow", "hurried")] == [False, True]
    outcome = Outcome("accepted")
    await settler(driver).settle(
        [
            DeliveryResult(claims["slow"], "confirm", outcome, named=("x",), doubt_at=T0),
            DeliveryResult(claims["hurried"], "accepted", outcome, named=("y",), doubt_at=T0 - 5),
        ]
    )
    views = await driver.ledger._core.read(listing)
    found = {
        (view.alarm.fingerprint, view.alarm.state): (view.alarm.doubt_at, view.alarm.earlier_ids) for view in views
    }
    assert found == {
        ("slow", "clear_due"): (T0, None),
        ("hurried", "cleared"): (T0 - 5, None),
        ("hurried", "report_due"): (T0 - 5, '["y"]'),
    }
    lines = [line for line in capsys.readouterr().out.splitlines() if "alarms=" in line]
    assert [("accepted; looked up again" in line, "alarms=1" in line) for line in lines] == [
        (True, True),
        (False, True),
    ]


async def test_an_accepted_clear_that_waits_says_for_what(driver):
    """AOM's "200" explains no wait: the row says that AOM's list is looked at, and a refusal keeps AOM's words."""
    kinds = {"not_listed": "accepted", "confirm": "accepted", "later": "unavailable"}
    for name in kinds:
        await driver.fire(name)
    await driver.deliver()
    for name in kinds:
        await driver.resolve(name, end=T0 + 1)
    claims = {claim.alarm.fingerprint: claim for claim in await driver.ledger.due.claim("default", "clear", "w", 100)}
    await settler(driver).settle(
        [
            DeliveryResult(claims[name], name, Outcome(reason, 200, message="said by AOM"))
            for name, reason in kinds.items()
        ]
    )
    views = await driver.ledger._core.read(listing)
    assert {view.alarm.fingerprint: view.alarm.detail for view in views} == {
        "not_listed": "AOM's list does not show the alarm yet",
        "confirm": "AOM has accepted the clear; its list is looked at once more",
        "later": "200 said by AOM",
    }


async def test_a_resolve_without_a_firing_does_not_shorten_the_wait_of_the_clear_before_it(driver):
    """A clear that waits for AOM's list goes on waiting when only another clear waits behind it, and no report."""
    for name in ("resolved_again", "fires_again"):
        await driver.fire(name)
    await driver.deliver()
    for name in ("resolved_again", "fires_again"):
        await driver.resolve(name, end=T0 + 1)
    await driver.resolve("resolved_again", end=T0 + 2)
    await driver.fire("fires_again", start=T0 + 2)
    claims = await driver.ledger.due.claim("default", "clear", "w", 100)
    found = {claim.alarm.fingerprint: claim.has_successor for claim in claims}
    assert found == {"resolved_again": False, "fires_again": True}
