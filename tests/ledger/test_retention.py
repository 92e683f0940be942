"""Long life: expiry, purge, space given back, and warnings about repeats that come too rarely."""

import pytest
import sqlalchemy as sa
from ledger_driver import BY, REASSERT, T0, LedgerDriver
from structlog.testing import capture_logs

from bridge.clock import DAY, HOUR, MINUTE, SECOND
from bridge.ledger.operations import purge
from bridge.ledger.storage.schema import contents, steps

TIMEOUT = HOUR  # the driver's events end by themselves after this


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
async def driver(request, tmp_path):
    """A fresh ledger on each database."""
    place = tmp_path / "ledger.db" if request.param == "sqlite" else request.getfixturevalue("database")
    async with LedgerDriver(place) as made:
        yield made


async def test_an_alarm_that_nobody_fires_expires_an_hour_after_its_timeout(driver):
    """No firing and no accepted report for `alarm_timeout` + 1h: AOM has cleared it by age, and so do we; counted."""
    told = []
    driver.ledger.on_expired(told.extend)
    await driver.fire()
    await driver.deliver()
    driver.now += TIMEOUT + HOUR - 1
    await driver.ledger.upkeep()
    assert await driver.states() == ["reported"]
    driver.now += 1
    await driver.ledger.upkeep()
    assert await driver.states() == ["expired"]
    assert [alarm.fingerprint for alarm in told] == ["a"]
    assert driver.ledger.counts()["expired", "default"] == 1
    assert await driver.claim() == []
    assert await driver.fire() == "new"


async def test_a_firing_keeps_an_alarm_from_expiring(driver):
    """Each received firing counts, also one that needs no new report."""
    await driver.fire()
    await driver.deliver()
    driver.now += REASSERT - MINUTE
    await driver.fire()
    driver.now += TIMEOUT + HOUR - SECOND
    await driver.ledger.upkeep()
    assert await driver.states() == ["reported"]


async def test_what_aom_has_not_taken_never_expires(driver):
    """An alarm that waits for its report through an outage of weeks is still reported afterwards."""
    await driver.fire()
    driver.now += 30 * DAY
    await driver.ledger.upkeep()
    assert await driver.deliver() == ["report"]


async def test_a_resolve_after_the_expiry_clears_what_aom_may_hold(driver):
    """A resolve that comes after all is an orphan: its clear goes out."""
    await driver.fire()
    await driver.deliver()
    driver.now += TIMEOUT + HOUR
    await driver.ledger.upkeep()
    assert await driver.resolve() == "orphan"
    assert await driver.deliver() == ["clear"]


async def test_the_look_for_expired_alarms_goes_round_the_whole_ledger(driver, monkeypatch):
    """Each step looks at some rows only; after a few of them every row has been seen, and it begins anew."""
    monkeypatch.setattr(purge, "ROWS_PER_LOOK", 3)
    for number in range(8):
        await driver.fire(f"a{number}")
    await driver.deliver()
    driver.now += TIMEOUT + HOUR
    for _ in range(3):
        await driver.ledger.upkeep()
    assert await driver.states() == ["expired"] * 8
    assert await driver.fire("later") == "new"
    await driver.deliver()
    driver.now += TIMEOUT + HOUR
    for _ in range(4):
        await driver.ledger.upkeep()
    assert (await driver.states())[-1] == "expired"


async def test_finished_alarms_are_purged_after_the_history(driver):
    """Seven days after its end an alarm is gone, with all that lay beside it; open ones and younger ones stay."""
    await driver.fire("old")
    await driver.fire("open")
    await driver.deliver()
    await driver.resolve("old", end=T0 + 1)
    await driver.deliver()
    driver.now += DAY
    await driver.fire("open")
    await driver.resolve("young")
    await driver.deliver()
    driver.now = T0 + 7 * DAY + 1
    await driver.fire("open")
    await driver.ledger.upkeep()
    assert [row.fingerprint for row in await driver.rows()] == ["open", "young"]
    kept = await driver.ledger._core.read(
        lambda c: c.execute(sa.select(sa.func.count()).select_from(contents)).scalar()
    )
    assert kept == 2
    assert {state: n for (state, _), n in driver.ledger.counts().items() if n} == {"reported": 1, "cleared": 1}


async def test_a_rejected_alarm_that_still_fires_is_not_purged(driver):
    """Purged, its next repeat would be news, and rejected anew: it stays while it fires."""
    await driver.fire()
    (claim,) = await driver.claim()
    await driver.refuse(claim)
    driver.now += 8 * DAY
    await driver.fire()
    await driver.ledger.upkeep()
    assert await driver.states() == ["rejected"]


@pytest.mark.slow
async def test_the_file_shrinks_again_after_a_storm(tmp_path):
    """Space that purged alarms leave goes back to the disk: the file does not grow without bound."""
    path = tmp_path / "ledger.db"
    async with LedgerDriver(path) as driver:
        await driver.put([driver.arrival("resolved", f"a{n}", end=T0, kind="event") for n in range(9_000)])
        before = await driver.ledger._core.read(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar())
        driver.now += 8 * DAY
        await driver.ledger.upkeep()
        after = await driver.ledger._core.read(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar())
        assert await driver.rows() == []
    assert before > 1_000
    assert after < before / 2
    assert path.stat().st_size < before * 4096 / 2


@pytest.mark.slow
async def test_webhooks_pass_while_a_large_history_is_purged(driver):
    """A purge goes in small steps, and puts get their turn between two of them."""
    for first in range(0, 3_000, 500):
        await driver.put([driver.arrival("resolved", f"a{n}", end=T0, kind="event") for n in range(first, first + 500)])
    driver.now += 8 * DAY
    steps = []
    write = driver.ledger._core.write

    async def noted(step):
        steps.append(step)
        return await write(step)

    driver.ledger._core.write = noted
    await driver.ledger.upkeep()
    assert len(steps) > 3_000 / purge.ROWS_PER_PURGE
    assert await driver.rows() == []


async def test_repeats_that_come_too_rarely_are_warned_of(driver):
    """An open alarm that is repeated after more than half of its timeout: a warning that says what to set, once."""
    await driver.fire("a")
    await driver.fire("b")
    driver.now += TIMEOUT // 2
    with capture_logs() as quiet:
        await driver.fire("a")
    driver.now += TIMEOUT // 2 + SECOND
    with capture_logs() as lines:
        await driver.fire("a")
        await driver.fire("b")
    assert quiet == []
    assert [line["since_last_firing"] for line in lines] == ["30m1s"]
    assert "Fix: an alarm_timeout of at least 2 x (repeat_interval + group_interval)" in lines[0]["event"]


async def test_a_repeat_that_comes_after_the_expiry_is_warned_of(driver):
    """Where repeats come so rarely that AOM has ended the alarm by age, the firing that opens the next one says so."""
    await driver.fire("a")
    await driver.deliver()
    driver.now += TIMEOUT + HOUR
    await driver.ledger.upkeep()
    assert await driver.states() == ["expired"]
    with capture_logs() as lines:
        assert await driver.fire("a") == "new"
    assert [line["since_last_firing"] for line in lines if "since_last_firing" in line] == ["2h"]


async def test_the_history_of_a_purged_alarm_is_purged_with_it(driver):
    """The steps of an alarm that is deleted go with it, and those of another one stay."""
    for name in ("old", "young"):
        await driver.fire(name)
        await driver.ledger.records.edit("discard", [name], lambda *_: None, BY)
        driver.now += 4 * DAY
    driver.now = T0 + 7 * DAY + 1
    await driver.ledger.upkeep()
    (young,) = await driver.rows()
    kept = await driver.ledger._core.read(lambda c: list(c.execute(sa.select(steps.c.alarm)).scalars()))
    assert kept == [young.seq]
