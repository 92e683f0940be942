"""A cluster of two Alertmanagers, a bridge that is held in step with it, and the emulated AOM; all real but AOM.

Each test with `in_step` ends with "nothing blinks": no alarm was cleared more often than its alert has resolved.
"""

import asyncio
import contextlib

import pytest
from cluster import CONFIG, Cluster
from emulated_aom import cloud
from many_alerts import metrics
from process import serving
from waiting import until

LIMIT = 60
SETTINGS = "{{urls: [{urls}], interval: 1s, settle: 1s, missing_after: 4s{more}}}"
"""Rounds are quick; W is 1.25 times the validity of the sender's posts, twenty seconds."""


class Held:
    """A cluster, a bridge that is held in step with it, and the emulated AOM."""

    def __init__(self, folder, aom, cluster):
        self.folder, self.aom, self.cluster = folder, aom, cluster
        self.stack = contextlib.AsyncExitStack()
        self.bridge, self.url = None, ""

    async def serve(self, more="", config=CONFIG, **config_options):
        """Start the bridge, then the cluster, or the cluster's configuration anew."""
        urls = ", ".join(f'"{url}"' for url in self.cluster.urls)
        settings = f"alertmanagers: [{SETTINGS.format(urls=urls, more=more)}]"
        serve = serving(self.folder, self.aom.url, more=settings, target="lookup_wait: 1s")
        self.bridge, self.url = await self.stack.enter_async_context(serve)
        self.cluster.configure(self.url, config, **config_options)

    def active(self):
        return sorted(event["metadata"]["event_name"] for event in self.aom.snapshot()["active"])

    async def is_active(self, *names):
        """Wait until AOM's open alarms are these, and the bridge has seen their alerts listed."""
        await until(lambda: self.active() == sorted(names), LIMIT)
        begin = await self.rounds()
        await until(lambda: self.has_rounds(begin + 2), LIMIT)

    async def rounds(self):
        (series,) = await metrics(self.url, "aom_bridge_reconcile_rounds_total")
        return sum(series.values())

    async def has_rounds(self, count):
        return await self.rounds() >= count

    async def stays_active(self, *names, seconds):
        """Look again and again for some time: nothing else may be open, and nothing less."""
        deadline = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < deadline:
            assert self.active() == sorted(names)
            await asyncio.sleep(0.1)

    async def count(self, kind):
        (series,) = await metrics(self.url, "aom_bridge_reconciled_total")
        return series.get(f'kind="{kind}",source="default"', series.get(f'source="default",kind="{kind}"'))

    def check_nothing_blinked(self):
        """No alarm was cleared more often than its alert has resolved."""
        cleared = [event["metadata"]["event_name"] for event in self.aom.snapshot()["history"]]
        for name in set(cleared):
            assert cleared.count(name) <= self.cluster.resolves.get(name, 0), name
        assert "Traceback" not in self.bridge.output


@pytest.fixture
async def held(tmp_path):
    """Two peers that are not started yet, and no bridge yet."""
    cluster = Cluster(tmp_path)
    async with cloud() as aom:
        one = Held(tmp_path, aom, cluster)
        try:
            yield one
        finally:
            await cluster.stop()
            await one.stack.aclose()


@pytest.fixture
async def in_step(held):
    """Both running, in step."""
    await held.serve()
    await held.cluster.start()
    yield held
    held.check_nothing_blinked()
