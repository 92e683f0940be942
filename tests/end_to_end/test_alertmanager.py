"""The real Alertmanager with many alerts, as one group, as many groups and as one group for each alert.

The small size runs always; `AOM_BRIDGE_REHEARSAL=full` runs 10,000 alerts.
"""

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from many_alerts import BACKLOG, COUNT, IS_FULL, LIMIT, active, alertmanager, alerts, failures, metrics, post_all
from process import serving
from waiting import until

pytestmark = pytest.mark.real


class Receiver:
    """The barest receiver: reads every webhook, answers 200 and remembers each alert's last status."""

    def __init__(self):
        self.told = {}
        self.url = ""

    @contextlib.asynccontextmanager
    async def listening(self):
        application = web.Application(client_max_size=1 << 30)
        application.router.add_post("/webhook", self._receive)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0, backlog=BACKLOG).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()

    def count(self, status):
        return sum(told == status for told in self.told.values())

    async def _receive(self, request):
        for alert in (await request.json())["alerts"]:
            self.told[alert["fingerprint"]] = alert["status"]
        return web.Response()


async def play(manager, has_fired, has_cleared):
    """Fire all alerts, wait for the one, resolve them, wait for the other; give Alertmanager's failures."""
    await post_all(manager, alerts())
    await until(has_fired, limit=LIMIT)
    await post_all(manager, alerts(datetime.now(UTC) - timedelta(milliseconds=1)))
    await until(has_cleared, limit=LIMIT)
    return await failures(manager)


@pytest.mark.timeout(1_500 if IS_FULL else 120)
@pytest.mark.parametrize("group_by", ["[]", "[group]", "['...']"], ids=["one-group", "groups", "group-each"])
async def test_many_alerts_in_any_grouping(tmp_path, aom, group_by):
    """Every webhook gets 200, none fails more than at a bare receiver, every alarm gets to AOM, and every clear."""
    every = sorted(f"i{number}" for number in range(COUNT))
    async with Receiver().listening() as bare, alertmanager(tmp_path / "bare", bare.url, group_by) as manager:
        least = await play(manager, lambda: bare.count("firing") == COUNT, lambda: bare.count("resolved") == COUNT)
    async with (
        serving(tmp_path, aom.url) as (bridge, url),
        alertmanager(tmp_path / "manager", url, group_by) as manager,
    ):

        def has_fired():
            return aom.snapshot(0)["counts"]["active"] == COUNT and active(aom) == every

        failed = await play(manager, has_fired, lambda: aom.snapshot(0)["counts"]["cleared"] == COUNT)
        (answers,) = await metrics(url, "aom_bridge_webhook_requests_total")
        assert bridge.terminate() == 0
    assert answers.pop('code="200"') > 0
    assert set(answers.values()) == {0.0}, answers
    assert all(ours <= theirs for ours, theirs in zip(failed, least, strict=True)), (failed, least)
    snapshot = aom.snapshot()
    assert active(aom) == []
    assert sorted(event["metadata"]["instance"] for event in snapshot["history"]) == every
    assert snapshot["violations"] == []
