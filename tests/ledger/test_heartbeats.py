"""The signs of heartbeats in the ledger: they come with notifications, and never become alarms."""

import pickle

import pytest
from ledger_driver import T0, LedgerDriver, notification
from msgspec.structs import replace

from bridge.clock import MINUTE, SECOND
from bridge.notification import Sign

SIGN = Sign("main", {"cluster": "eu"})


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
async def driver(request, tmp_path):
    """A fresh ledger."""
    place = request.getfixturevalue("database") if request.param == "postgresql" else tmp_path / "ledger.db"
    async with LedgerDriver(place) as made:
        yield made


async def put(driver, status="firing", *, end=None, sign=SIGN):
    """Put one alert that is a sign; give its effect."""
    arrival = replace(driver.arrival(status, "Watchdog", end=end), sign=sign)
    (effect,) = (await driver.ledger.put(notification([arrival]))).effects
    return effect


async def switches(driver):
    """Give what is known of the switches: values, time of the last sign, and of a resolve after it."""
    return [(one.sign.by, one.seen_at - T0, one.ended_at) for one in await driver.ledger.heartbeats.switches()]


async def test_a_sign_is_kept_with_its_notification_and_is_no_alarm(driver):
    """It is stored in the same transaction, once for each combination of labels; the last one counts."""
    assert await put(driver) == "heartbeat"
    driver.now += MINUTE
    assert await put(driver) == "heartbeat"
    assert await put(driver, sign=Sign("main", {"cluster": "us"})) == "heartbeat"
    assert {tuple(by.values()): seen for by, seen, _ in await switches(driver)} == {("eu",): MINUTE, ("us",): MINUTE}
    assert await driver.rows() == []


async def test_a_resolve_is_kept_until_the_next_sign(driver):
    """Alertmanager tells with it that nobody sends the alert any more."""
    await put(driver)
    driver.now += 5 * MINUTE
    assert await put(driver, "resolved", end=driver.now - SECOND) == "heartbeat"
    assert await switches(driver) == [({"cluster": "eu"}, 0, T0 + 5 * MINUTE)]
    driver.now += SECOND
    await put(driver)
    assert await switches(driver) == [({"cluster": "eu"}, 5 * MINUTE + SECOND, None)]


async def test_a_resolve_that_comes_late_or_first_says_nothing(driver):
    """A peer of Alertmanager may send an old one; and a switch that has gone already is not learnt."""
    assert await put(driver, "resolved", end=T0) == "heartbeat"
    assert await switches(driver) == []
    driver.now += MINUTE
    await put(driver)
    await put(driver, "resolved", end=T0)
    assert await switches(driver) == [({"cluster": "eu"}, MINUTE, None)]


async def test_an_alarm_from_before_the_heartbeat_was_declared_is_ended(driver):
    """It was raised as any other; its clear is due, and says why."""
    assert await driver.fire("Watchdog") == "new"
    await driver.deliver()
    assert await put(driver) == "heartbeat"
    (row,) = await driver.rows()
    assert (row.state, row.ended_by) == ("clear_due", "heartbeat")
    assert await driver.deliver() == ["clear"]
    assert await put(driver) == "heartbeat"
    assert len(await driver.rows()) == 1


async def test_signs_that_the_api_has_shown_count_if_they_are_newer(driver):
    """Also than a resolve, which a peer may have sent too early."""
    heartbeats = driver.ledger.heartbeats
    await heartbeats.note([(SIGN, T0 + MINUTE)])
    await heartbeats.note([(SIGN, T0)])
    assert await switches(driver) == [({"cluster": "eu"}, MINUTE, None)]
    driver.now += 2 * MINUTE
    await put(driver, "resolved", end=driver.now)
    await heartbeats.note([(SIGN, T0 + 90 * SECOND)])
    assert await switches(driver) == [({"cluster": "eu"}, 90 * SECOND, T0 + 2 * MINUTE)]
    await heartbeats.note([(SIGN, T0 + 3 * MINUTE)])
    assert await switches(driver) == [({"cluster": "eu"}, 3 * MINUTE, None)]


async def test_a_switch_that_is_forgotten_is_learnt_anew_by_its_next_sign(driver):
    """Until then nothing is known of it."""
    await put(driver)
    await driver.ledger.heartbeats.forget([SIGN.fingerprint])
    assert await switches(driver) == []
    await put(driver)
    assert len(await switches(driver)) == 1


async def test_signs_survive_the_way_to_another_process():
    """The writer process gets them as they are."""
    assert pickle.loads(pickle.dumps(SIGN)) == SIGN  # noqa: S301 - packed in the line itself
