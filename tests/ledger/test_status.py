"""What the ledger says of targets and sources at one moment."""

import pytest
from ledger_driver import T0, LedgerDriver

from bridge.clock import MINUTE, SECOND
from bridge.ledger import OfflineLedger, Stage, Stages


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
async def driver(request, tmp_path):
    """A fresh ledger on each database."""
    place = tmp_path / "ledger.db" if request.param == "sqlite" else request.getfixturevalue("database")
    async with LedgerDriver(place) as made:
        yield made


async def at_each_stage(driver):
    """Bring alarms to each stage, a second after each other: rejected, accepted, to be cleared, cleared, held, due."""
    for name in ("rejected", "accepted", "resolved", "cleared"):
        await driver.fire(name)
        driver.now += SECOND
    for claim in await driver.claim():
        await (driver.refuse(claim) if claim.alarm.fingerprint == "rejected" else driver.accept(claim))
        driver.now += SECOND
    await driver.resolve("cleared")
    await driver.deliver()
    driver.now += SECOND
    await driver.resolve("resolved")
    driver.now += SECOND
    await driver.fire("held")
    await driver.ledger.due.claim("default", "report", "w", 1)
    driver.now += SECOND
    for name in ("due", "due later"):
        await driver.fire(name)
        driver.now += MINUTE


async def test_each_stage_has_its_alarms_and_its_time(driver):
    """Number and time of each stage of a target, and what is open of a source: in the bridge and beside it the same."""
    await at_each_stage(driver)
    status = await driver.ledger.records.status(["default", "other"], ["s", "unused"])
    target = status.targets["default"]
    assert target.stages == Stages(
        reports=Stage(2, T0 + 11 * SECOND),
        in_flight=Stage(1, T0 + 10 * SECOND),
        accepted=Stage(1, T0 + 7 * SECOND),
        clears=Stage(1, T0 + 9 * SECOND),
        rejected=Stage(1, T0 + 4 * SECOND),
    )
    assert target.states == {"report_due": 3, "reported": 1, "clear_due": 1, "rejected": 1, "cleared": 1}
    assert (target.waiting, target.oldest.due_since, target.accepted_at) == (4, T0 + 9 * SECOND, T0 + 7 * SECOND)
    assert (status.sources["s"].open, status.sources["unused"].open) == (4, 0)
    assert status.targets["other"].stages == Stages()
    assert status == OfflineLedger(driver.url, lambda: driver.now).status(["default", "other"], ["s", "unused"])
