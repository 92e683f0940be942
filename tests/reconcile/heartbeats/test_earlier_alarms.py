"""An alert that becomes a sign of a heartbeat has no alarm any more, whatever happens to its alarm meanwhile."""

from types import SimpleNamespace

from ledger_driver import LedgerDriver

from bridge.reconcile.heartbeats.earlier_alarms import end_earlier_alarms

EVERYTHING = SimpleNamespace(sign=lambda *_: "main")


class ReportedMeanwhile:
    """The open alarms of a ledger, which are reported right after somebody has looked at them for the first time."""

    def __init__(self, driver):
        self._driver, self._open_alarms = driver, driver.ledger.open_alarms
        self._is_first = True

    async def held(self, source):
        """Give the open alarms as they are, and report them."""
        found = await self._open_alarms.held(source)
        if self._is_first:
            await self._driver.deliver()
        self._is_first = False
        return found

    async def apply(self, *changes):
        """Apply changes to the ledger."""
        return await self._open_alarms.apply(*changes)


async def test_an_alarm_that_is_reported_while_it_is_looked_at_is_ended_all_the_same(tmp_path):
    """Its state is another one then, and no webhook comes of its alert any more that would end it later."""
    async with LedgerDriver(tmp_path / "ledger.db") as driver:
        await driver.fire("watchdog")
        clock = lambda: driver.now  # noqa: E731 - as short as it is
        open_alarms = ReportedMeanwhile(driver)
        assert await end_earlier_alarms(EVERYTHING, ["s"], driver.ledger.heartbeats, open_alarms, clock)
        assert await driver.states() == ["clear_due"]
