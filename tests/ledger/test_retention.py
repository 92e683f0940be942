"""Long life: expiry, purge, space given back, and warnings about repeats that come too rarely."""

import pytest
import sqlalchemy as sa
from ledger_driver import REASSERT, T0, LedgerDriver
from structlog.testing import capture_logs

from bridge.clock import DAY, HOUR, MINUTE, SECOND
from bridge.ledger.operations import purge
from bridge.ledger.storage.schema import contents

TIMEOUT = HOUR  # the book's events end by themselves after this


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
async def book(request, tmp_path):
    """A fresh ledger on each database."""
    place = tmp_path / "ledger.db" if request.param == "sqlite" else request.getfixturevalue("database")
    async with LedgerDriver(place) as made:
        yield made


async def test_an_alarm_that_nobody_fires_expires_an_hour_after_its_timeout(book):
    """No firing and no accepted report for `alarm_timeout` + 1h: AOM has cleared it by age, and so do we; counted."""
    told = []
    book.ledger.on_expired(told.extend)
    await book.fire()
    await book.deliver()
    book.now += TIMEOUT + HOUR - 1
    await book.ledger.upkeep()
    assert await book.states() == ["reported"]
    book.now += 1
    await book.ledger.upkeep()
    assert await book.states() == ["expired"]
    assert [alarm.fingerprint for alarm in told] == ["a"]
    assert book.ledger.counts()["expired", "default"] == 1
    assert await book.claim() == []
    assert await book.fire() == "new"


async def test_a_firing_keeps_an_alarm_from_expiring(book):
    """Each received firing counts, also one that needs no new report."""
    await book.fire()
    await book.deliver()
    book.now += REASSERT - MINUTE
    await book.fire()
    book.now += TIMEOUT + HOUR - SECOND
    await book.ledger.upkeep()
    assert await book.states() == ["reported"]


async def test_what_aom_has_not_taken_never_expires(book):
    """An alarm that waits for its report through an outage of weeks is still reported afterwards."""
    await book.fire()
    book.now += 30 * DAY
    await book.ledger.upkeep()
    assert await book.deliver() == ["report"]


async def test_a_resolve_after_the_expiry_clears_what_aom_may_hold(book):
    """A resolve that comes after all is an orphan: its clear goes out."""
    await book.fire()
    await book.deliver()
    book.now += TIMEOUT + HOUR
    await book.ledger.upkeep()
    assert await book.resolve() == "orphan"
    assert await book.deliver() == ["clear"]


async def test_the_look_for_expired_alarms_goes_round_the_whole_ledger(book, monkeypatch):
    """Each step looks at some rows only; after a few of them every row has been seen, and it begins anew."""
    monkeypatch.setattr(purge, "ROWS_PER_LOOK", 3)
    for number in range(8):
        await book.fire(f"a{number}")
    await book.deliver()
    book.now += TIMEOUT + HOUR
    for _ in range(3):
        await book.ledger.upkeep()
    assert await book.states() == ["expired"] * 8
    assert await book.fire("later") == "new"
    await book.deliver()
    book.now += TIMEOUT + HOUR
    for _ in range(4):
        await book.ledger.upkeep()
    assert (await book.states())[-1] == "expired"


async def test_finished_alarms_are_purged_after_the_history(book):
    """Seven days after its end an alarm is gone, with all that lay beside it; open ones and younger ones stay."""
    await book.fire("old")
    await book.fire("open")
    await book.deliver()
    await book.resolve("old", end=T0 + 1)
    await book.deliver()
    book.now += DAY
    await book.fire("open")
    await book.resolve("young")
    await book.deliver()
    book.now = T0 + 7 * DAY + 1
    await book.fire("open")
    await book.ledger.upkeep()
    assert [row.fingerprint for row in await book.rows()] == ["open", "young"]
    kept = await book.ledger._core.read(lambda c: c.execute(sa.select(sa.func.count()).select_from(contents)).scalar())
    assert kept == 2
    assert {state: n for (state, _), n in book.ledger.counts().items() if n} == {"reported": 1, "cleared": 1}


async def test_a_rejected_alarm_that_still_fires_is_not_purged(book):
    """Purged, its next repeat would be news, and rejected anew: it stays while it fires."""
    await book.fire()
    (claim,) = await book.claim()
    await book.refuse(claim)
    book.now += 8 * DAY
    await book.fire()
    await book.ledger.upkeep()
    assert await book.states() == ["rejected"]


@pytest.mark.slow
async def test_the_file_shrinks_again_after_a_storm(tmp_path):
    """Space that purged alarms leave goes back to the disk: the file does not grow without bound."""
    path = tmp_path / "ledger.db"
    async with LedgerDriver(path) as book:
        await book.put([book.arrival("resolved", f"a{n}", end=T0, kind="event") for n in range(9_000)])
        before = await book.ledger._core.read(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar())
        book.now += 8 * DAY
        await book.ledger.upkeep()
        after = await book.ledger._core.read(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar())
        assert await book.rows() == []
    assert before > 1_000
    assert after < before / 2
    assert path.stat().st_size < before * 4096 / 2


@pytest.mark.slow
async def test_webhooks_pass_while_a_large_history_is_purged(book):
    """A purge goes in small steps, and puts get their turn between two of them."""
    for first in range(0, 3_000, 500):
        await book.put([book.arrival("resolved", f"a{n}", end=T0, kind="event") for n in range(first, first + 500)])
    book.now += 8 * DAY
    steps = []
    write = book.ledger._core.write

    async def noted(step):
        steps.append(step)
        return await write(step)

    book.ledger._core.write = noted
    await book.ledger.upkeep()
    assert len(steps) > 3_000 / purge.ROWS_PER_PURGE
    assert await book.rows() == []


async def test_repeats_that_come_too_rarely_are_warned_of(book):
    """An open alarm that is repeated after more than half of its timeout: a warning that says what to set, once."""
    await book.fire("a")
    await book.fire("b")
    book.now += TIMEOUT // 2
    with capture_logs() as quiet:
        await book.fire("a")
    book.now += TIMEOUT // 2 + SECOND
    with capture_logs() as lines:
        await book.fire("a")
        await book.fire("b")
    assert quiet == []
    assert [line["since_last_firing"] for line in lines] == ["30m1s"]
    assert "Fix: an alarm_timeout of at least 2 x (repeat_interval + group_interval)" in lines[0]["event"]


async def test_a_repeat_that_comes_after_the_expiry_is_warned_of(book):
    """Where repeats come so rarely that AOM has ended the alarm by age, the firing that opens the next one says so."""
    await book.fire("a")
    await book.deliver()
    book.now += TIMEOUT + HOUR
    await book.ledger.upkeep()
    assert await book.states() == ["expired"]
    with capture_logs() as lines:
        assert await book.fire("a") == "new"
    assert [line["since_last_firing"] for line in lines if "since_last_firing" in line] == ["2h"]
